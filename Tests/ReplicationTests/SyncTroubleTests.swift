import Memberlist
import NIOCore
import RegdnsTestKit
import RegistryStore
import Synchronization
import Testing

@testable import Replication

@Suite("Sync streams in trouble")
struct SyncTroubleTests {
    typealias Wrapping = SyncStreamTests.Wrapping

    @Test("A sync that breaks off loses nothing; the next one brings the rest", arguments: [Wrapping.plain, .sealed])
    func abort(wrapping: Wrapping) async throws {
        try await withSyncNodes(2, wrapping.apply) { nodes in
            let (a, b) = (nodes[0], nodes[1])
            try a.put(0..<500)
            a.application.set { sync, stream in
                var end = try await SyncEnd.answering(stream, sync)
                let (session, start) = try await end.want(of: sync)
                var source = start
                for _ in 0..<2 {
                    guard let page = sync.registry.nextPage(of: &source, operationsMax: 100) else { return }
                    try await end.send(Frame(.page(session: session, page)))
                }
                // They must have left before this side closes.
                while b.registry.counts().entries < 200 { try await Task.sleep(for: .milliseconds(5)) }
            }
            #expect(try await b.failure(from: a) == .closed)
            #expect(b.content.count == 200 && b.sync.counters.pulled.aborted == 1)
            #expect(b.registry.context().completeHead(origin: 1) == 200)
            a.application.set(nil)
            let report = try await b.pull(from: a)
            #expect(report.isComplete && report.operations == 300)
            #expect(b.content == a.content)
        }
    }

    @Test("A puller that breaks off is noticed, and its place is free again")
    func abortedByPuller() async throws {
        try await withSyncNodes(2) {
            // Sealed, for checksums take long in debug builds.
            Wrapping.sealed.apply(&$0)
            $0.sync.servedMax = 1
        } _: { nodes in
            let (a, b) = (nodes[0], nodes[1])
            // More than any socket buffers.
            let value = [UInt8](repeating: 1, count: 100_000)
            for number in 0..<160 {
                try a.registry.apply([
                    .put(namespace: .default, key: SyncNode.key(number), value: .bytes(value), lease: .permanent)
                ])
            }
            try await SyncEnd.dialling(a, from: b, isSealed: true) { end in
                try await end.send(Frame(.want(WantFrame(session: 1, context: []))))
                guard case .page(1, _) = try await end.receive()?.body else { throw Waited(description: "no page") }
                // While it is served, another one is told to come back.
                #expect(try await b.failure(from: a) == .busy(retryMilliseconds: 1_000))
            }
            try await a.wait("abort") { $0.served.aborted == 1 }
            #expect(a.sync.counters.served.busy == 1 && b.sync.counters.pulled.busy == 1)
            #expect(try await b.pull(from: a).isComplete)
            #expect(b.content == a.content)
        }
    }

    @Test("Bounds of either side are kept and counted")
    func bounds() async throws {
        try await withSyncNodes(2) {
            $0.sync.pulledMax = 1
            $0.sync.streamsMax = 1
        } _: { nodes in
            let (a, b) = (nodes[0], nodes[1])
            try await SyncEnd.dialling(a, from: b) { _ in
                guard case .unreachable = try await b.failure(from: a) else {
                    throw Waited(description: "a second stream was taken")
                }
            }
            #expect(a.sync.counters.streamsBeyondLimit == 1)
            let (held, release) = AsyncStream<Void>.makeStream()
            a.application.set { _, stream in for await _ in held {} }
            async let first = b.failure(from: a)
            try await b.wait("start") { $0.pulled.started == 2 }
            #expect(try await b.failure(from: a) == .busyHere)
            release.finish()
            guard case .unreachable = try await first else {
                Issue.record("a stream without answer gave something")
                return
            }
            #expect(b.sync.counters.busyHere == 1)
            a.application.set(nil)
            try await within(.seconds(5), "room") {
                while try await b.failure(from: a) != nil { try await Task.sleep(for: .milliseconds(10)) }
            }
            a.sync.stop()
            // The stream before may still have the only place for a moment after its asker has closed it.
            let last = try await within(.seconds(5), "room for a last word") {
                var last = try await b.failure(from: a)
                while case .unreachable = last { last = try await b.failure(from: a) }
                return last
            }
            #expect(last == .bye(.stopping))
            #expect(try await a.failure(from: b) == .stopped)
        }
    }

