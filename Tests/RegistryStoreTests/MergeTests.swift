import DNSWire
import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Last writer wins: the laws over a small universe, exhaustively, and the rules of leases and ids.
struct MergeTests {
    static let kinds: [OperationKind] = [.write, .expiry, .delete]

    /// All versions of three origins and kinds at two times; a dot belongs to one operation.
    static let versions: [Version] = (1...2).flatMap { time in
        (1...3).flatMap { origin in
            kinds.map { kind in
                Version(
                    hlc: UInt64(time) << 16, kind: kind, origin: UInt64(origin),
                    sequence: UInt64(time) * 10 + UInt64(kind.rawValue) + 1)
            }
        }
    }

    private static func join(_ a: Version?, _ b: Version?) -> Version? {
        guard let b else { return a }
        return MergeRule.wins(b, over: a) ? b : a
    }

    @Test("the rule is commutative, associative and idempotent")
    func laws() {
        let all = [nil] + Self.versions
        for a in all {
            #expect(Self.join(a, a) == a)
            for b in all {
                #expect(Self.join(a, b) == Self.join(b, a))
                for c in all {
                    #expect(Self.join(Self.join(a, b), c) == Self.join(a, Self.join(b, c)))
                }
            }
        }
    }

    // MARK: Whole stores

    /// Three keys, three origins, three kinds, all at one hybrid time.
    static let operations: [RemoteOperation] = (0..<3).flatMap { key in
        (1...3).flatMap { origin in
            kinds.map { kind in
                let sequence = UInt64(key * 3) + UInt64(kind.rawValue) + 1
                return operation(
                    "k\(key)", Version(hlc: 77 << 16, kind: kind, origin: UInt64(origin), sequence: sequence))
            }
        }
    }

    static func operation(_ name: String, _ version: Version) -> RemoteOperation {
        let value = #"{"host":"10.0.\#(version.origin % 256).\#(version.sequence % 256)"}"#
        return RemoteOperation(
            namespace: .default, key: Array("/skydns/local/skydns/\(name)".utf8), version: version,
            value: version.kind == .write ? .bytes(Array(value.utf8)) : nil)
    }

    static func store(origin: UInt64 = 99, node: String = "here", isMirror: Bool = false) throws -> StoreCore {
        var limits = RegistryLimits()
        limits.maxLeases = 100
        limits.feedEvents = 10
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        return StoreCore(layout: layout, node: node, origin: origin, limits: limits, isMirror: isMirror)
    }

    static let now = Moment(monotonic: 1000, unix: 1_700_000_000_000)

    /// What a store holds, tombstones included, as text.
    static func content(_ core: borrowing StoreCore) -> [String] {
        var lines = core.snapshot().changes.map { change in
            "\(text(change.key)) \(change.version) \(change.current.map { text(StoreCore.value(of: $0)) } ?? "")"
        }
        lines += core.tombstones.all().map { "\(text($0.key)) \($0.version)" }
        return lines.sorted()
    }

    private static func content(of batches: [[RemoteOperation]]) throws -> [String] {
        var core = try store()
        for batch in batches { _ = core.merge(batch, now: now) }
        let problem = core.checkInvariants()
        #expect(problem == nil)
        return content(core)
    }

    @Test("any two operations: order, repetition and batching make no difference")
    func pairs() throws {
        for a in Self.operations {
            for b in Self.operations {
                let expected = try Self.content(of: [[a], [b]])
                #expect(try Self.content(of: [[b], [a]]) == expected)
                #expect(try Self.content(of: [[a, b]]) == expected)
                #expect(try Self.content(of: [[b, a]]) == expected)
                #expect(try Self.content(of: [[a], [b], [a], [b]]) == expected)
            }
        }
    }

