import RegdnsTestKit
import Synchronization
import Testing

@testable import RegistryStore

/// Everything at once, at random: the store must stay consistent, and whoever follows it must see the same.
struct SoakTests {
    /// Rebuilds the content from the batches it is told of.
    private final class Follower: RegistryObserver {
        struct State {
            var revision: Int64 = -1
            var entries: [String: ObjectIdentifier] = [:]
            var problems: [String] = []
        }

        let state = Mutex(State())

        func registryDidChange(_ batch: ChangeBatch) {
            state.withLock { state in
                if state.revision >= 0, batch.revision != state.revision + 1 {
                    state.problems.append("revision \(batch.revision) after \(state.revision)")
                }
                state.revision = batch.revision
                for change in batch.changes {
                    let place = "\(change.namespace) \(text(change.key))"
                    if state.entries[place] != change.previous.map({ ObjectIdentifier($0) }) {
                        state.problems.append("\(place) was not what the change says, revision \(batch.revision)")
                    }
                    state.entries[place] = change.current.map { ObjectIdentifier($0) }
                }
            }
        }
    }

    @Test(
        "random wishes, remote operations and time leave the store consistent", arguments: 0..<20 * SeededRandom.effort)
    func soak(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        var limits = RegistryLimits()
        limits.maxEntries = 60
        limits.maxLeases = 40
        limits.feedEvents = 50
        limits.tombstoneBytes = 4000
        limits.expiriesPerCall = 3
        let fixture = try Fixture(limits: limits)
        if round % 2 == 0 {
            fixture.registry.startReplicating()
            fixture.registry.startForwarding(heartbeatsMax: 3)
        }
        let follower = Follower()
        fixture.registry.addObserver(follower)
        for step in 0..<600 {
            act(fixture, &random)
            if step % 20 == 0 {
                #expect(fixture.inconsistency == nil, "seed \(round), step \(step)")
                check(follower, fixture, "seed \(round), step \(step)")
            }
        }
        fixture.clock.advance(milliseconds: 10_000_000)
        while fixture.registry.expireDue() != nil {}
        #expect(fixture.inconsistency == nil, "seed \(round)")
        check(follower, fixture, "seed \(round)")
    }

    private func act(_ fixture: Fixture, _ random: inout SeededRandom) {
        switch random.below(10) {
        case 0..<5:
            let intents = (0..<(1 + random.below(3))).map { _ in intent(fixture, &random) }
            _ = try? fixture.registry.apply(intents)
        case 5:
            fixture.registry.merge((0..<(1 + random.below(4))).map { _ in operation(fixture, &random) })
        case 6:
            let id = LeaseID(Int64(1 + random.below(3)))
            switch random.below(3) {
            case 0: _ = try? fixture.registry.grantLease(id: id, milliseconds: Int64(random.below(5000)))
            case 1: _ = try? fixture.registry.revokeLease(id)
            default: _ = try? fixture.registry.keepAlive(id)
            }
        case 7: try? fixture.registry.renew(namespace: .default, id: "i\(random.below(6))")
        default:
            fixture.clock.advance(milliseconds: Int64(random.below(700)))
            fixture.registry.expireDue()
        }
    }

    private static let values = [
        "x", "{}", #"{"host":"10.0.0.1"}"#, #"{"host":"10.0.0.2","service":"s1","id":"i1"}"#,
        #"{"host":"10.0.0.3","service":"s2","id":"i2","tags":["t"]}"#, #"{"text":"t"}"#,
    ]

    private func place(_ fixture: Fixture, _ random: inout SeededRandom) -> (Namespace, [UInt8]) {
        let namespace = random.below(4) == 0 ? Namespace("other") : .default
        switch random.below(3) {
        case 0: return (namespace, fixture.key("k\(random.below(12))"))
        case 1: return (namespace, Array("/other/\(random.below(4))".utf8))
        default:
            let service = "s\(random.below(3))"
            return (namespace, fixture.layout.primaryKey(service: service, id: "i\(random.below(6))"))
        }
    }

    private func intent(_ fixture: Fixture, _ random: inout SeededRandom) -> Intent {
        let (namespace, key) = place(fixture, &random)
        let requests: [LeaseRequest] = [
            .permanent, .keep, .own(milliseconds: Int64(random.below(3000))), .suspended(milliseconds: 1000),
            .shared(LeaseID(Int64(1 + random.below(3)))),
        ]
        let lease = requests[random.below(requests.count)]
        switch random.below(10) {
        case 0: return .delete(namespace: namespace, key: key)
        case 1: return .deleteRange(namespace: namespace, lower: key, upper: KeyRange(prefix: key).upper)
        case 2: return .renew(namespace: namespace, key: key)
        case 3...6:
            return fixture.registration(
                "s\(random.below(3))", "i\(random.below(6))", tags: ["t\(random.below(2))"], lease: lease,
                namespace: namespace)
        default:
            let value = Self.values[random.below(Self.values.count)]
            return .put(namespace: namespace, key: key, value: .bytes(Array(value.utf8)), lease: lease)
        }
    }

    private func operation(_ fixture: Fixture, _ random: inout SeededRandom) -> RemoteOperation {
        let (namespace, key) = place(fixture, &random)
        let kind = [OperationKind.write, .write, .expiry, .delete][random.below(4)]
        // Hybrid times around the local ones, so that either side wins now and then.
        let time = UInt64(1_700_001_000_000 + fixture.clock.now - 1_000_000 + Int64(random.below(4000)) - 2000)
        let version = Version(
            hlc: time << 16, kind: kind, origin: UInt64(100 + random.below(3)), sequence: 1 + UInt64(random.below(5000))
        )
        var operation = RemoteOperation(namespace: namespace, key: key, version: version, value: nil)
        guard kind == .write else { return operation }
        let value = Self.values[random.below(Self.values.count)]
        operation.value = .bytes(Array(value.utf8))
        if random.below(3) > 0 {
            operation.lease = RemoteOperation.RemoteLease(
                id: LeaseID(Int64(1 + random.below(6))), milliseconds: 1000, isShared: random.below(2) == 0,
                isSuspended: random.below(4) == 0, home: ["node-1", "node-2"][random.below(2)])
        }
        return operation
    }

    private func check(_ follower: Follower, _ fixture: Fixture, _ note: String) {
        var entries: [String: ObjectIdentifier] = [:]
        for namespace in fixture.registry.namespaces() {
            for entry in fixture.registry.range(namespace: namespace, lower: [], upper: nil).entries {
                entries["\(namespace) \(text(entry.key))"] = ObjectIdentifier(entry)
            }
        }
        let seen = follower.state.withLock { ($0.entries, $0.problems, $0.revision) }
        #expect(seen.0 == entries, "\(note)")
        #expect(seen.1.isEmpty, "\(note)")
        #expect(seen.2 == fixture.registry.revision, "\(note)")
        let counts = fixture.registry.counts()
        #expect(counts.entries == entries.count, "\(note)")
        #expect(counts.feedEvents <= 50 && counts.tombstoneBytes <= 4000 && counts.leases <= 40, "\(note)")
    }
}