    enum Damage: String, CaseIterable, Sendable {
        case flipped, cut, emptied, repeated, swapped, fromElsewhere

        /// What goes out in place of the second and third record.
        func apply(_ first: [UInt8], _ second: [UInt8], _ third: [UInt8]) -> [[UInt8]] {
            switch self {
            case .flipped:
                var record = second
                record[record.count / 2] ^= 4
                return [record]
            case .cut: return [Array(second.dropLast())]
            case .emptied: return [[]]
            case .repeated: return [first]
            case .swapped: return [third, second]
            case .fromElsewhere: return [[UInt8](repeating: 0, count: second.count)]
            }
        }
    }

    @Test("What is damaged on the way is refused", arguments: [Wrapping.plain, .sealed], Damage.allCases)
    func damage(wrapping: Wrapping, damage: Damage) async throws {
        try await withSyncNodes(2, wrapping.apply) { nodes in
            let (a, b) = (nodes[0], nodes[1])
            try a.put(0..<60)
            a.application.set { sync, stream in
                var end = try await SyncEnd.answering(stream, sync)
                let (session, start) = try await end.want(of: sync)
                var source = start
                var records: [[UInt8]] = []
                while let page = sync.registry.nextPage(of: &source, operationsMax: 16) {
                    records.append(try end.record(Frame(.page(session: session, page))))
                }
                for record in records[..<1] + damage.apply(records[0], records[1], records[2]) {
                    try await end.write(record)
                }
                try await end.untilClosed()
            }
            #expect(try await b.failure(from: a) == .notAuthentic(record: 1))
            #expect(b.content.count == 16 && b.sync.counters.notAuthentic == 1)
            a.application.set(nil)
            #expect(try await b.pull(from: a).isComplete)
            // The same for a want.
            try await SyncEnd.dialling(a, from: b, isSealed: wrapping == .sealed) { end in
                let want = try end.record(Frame(.want(WantFrame(session: 1, context: []))))
                try await end.write(damage.apply(want.reversed(), want, want.reversed())[0])
                try await end.untilClosed()
            }
            try await a.wait("refusal") { $0.notAuthentic == 1 }
            #expect(a.sync.counters.served.started == 1)
        }
    }

    @Test("Who says nothing is given up", arguments: [Wrapping.plain, .sealed])
    func stalled(wrapping: Wrapping) async throws {
        let clock = VirtualClock()
        try await withSyncNodes(2) {
            wrapping.apply(&$0)
            $0.environment.clock = clock.registryClock
            $0.environment.sleep = { _ in try await Task.sleep(for: .milliseconds(5)) }
        } _: { nodes in
            let (a, b) = (nodes[0], nodes[1])
            try a.put(0..<60)
            // The peer stops after a page.
            a.application.set { sync, stream in
                var end = try await SyncEnd.answering(stream, sync)
                let (session, start) = try await end.want(of: sync)
                var source = start
                guard let page = sync.registry.nextPage(of: &source, operationsMax: 16) else { return }
                try await end.send(Frame(.page(session: session, page)))
                while b.registry.counts().entries < 16 { try await Task.sleep(for: .milliseconds(5)) }
                clock.advance(milliseconds: 10_000)
                try await end.untilClosed()
            }
            #expect(try await b.failure(from: a) == .stalled(milliseconds: 10_000))
            a.application.set(nil)
            // The puller wants nothing.
            try await SyncEnd.dialling(a, from: b, isSealed: wrapping == .sealed) { end in
                clock.advance(milliseconds: 10_000)
                try await end.untilClosed()
            }
            try await a.wait("stall") { $0.stalled == 1 }
            #expect(b.sync.counters.stalled == 1 && b.sync.counters.pulled.aborted == 1)
            #expect(a.sync.counters.served.started == 0)
        }
    }

