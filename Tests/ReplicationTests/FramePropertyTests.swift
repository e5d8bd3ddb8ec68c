import RegdnsTestKit
import RegistryStore
import Testing

@testable import Replication

/// Frames at random: what goes out comes back, every value has one encoding, and no bytes do harm.
struct FramePropertyTests {
    @Test("any frame comes back as it was, and its bytes with it")
    func roundTrip() throws {
        var random = SeededRandom(test: "frame round trip")
        for _ in 0..<400 * SeededRandom.effort {
            let frame = random.frame()
            let bytes = frame.encoded()
            let decoded = try Frame(decoding: bytes)
            #expect(decoded == frame, "seed \(random.seed)")
            #expect(decoded.encoded() == bytes, "seed \(random.seed)")
        }
    }

    @Test("whatever is read is written again byte for byte: no value has two encodings")
    func canonical() {
        var random = SeededRandom(test: "frames changed at random")
        var accepted = 0
        for _ in 0..<6000 * SeededRandom.effort {
            var bytes = random.frame().encoded()
            for _ in 0...random.below(3) { random.damage(&bytes) }
            guard let frame = try? Frame(decoding: bytes) else { continue }
            accepted += 1
            #expect(frame.encoded() == bytes, "seed \(random.seed)")
        }
        #expect(accepted > 100)
    }

    @Test("noise behind a good header ends soon and without harm")
    func noise() {
        var random = SeededRandom(test: "frames of noise")
        for _ in 0..<4000 * SeededRandom.effort {
            let bytes = [0xd0, 0x10, UInt8(1 + random.below(9))] + random.octets(upTo: 80)
            guard let frame = try? Frame(decoding: bytes) else { continue }
            #expect(frame.encoded() == bytes, "seed \(random.seed)")
        }
    }

    @Test("a frame that is cut short is refused at every length")
    func truncated() {
        var random = SeededRandom(test: "truncated frames")
        for _ in 0..<40 {
            var frame = random.frame()
            if case .unknown = frame.body { continue }
            frame.extensions = []
            let bytes = frame.encoded()
            for length in bytes.indices {
                #expect(throws: FrameError.self, "seed \(random.seed)") {
                    try Frame(decoding: Array(bytes[..<length]))
                }
            }
        }
    }
}

