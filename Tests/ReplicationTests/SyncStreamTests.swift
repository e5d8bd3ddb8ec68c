import Memberlist
import NIOCore
import RegdnsTestKit
import RegistryStore
import Synchronization
import Testing

@testable import Replication

@Suite("Sync streams")
struct SyncStreamTests {
    enum Wrapping: String, CaseIterable, Sendable {
        case plain, sealed, labelled

        static let key = GossipKey(octets: (0..<32).map { UInt8($0) })

        func apply(_ options: inout SyncNode.Options) {
            let wrapping = self
            options.gossip = { settings in
                if wrapping != .plain { settings.keys = KeyChain(keys: [Self.key].compactMap { $0 }) }
                if wrapping == .labelled { settings.label = Array("blue".utf8) }
            }
        }
    }

    @Test(
        "Entries and removals come in one session, and nothing in the next",
        arguments: [(Wrapping.plain, 1_000), (.sealed, 10_000), (.labelled, 1_000)])
    func whole(wrapping: Wrapping, count: Int) async throws {
        try await withSyncNodes(2, wrapping.apply) { nodes in
            let (a, b) = (nodes[0], nodes[1])
            try a.put(0..<count)
            try b.put(3..<5)
            try a.delete(stride(from: 0, to: count, by: 10))
            let report = try await b.pull(from: a)
            #expect(report.isComplete && !report.wasReset && report.peer.node == "n1" && report.peer.origin == 1)
            // Of two keys the other side's write is the later one.
            #expect(report.operations == count && report.fresh == count - 2)
            #expect(report.changes == count * 9 / 10 - 2)
            #expect(report.pages >= count / 1_024 && report.bytesIn > count * 40 && report.bytesOut > 0)
            #expect(report.peer.digest.summary == a.registry.summary())
            try await a.pull(from: b)
            #expect(a.registry.digest() == b.registry.digest())
            #expect(a.content == b.content && b.content.count == count * 9 / 10)
            #expect(b.registry.counts().tombstones == count / 10)
            let again = try await b.pull(from: a)
            #expect(again.isComplete && again.operations == 0 && again.pages == 1)
            try await a.wait("ends") { $0.served.completed == 2 }
            let (theirs, ours) = (a.sync.counters, b.sync.counters)
            #expect(ours.pulled.started == 2 && ours.pulled.completed == 2 && ours.pulled.operations == count)
            #expect(theirs.served.operations == count && theirs.served.pages == ours.pulled.pages)
        }
    }

    @Test("Three nodes that write and sync at once become equal")
    func three() async throws {
        try await withSyncNodes(3, Wrapping.sealed.apply) { nodes in
            for (place, node) in nodes.enumerated() { try node.put(place * 300..<place * 300 + 600, "n\(place)") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (place, node) in nodes.enumerated() {
                    let (left, right) = (nodes[(place + 1) % 3], nodes[(place + 2) % 3])
                    group.addTask { try await node.pull(from: left) }
                    group.addTask { try await node.pull(from: right) }
                    group.addTask { try node.put(place * 10..<place * 10 + 25, "later") }
                }
                try await group.waitForAll()
            }
            for _ in 0..<2 { for place in 0..<3 { try await nodes[place].pull(from: nodes[(place + 1) % 3]) } }
            #expect(nodes[0].content.count == 1_200)
            for node in nodes[1...] {
                #expect(node.content == nodes[0].content)
                #expect(node.registry.digest() == nodes[0].registry.digest())
            }
        }
    }

    @Test("What was removed and forgotten is reset")
    func reset() async throws {
        let clock = VirtualClock()
        try await withSyncNodes(2) {
            $0.environment.clock = clock.registryClock
        } _: { nodes in
            let (a, b) = (nodes[0], nodes[1])
            try a.put(0..<500)
            try await b.pull(from: a)
            try a.delete(0..<200)
            for _ in 0..<31 {
                clock.advance(milliseconds: 24 * 3_600_000)
                _ = a.registry.expireDue()
            }
            #expect(a.registry.counts().tombstones == 0)
            let report = try await b.pull(from: a)
            #expect(report.isComplete && report.wasReset && report.dropped == 200)
            #expect(b.content == a.content && b.content.count == 300)
            #expect(b.sync.counters.pulled.resets == 1 && a.sync.counters.served.resets == 1)
        }
    }

    @Test("A repair brings back what both claim to know")
    func repair() async throws {
        try await withSyncNodes(2, Wrapping.sealed.apply) { nodes in
            let (a, b) = (nodes[0], nodes[1])
            try a.put(0..<100)
            // It claims to know, and has nothing.
            var session = b.registry.beginSession()
            var page = SyncPage(number: 0)
            page.opening = .delta
            page.end = .complete([SyncOrigin(origin: 1, head: 100, gaps: [], floor: 0)])
            try b.registry.receive(page, in: &session)
            #expect(b.registry.compare(with: a.registry.digest()) == .diverged)
            let plain = try await b.pull(from: a)
            #expect(plain.isComplete && plain.operations == 0 && b.content.isEmpty)
            let report = try await b.pull(from: a, isRepair: true)
            #expect(report.isComplete && report.wasRepair && report.changes == 100)
            #expect(b.content == a.content && b.registry.digest() == a.registry.digest())
            #expect(b.sync.counters.pulled.repairs == 1 && a.sync.counters.served.repairs == 1)
        }
    }

    @Test("The gossip's keys rotate between syncs, and while one runs")
    func rotation() async throws {
        try await withSyncNodes(2, Wrapping.sealed.apply) { nodes in
            let (a, b) = (nodes[0], nodes[1])
            let old = KeyChain.Source.key(try #require(Wrapping.key))
            let new = KeyChain.Source.key(try #require(GossipKey(octets: [UInt8](repeating: 7, count: 16))))
            try a.put(0..<2_000)
            var changed = 0
            func exchange() async throws {
                try a.put(changed..<changed + 1, "\(changed)")
                changed += 1
                #expect(try await b.pull(from: a).isComplete)
                #expect(try await a.pull(from: b).isComplete)
                #expect(a.registry.digest() == b.registry.digest())
            }
            try await exchange()
            for node in nodes { try await node.node.change(.install(new)) }
            try await exchange()
            try await a.node.change(.use(new))
            // One seals with the new key, the other with the old one.
            try await exchange()
            try await b.node.change(.use(new))
            try await exchange()
            for node in nodes { try await node.node.change(.remove(old)) }
            try await exchange()
            // A stream that is open does not ask for the gossip's keys any more.
            a.application.set { sync, stream in
                var end = try await SyncEnd.answering(stream, sync)
                let (session, start) = try await end.want(of: sync)
                var source = start
                try await b.node.change(.install(old))
                try await b.node.change(.use(old))
                try await b.node.change(.remove(new))
                while let page = sync.registry.nextPage(of: &source) {
                    try await end.send(Frame(.page(session: session, page)))
                }
                try await end.untilClosed()
            }
            try a.put(0..<3_000, "more")
            #expect(try await b.pull(from: a).isComplete)
            #expect(a.content == b.content)
            a.application.set(nil)
            // Now the two have no key in common.
            guard case .unreachable = try await b.failure(from: a) else {
                Issue.record("a node with another key was heard")
                return
            }
            #expect(b.sync.counters.closed == 1 && b.sync.counters.pulled.aborted == 1)
        }
    }
}