    @Test("any three operations on one key: every order and batching gives one state")
    func triples() throws {
        let ofOneKey = Array(Self.operations.prefix(9))
        for (i, a) in ofOneKey.enumerated() {
            for (j, b) in ofOneKey.enumerated().dropFirst(i + 1) {
                for c in ofOneKey.dropFirst(j + 1) {
                    let expected = try Self.content(of: [[a], [b], [c]])
                    #expect(expected.count == 1)
                    for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
                        #expect(try Self.content(of: [order]) == expected)
                        #expect(try Self.content(of: order.map { [$0] }) == expected)
                    }
                }
            }
        }
    }

    @Test(
        "random sets of operations, shuffled, repeated and cut into batches at random",
        arguments: 0..<50 * SeededRandom.effort)
    func shuffles(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        var operations: [RemoteOperation] = []
        for sequence in 1...40 {
            let version = Version(
                hlc: UInt64(random.below(4)) << 16, kind: Self.kinds[random.below(3)],
                origin: UInt64(1 + random.below(3)), sequence: UInt64(sequence))
            operations.append(Self.operation("k\(random.below(5))", version))
        }
        let expected = try Self.content(of: [operations])
        for _ in 0..<6 {
            var rest = (operations + operations.prefix(random.below(40))).shuffled(using: &random)[...]
            var batches: [[RemoteOperation]] = []
            while !rest.isEmpty {
                batches.append(Array(rest.prefix(1 + random.below(7))))
                rest = rest.dropFirst(batches[batches.count - 1].count)
            }
            #expect(try Self.content(of: batches) == expected)
        }
    }

    // MARK: Rules

    @Test("a local write over a remote one wins, however far its clock is ahead")
    func localAfterRemote() throws {
        var core = try Self.store()
        let future = Version(hlc: .max - 1, kind: .write, origin: 1, sequence: 1)
        _ = core.merge([Self.operation("a", future)], now: Self.now)
        let key = Self.operation("a", future).key
        let intent = Intent.put(namespace: .default, key: key, value: .bytes([1]), lease: .permanent)
        let version = try core.apply([intent], now: Self.now).receipt.changes[0].version
        #expect(version > future)
        let other = Intent.put(namespace: .default, key: [1], value: .bytes([1]), lease: .permanent)
        _ = try core.apply([other], now: Self.now)
        // At the end of time nothing is greater, and nothing traps.
        _ = core.merge([Self.operation("b", Version(hlc: .max, kind: .write, origin: 1, sequence: 2))], now: Self.now)
        let last = Intent.delete(namespace: .default, key: Self.operation("b", future).key)
        let end = try core.apply([last], now: Self.now).receipt.changes[0].version.hlc
        #expect(end == .max)
    }

    @Test("a remote time far ahead moves this clock by ten seconds at most")
    func clockLead() throws {
        var core = try Self.store()
        let ahead = UInt64(Self.now.unix + 3_600_000) << 16
        _ = core.merge([Self.operation("a", Version(hlc: ahead, kind: .write, origin: 1, sequence: 1))], now: Self.now)
        let intent = Intent.put(namespace: .default, key: [1], value: .bytes([1]), lease: .permanent)
        let version = try core.apply([intent], now: Self.now).receipt.changes[0].version
        #expect(version.hlc == UInt64(Self.now.unix + 10_000) << 16)
    }

    private static func leased(
        _ name: String, _ version: Version, home: String, lease: Int64 = 5, milliseconds: Int64 = 10_000
    ) -> RemoteOperation {
        var operation = operation(name, version)
        operation.lease = RemoteOperation.RemoteLease(
            id: LeaseID(lease), milliseconds: milliseconds, isShared: false, isSuspended: false, home: home)
        return operation
    }

    @Test("a lease counted elsewhere never ends here, and bounds answers by half its length")
    func foreignLease() throws {
        var core = try Self.store()
        let version = Version(hlc: 5 << 16, kind: .write, origin: 1, sequence: 1)
        _ = core.merge([Self.leased("a", version, home: "there")], now: Self.now)
        let content = core.snapshot()
        let entry = try #require(content.changes.first?.current)
        #expect(core.leases.info(entry.deadlineSlot, now: 1000).home == "there")
        #expect(core.leases.deadlines.answerMilliseconds(entry.deadlineSlot, now: 1_000_000) == 5000)
        let later = Moment(monotonic: 1_000_000, unix: Self.now.unix + 999_000)
        let early = core.expireDue(now: later)
        #expect(early.isEmpty)
        // A heartbeat that lands here makes this node the home: a write, and from now on it counts.
        let id = try #require(entry.indexedID)
        let renewal = try core.renew(.default, id: id, now: later)
        let outcome = try #require(renewal)
        #expect(outcome.receipt.changes.count == 1)
        #expect(outcome.receipt.changes[0].version > version)
        #expect(core.leases.info(entry.deadlineSlot, now: later.monotonic).home == "here")
        let due = core.expireDue(now: Moment(monotonic: 1_010_000, unix: later.unix + 10_000))
        #expect(due.count == 1)
        let problem = core.checkInvariants()
        #expect(problem == nil)
    }

    @Test("a lease whose home has this node's name is counted here")
    func ownLeaseComesBack() throws {
        var core = try Self.store()
        let version = Version(hlc: 5 << 16, kind: .write, origin: 1, sequence: 1)
        _ = core.merge([Self.leased("a", version, home: "here")], now: Self.now)
        let outcomes = core.expireDue(now: Moment(monotonic: 11_000, unix: Self.now.unix + 10_000))
        let change = try #require(outcomes.first?.receipt.changes.first)
        #expect(change.kind == .expiry)
        #expect(change.version.hlc == version.hlc, "it ends that very write and nothing newer")
    }

    @Test("an expiry and its home's answer in one batch leave the entry with its lease")
    func expiryAndAnswer() throws {
        var core = try Self.store()
        let first = Version(hlc: 5 << 16, kind: .write, origin: 1, sequence: 1)
        let expiry = Version(hlc: 5 << 16, kind: .expiry, origin: 2, sequence: 1)
        let answer = Version(hlc: 5 << 16 | 1, kind: .write, origin: 1, sequence: 2)
        _ = core.merge([Self.leased("a", first, home: "there")], now: Self.now)
        _ = core.merge([Self.operation("a", expiry), Self.leased("a", answer, home: "there")], now: Self.now)
        let content = core.snapshot()
        let entry = try #require(content.changes.first?.current)
        #expect(entry.version == answer)
        #expect(entry.lease == LeaseID(5))
        #expect(core.leases.count == 1)
        let problem = core.checkInvariants()
        #expect(problem == nil)
    }

    @Test("an expiry beats the write it expires and nothing newer")
    func expiryIsBound() throws {
        let first = Version(hlc: 5 << 16, kind: .write, origin: 1, sequence: 1)
        let expiry = Version(hlc: 5 << 16, kind: .expiry, origin: 2, sequence: 1)
        let second = Version(hlc: 5 << 16 | 1, kind: .write, origin: 3, sequence: 1)
        for order in [[first, expiry, second], [second, expiry, first], [expiry, second, first]] {
            var core = try Self.store()
            for version in order { _ = core.merge([Self.operation("a", version)], now: Self.now) }
            let versions = core.snapshot().changes.map(\.version)
            #expect(versions == [second])
        }
    }

    @Test("who counts a lease that runs answers its expiry with a new write; a delete is obeyed")
    func reassert() throws {
        for kind in [OperationKind.expiry, .delete] {
            var core = try Self.store()
            let layout = core.layout
            let key = layout.primaryKey(service: "s", id: "i")
            let registration = Registration(
                host: .ipv4(1),
                instance: InstanceAttributes(service: "s", id: "i", endpointType: "tcp", endpoint: "0.0.0.1"))
            let intent = Intent.put(
                namespace: .default, key: key, value: .registration(registration), lease: .own(milliseconds: 1000))
            let version = try core.apply([intent], now: Self.now).receipt.changes[0].version
            var expiry = RemoteOperation(
                namespace: .default, key: key, version: Version(hlc: version.hlc, kind: kind, origin: 1, sequence: 1),
                value: nil)
            let outcome = core.merge([expiry], now: Self.now)
            if kind == .delete {
                #expect(outcome.receipt.changes.map(\.kind) == [.delete])
                #expect(core.leases.count == 0)
                continue
            }
            #expect(outcome.receipt.changes.map(\.kind) == [.write])
            #expect(outcome.receipt.changes[0].version > expiry.version)
            #expect(core.leases.count == 1)
            // Once its time is over here too, the expiry holds.
            expiry.version.hlc = outcome.receipt.changes[0].version.hlc
            expiry.version.sequence = 2
            let late = Moment(monotonic: 2000, unix: Self.now.unix + 1000)
            let last = core.merge([expiry], now: late).receipt.changes.map(\.kind)
            #expect(last == [.expiry])
        }
    }

    @Test("a node that has passed on a heartbeat answers the expiry by others, and counts from that heartbeat")
    func reassertForwarded() throws {
        for (kind, pause) in [(OperationKind.expiry, 4000), (.expiry, 10_000), (.delete, 4000)] {
            var core = try Self.store()
            core.forwarding = HeartbeatQueue(heartbeatsMax: 10)
            let version = Version(hlc: 5 << 16, kind: .write, origin: 1, sequence: 1)
            _ = core.merge([Self.leased("a", version, home: "there")], now: Self.now)
            let heartbeat = Moment(monotonic: Self.now.monotonic + 7000, unix: Self.now.unix + 7000)
            _ = try core.keepAlive(LeaseID(5), now: heartbeat)
            #expect(core.forwarding?.waiting.count == 1)
            let later = Moment(
                monotonic: heartbeat.monotonic + Int64(pause), unix: heartbeat.unix + Int64(pause))
            let end = Version(hlc: 5 << 16 | 3, kind: kind, origin: 2, sequence: 1)
            let change = try #require(core.merge([Self.operation("a", end)], now: later).receipt.changes.first)
            guard kind == .expiry, pause < 10_000 else {
                #expect(change.kind == kind, "\(kind) after \(pause) ms")
                continue
            }
            #expect(change.kind == .write && change.version > end)
            let slot = try #require(core.leases.slot(of: LeaseID(5)))
            #expect(core.leases.isHome(slot))
            #expect(core.leases.deadlines.deadline(slot) == heartbeat.monotonic + 10_000)
        }
    }

    @Test("a granted lease ends with its last key where others expire a later write of it; a delete leaves it")
    func grantedLeaseWithoutKeys() throws {
        for kind in [OperationKind.expiry, .delete] {
            var core = try Self.store()
            let lease = try core.grant(LeaseID(5), milliseconds: 10_000, now: Self.now).id
            let keys = [Array("a".utf8), Array("b".utf8)]
            for key in keys {
                let put = Intent.put(
                    namespace: .default, key: key, value: .bytes(Array("1".utf8)), lease: .shared(lease))
                _ = try core.apply([put], now: Self.now)
            }
            for (place, key) in keys.enumerated() {
                _ = try core.keepAlive(lease, now: Self.now)
                let end = RemoteOperation(
                    namespace: .default, key: key,
                    version: Version(
                        hlc: UInt64(Self.now.unix + 60_000) << 16, kind: kind, origin: 1, sequence: UInt64(place + 1)),
                    value: nil)
                #expect(core.merge([end], now: Self.now).receipt.changes.map(\.kind) == [kind])
            }
            let isThere = core.leases.slot(of: lease) != nil
            #expect(isThere == (kind == .delete))
            let problem = core.checkInvariants()
            #expect(problem == nil)
        }
    }

    @Test("a lease that this process gave time after a pause is not held against its expiry, until it is renewed")
    func givenTime() throws {
        for isRenewed in [false, true] {
            var core = try Self.store()
            let key = core.layout.primaryKey(service: "s", id: "i")
            let registration = Registration(
                host: .ipv4(1),
                instance: InstanceAttributes(service: "s", id: "i", endpointType: "tcp", endpoint: "0.0.0.1"))
            let put = Intent.put(
                namespace: .default, key: key, value: .registration(registration), lease: .own(milliseconds: 4000))
            let version = try core.apply([put], now: Self.now).receipt.changes[0].version
            var later = Moment(monotonic: Self.now.monotonic + 9000, unix: Self.now.unix + 9000)
            let isExtended = core.extendLeases(afterPause: 9000, now: later)
            #expect(isExtended)
            later.monotonic += 100
            if isRenewed { _ = try core.apply([.renew(namespace: .default, key: key)], now: later) }
            let expiry = RemoteOperation(
                namespace: .default, key: key,
                version: Version(hlc: version.hlc, kind: .expiry, origin: 1, sequence: 1), value: nil)
            let kinds = core.merge([expiry], now: later).receipt.changes.map(\.kind)
            #expect(kinds == [isRenewed ? .write : .expiry])
        }
    }

    @Test("what is only written again loses to what somebody wrote meanwhile, and to the end of that")
    func rewritten() throws {
        var core = try Self.store()
        let key = core.layout.primaryKey(service: "s", id: "i")
        let registration = Registration(
            host: .ipv4(1),
            instance: InstanceAttributes(service: "s", id: "i", endpointType: "tcp", endpoint: "0.0.0.1"))
        let intent = Intent.put(
            namespace: .default, key: key, value: .registration(registration), lease: .own(milliseconds: 60_000))
        let first = try core.apply([intent], now: Self.now).receipt.changes[0].version
        let later = Moment(monotonic: 5000, unix: Self.now.unix + 5000)
        var operation = RemoteOperation(
            namespace: .default, key: key, version: Version(hlc: first.hlc, kind: .expiry, origin: 1, sequence: 1),
            value: nil)
        // The lease runs here: written again, though no later than it was.
        let again = core.merge([operation], now: later).receipt.changes[0].version
        #expect(again.kind == .write && again > operation.version && again.isOfSameWrite(as: first))
        // Another node wrote before that was written again, and ended what it wrote. This node never saw the write.
        operation.version = Version(
            hlc: UInt64(later.unix - 1000) << 16, kind: .expiry, origin: 1, sequence: 2)
        #expect(core.merge([operation], now: later).receipt.changes.map(\.kind) == [.expiry])
        #expect(core.leases.count == 0)
    }

    @Test("one id written at two keys: the greater version keeps it on every node")
    func idConflict() throws {
        let operations = (1...2).map { number in
            let instance = InstanceAttributes(service: "s\(number)", id: "x", endpointType: "tcp", endpoint: "e")
            return RemoteOperation(
                namespace: .default, key: Array("/skydns/local/skydns/s\(number)/x".utf8),
                version: Version(hlc: 9 << 16, kind: .write, origin: UInt64(number), sequence: 1),
                value: .registration(Registration(host: .ipv4(1), instance: instance)))
        }
        for order in [operations, operations.reversed()] {
            var core = try Self.store()
            for operation in order { _ = core.merge([operation], now: Self.now) }
            let winner = core.entry(.default, id: "x")
            #expect(winner?.instance?.service == "s2")
            let found = core.entry(.default, key: operations[0].key)
            let loser = try #require(found)
            #expect(loser.indexedID == SHA256.hex(operations[0].key, digits: 16))
            #expect(loser.version == operations[0].version)
            let problem = core.checkInvariants()
            #expect(problem == nil)
        }
    }

    @Test("malformed operations change nothing")
    func malformed() throws {
        var core = try Self.store()
        let version = Version(hlc: 5 << 16, kind: .write, origin: 1, sequence: 1)
        var noValue = Self.operation("a", version)
        noValue.value = nil
        var valueInDelete = Self.operation("a", Version(hlc: 5 << 16, kind: .delete, origin: 1, sequence: 2))
        valueInDelete.value = .bytes([1])
        var longKey = Self.operation("a", version)
        longKey.key = [UInt8](repeating: 1, count: 513)
        let badLease = Self.leased("a", version, home: "there", milliseconds: -1)
        let plain = RemoteOperation(
            namespace: .default, key: [1], version: version, value: .registration(Registration(host: .none)))
        let outcome = core.merge([noValue, valueInDelete, longKey, badLease, plain], now: Self.now)
        #expect(outcome.batch == nil)
        let isEmpty = core.namespaces.isEmpty
        #expect(isEmpty)
    }

    // MARK: Context

    @Test("the context remembers exactly what was put in", arguments: 0..<20 * SeededRandom.effort)
    func context(round: Int) {
        var random = SeededRandom(seed: UInt64(round))
        var context = CausalContext(limits: RegistryLimits())
        var oracle: Set<[UInt64]> = []
        for _ in 0..<300 {
            let dot = [UInt64(random.below(3)), UInt64(1 + random.below(120))]
            context.insert(origin: dot[0], sequence: dot[1])
            oracle.insert(dot)
        }
        for origin in 0..<UInt64(4) {
            for sequence in 0...UInt64(130) where sequence > 0 {
                #expect(
                    context.contains(origin: origin, sequence: sequence) == oracle.contains([origin, sequence]),
                    "seed \(random.seed)")
            }
        }
        if oracle.filter({ $0[0] == 0 }).count == 120 { #expect(context.origins[0]?.gaps.isEmpty == true) }
    }

    @Test("the context is bounded and takes the greatest numbers")
    func contextBounds() {
        var limits = RegistryLimits()
        limits.maxOrigins = 2
        limits.maxGapsPerOrigin = 3
        var context = CausalContext(limits: limits)
        for origin in UInt64(1)...5 { context.insert(origin: origin, sequence: .max) }
        #expect(context.origins.count == 2)
        for sequence in stride(from: UInt64(2), to: 100, by: 2) { context.insert(origin: 1, sequence: sequence) }
        #expect(context.origins[1]?.gaps.count == 3)
        #expect(context.contains(origin: 1, sequence: .max))
        #expect(!context.contains(origin: 3, sequence: .max))
    }
}