extension SeededRandom {
    fileprivate mutating func damage(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        let place = below(bytes.count)
        switch below(4) {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: next())
        case 1: bytes[place] ^= 1 << UInt8(below(8))
        case 2: bytes.remove(at: place)
        default: bytes.insert([0, 1, 0x7f, 0x80, 0xff][below(5)], at: place)
        }
    }

    mutating func frame() -> Frame {
        let body: Frame.Body
        switch below(10) {
        case 0: body = .delta(operations())
        case 1: body = .digest(digest())
        case 2: body = .want(WantFrame(session: next(), context: context()))
        case 3:
            let renewals = (0..<below(5)).map { _ in
                RenewFrame.Renewal(id: leaseID(), ageMilliseconds: Int64(next() >> UInt64(1 + below(63))))
            }
            body = .renew(RenewFrame(batch: next(), hlc: next(), renewals: renewals))
        case 4:
            body = .renewAnswer(
                RenewAnswerFrame(batch: next() >> UInt64(below(64)), refused: (0..<below(4)).map { _ in leaseID() }))
        case 5:
            body = .handover(
                (0..<below(4)).map { _ in Handover(id: leaseID(), remainingMilliseconds: Int64(next() >> 20)) })
        case 6:
            let low = UInt8(below(4))
            body = .hello(
                HelloFrame(
                    versions: low...(low + UInt8(below(4))), node: text(), origin: next(), nonce: bytes(16),
                    publicKey: bytes(oneIn(2) ? 32 : 0), digest: digest()))
        case 7: body = .page(session: next(), page())
        case 8:
            body = .bye(
                ByeFrame(
                    reason: ByeFrame.Reason(rawValue: UInt8(below(256))),
                    retryMilliseconds: Int64(next() >> UInt64(1 + below(63)))))
        default: return Frame(.unknown(kind: UInt8(10 + below(240)), octets(upTo: 20)))
        }
        var extensions: [FrameExtension] = []
        var type: UInt64 = 0
        for _ in 0..<below(3) {
            type += UInt64(1 + below(200))
            extensions.append(FrameExtension(type: type, bytes: octets(upTo: 9)))
        }
        return Frame(body, extensions: extensions)
    }

    private mutating func leaseID() -> LeaseID { LeaseID(Int64(bitPattern: next() | 1)) }

    /// Texts of which some are equal for Unicode and different for us.
    private mutating func text() -> String {
        ["", "a", "service-with-a-name", "é", "e\u{301}", "日本", "\0"][below(7)]
    }

    private mutating func digest() -> DigestFrame {
        var origins = Set((0..<below(4)).map { _ in next() }).sorted()
        if oneIn(3) { origins = [] }
        let rows = origins.map { origin in
            ReplicaDigest.Origin(
                origin: origin, head: next() >> UInt64(below(64)), floor: UInt64(below(9)), missing: below(1025),
                hash: next())
        }
        return DigestFrame(
            clock: Int64(next() >> 20), summary: ReplicaSummary(context: next(), entries: next()),
            origins: oneIn(2) ? rows : nil)
    }

    private mutating func context() -> [SyncOrigin] {
        Set((0..<below(4)).map { _ in next() }).sorted().map { origin in
            var gaps: [ClosedRange<UInt64>] = []
            var end: UInt64 = UInt64(below(3))
            for _ in 0..<below(4) {
                let lower = end + 1
                let upper = lower + UInt64(below(300))
                gaps.append(lower...upper)
                end = upper + 1 + UInt64(below(2))
            }
            return SyncOrigin(
                origin: origin, head: end + 1 + next() >> UInt64(1 + below(63)), gaps: gaps, floor: UInt64(below(90)),
                idleMilliseconds: oneIn(2) ? nil : Int64(below(1_000_000)))
        }
    }

    private mutating func page() -> SyncPage {
        var page = SyncPage(number: below(3))
        if page.number == 0 { page.opening = [.delta, .reset(context()), .repair(context())][below(3)] }
        page.live = (0..<below(3)).map { _ in
            let lower = UInt64(below(1000))
            return DotRange(origin: next(), sequences: lower...(lower + UInt64(below(1000))))
        }
        page.operations = operations()
        if oneIn(2) { page.end = oneIn(4) ? .void : .complete(context()) }
        return page
    }

    private mutating func operations() -> [RemoteOperation] {
        let origins = [next(), next(), 0]
        return (0..<below(6)).map { _ in
            let kind: OperationKind = [.write, .write, .expiry, .delete][below(4)]
            var operation = RemoteOperation(
                namespace: Namespace(text()), key: [0] + octets(upTo: 12),
                version: Version(
                    hlc: next(), kind: kind, origin: origins[below(3)], sequence: 1 + next() >> UInt64(1 + below(63))),
                value: nil, wasLeased: kind != .write && oneIn(2))
            guard kind == .write else { return operation }
            operation.value = oneIn(2) ? .bytes(octets(upTo: 30)) : .registration(registration())
            if oneIn(2) {
                operation.lease = RemoteOperation.RemoteLease(
                    id: leaseID(), milliseconds: Int64(next() >> UInt64(1 + below(63))), isShared: oneIn(2),
                    isSuspended: oneIn(2), home: text())
            }
            return operation
        }
    }

    private mutating func registration() -> Registration {
        let hosts: [ServiceHost] = [.none, .ipv4(0x0a00_0001), .ipv6(next(), next()), .name(text())]
        var registration = Registration(
            host: hosts[below(4)], port: Int(truncatingIfNeeded: next()), priority: below(9) - 4, weight: Int.min,
            text: text(), mail: oneIn(2), ttl: UInt32(truncatingIfNeeded: next()), targetStrip: Int.max, group: text())
        if oneIn(4) { return registration }
        registration.instance = InstanceAttributes(
            service: text(), id: text(), tags: (0..<below(3)).map { _ in text() }, status: text(), endpointType: text(),
            endpoint: text(), metadata: oneIn(2) ? octets(upTo: 9) : nil, extra: oneIn(2) ? octets(upTo: 9) : nil,
            origin: text())
        return registration
    }
}