    @Test("Who sends on and on what nobody knows is given up")
    func overTime() async throws {
        let clock = VirtualClock()
        try await withSyncNodes(2) {
            $0.environment.clock = clock.registryClock
            $0.environment.sleep = { _ in try await Task.sleep(for: .milliseconds(5)) }
            $0.sync.streamMilliseconds = 5_000
        } _: { nodes in
            let (a, b) = (nodes[0], nodes[1])
            try await SyncEnd.dialling(a, from: b) { end in
                for kind in [UInt8(77), 200] { try await end.send(Frame(.unknown(kind: kind, [1, 2, 3]))) }
                try await end.write(try end.sends.seal([0, 0xd0, 0x20, 1]))
                try await a.wait("frames") { $0.unknownFrames == 3 }
                clock.advance(milliseconds: 5_000)
                try await end.untilClosed()
            }
            try await a.wait("end") { $0.overTime == 1 }
        }
    }

    @Test("A pull that nobody waits for any more ends at once, and its place is free")
    func cancelled() async throws {
        try await withSyncNodes(2) {
            $0.sync.pulledMax = 1
        } _: { nodes in
            let (a, b) = (nodes[0], nodes[1])
            let (wanted, told) = AsyncStream<Void>.makeStream()
            a.application.set { sync, stream in
                var end = try await SyncEnd.answering(stream, sync)
                _ = try await end.want(of: sync)
                told.finish()
                try await end.untilClosed()
            }
            let pull = Task { try await b.sync.pull(from: a.address) }
            try await within(.seconds(10), "a want") { for await _ in wanted {} }
            pull.cancel()
            try await within(.seconds(5), "the end") {
                _ = await #expect(throws: SyncFailure.cancelled) { try await pull.value }
            }
            a.application.set(nil)
            #expect(try await b.pull(from: a).isComplete)
        }
    }

    @Test("A message beyond its bound is refused before it is whole")
    func tooLong() async throws {
        try await withSyncNodes(2) {
            $0.sync.wantBytes = 1_000
            $0.sync.answerBytes = 2_000
        } _: { nodes in
            let (a, b) = (nodes[0], nodes[1])
            try await SyncEnd.dialling(a, from: b) { end in
                for _ in 0..<2 { try await end.write(try end.sends.seal([1] + [UInt8](repeating: 0, count: 600))) }
                try await end.untilClosed()
            }
            try await a.wait("end") { $0.messagesTooLong == 1 }
            // A part without octets would let a message go on for ever.
            try await SyncEnd.dialling(a, from: b) { end in
                try await end.write(try end.sends.seal([1]))
                try await end.untilClosed()
            }
            try await a.wait("end") { $0.malformed == 1 }
            try a.put(0..<100)
            #expect(try await b.failure(from: a) == .messageTooLong(limit: 2_000))
        }
    }

    @Test("Rubbish behind a good hello, from somebody without manners", arguments: 0..<24)
    func rubbish(round: Int) async throws {
        var random = SeededRandom(seed: UInt64(round))
        try await withSyncNodes(2) {
            $0.gossip = { $0.compresses = false }
        } _: { nodes in
            let (a, b) = (nodes[0], nodes[1])
            let greeting = b.sync.greeting(isSealed: round % 4 == 1)
            let count = UInt32(greeting.bytes.count)
            let head = [208] + (0..<4).map { UInt8(count >> (24 - 8 * UInt32($0)) & 255) } + greeting.bytes
            var tail: [UInt8] = []
            var cipher = SyncCipher(checking: .fromDialler)
            for _ in 0..<1 + random.below(4) {
                var record = random.octets(upTo: 300)
                // Some have a good checksum, so that the rubbish is in the frame.
                if round % 2 == 0 { record = try cipher.seal([UInt8(random.below(3))] + random.frame().encoded()) }
                let length = record.count
                tail += [UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255)] + record
            }
            if random.oneIn(3) { tail += random.octets(upTo: 9) }
            let heard = try await RawPeer.ask(a.address, [head, tail], closing: true)
            #expect(heard.first == 208)
            // It has ended, and the node is alive and well.
            try a.put(0..<10)
            #expect(try await b.pull(from: a).isComplete)
            #expect(b.content.count == 10)
        }
    }

    @Test("Hellos that are none are not answered")
    func hellos() async throws {
        try await withSyncNodes(2, Wrapping.sealed.apply) { nodes in
            let (a, b) = (nodes[0], nodes[1])
            let plain = b.sync.greeting(isSealed: false)
            var odd = b.sync.greeting(isSealed: true).hello
            odd.publicKey = [UInt8](repeating: 0, count: 32)
            var newer = odd
            newer.versions = 9...12
            let firsts: [[UInt8]] = [
                plain.bytes, Frame(.hello(odd)).encoded(), Frame(.hello(newer)).encoded(), [], [1, 2, 3],
                Frame(.delta([])).encoded(),
            ]
            for first in firsts {
                await #expect(throws: GossipNodeError.badAnswer) {
                    try await b.node.request(first, to: a.address)
                }
            }
            try await a.wait("refusals") { $0.badHellos == 3 && $0.malformed == 3 }
            // Nor does a puller take them for an answer.
            for (first, failure) in zip(firsts, [SyncFailure.plainRefused, .badKey, .versions(9...12)]) {
                a.application.set { _, stream in
                    try await stream.answer(first)
                    for try await _ in stream.frames {}
                }
                #expect(try await b.failure(from: a) == failure)
            }
        }
    }

    @Test("Answers that nobody asked for are refused")
    func answers() async throws {
        try await withSyncNodes(2) { nodes in
            let (a, b) = (nodes[0], nodes[1])
            @Sendable func page(_ number: Int, _ opening: SyncOpening? = nil) -> SyncPage {
                var page = SyncPage(number: number)
                page.opening = opening
                return page
            }
            let answers: [(@Sendable (UInt64) -> Frame, SyncFailure)] = [
                ({ session in Frame(.page(session: session &+ 1, page(1))) }, .otherSession),
                ({ session in Frame(.page(session: session, page(0, .repair([])))) }, .page(.malformed)),
                ({ session in Frame(.page(session: session, page(65))) }, .page(.pageTooFarAhead)),
                ({ _ in Frame(.delta([])) }, .unexpected("delta")),
                ({ _ in Frame(.want(WantFrame(session: 0, context: []))) }, .unexpected("want")),
                ({ _ in Frame(.bye(ByeFrame(reason: ByeFrame.Reason(rawValue: 99)))) }, .bye(.init(rawValue: 99))),
                (
                    { _ in Frame(.bye(ByeFrame(reason: .busy, retryMilliseconds: .max))) },
                    .busy(retryMilliseconds: 60_000)
                ),
            ]
            for (answer, expected) in answers {
                a.application.set { sync, stream in
                    var end = try await SyncEnd.answering(stream, sync)
                    let (session, _) = try await end.want(of: sync)
                    try await end.send(answer(session))
                    try await end.untilClosed()
                }
                let failure = try await b.failure(from: a)
                #expect(failure == expected)
            }
            #expect(b.sync.counters.malformed == 5 && b.sync.counters.pulled.aborted == 6)
            #expect(b.content.isEmpty && b.registry.context().origins.isEmpty)
        }
    }
}
