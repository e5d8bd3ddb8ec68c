import DNSWire
import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Under which id an entry is shown follows from the entries that are there: every order of the same operations, and a
/// restart, end in the same identities.
struct IdentityPropertyTests {
    static let names = ["web/one", "web/two", "blue/web/three", "shop/four"]

    static func key(_ name: String) -> [UInt8] { Array("/skydns/local/skydns/\(name)".utf8) }

    /// Ids that are fought for: two plain ones, the short form of each key, and the long form of one.
    static let ids = ["a", "b"] + names.map { KeyID.short(key($0)) } + [KeyID.long(key(names[0]))]

    /// Per key a run of writes and removals, each later than the one before.
    static func operations(_ random: inout SeededRandom) -> [RemoteOperation] {
        var operations: [RemoteOperation] = []
        for sequence in 1...14 {
            let version = Version(
                hlc: UInt64(1 + random.below(6)) << 16, kind: random.below(3) == 0 ? .delete : .write,
                origin: UInt64(1 + random.below(3)), sequence: UInt64(sequence))
            let name = names[random.below(names.count)]
            operations.append(
                RemoteOperation(
                    namespace: .default, key: key(name), version: version,
                    value: version.kind == .write ? value(&random) : nil))
        }
        return operations
    }

    private static func value(_ random: inout SeededRandom) -> PutValue {
        let id = ids[random.below(ids.count)]
        switch random.below(4) {
        case 0: return .bytes(Array(#"{"host":"10.0.0.1"}"#.utf8))
        case 1: return .bytes(Array(#"{"host":"10.0.0.1","service":"web"}"#.utf8))
        case 2: return .bytes(Array(#"{"host":"10.0.0.1","service":"web","id":"\#(id)"}"#.utf8))
        default:
            let instance = InstanceAttributes(service: "shop", id: id, endpointType: "tcp", endpoint: "e")
            return .registration(Registration(host: .ipv4(1), instance: instance))
        }
    }

    /// Key, version and id of all that is shown.
    static func shown(_ core: borrowing StoreCore) -> [String] {
        core.snapshot().changes.compactMap(\.current).map { "\(text($0.key)) \($0.version) \($0.indexedID ?? "-")" }
    }

    @Test(
        "all nodes agree on identities, whatever came first, and so does the next process",
        arguments: 0..<300 * SeededRandom.effort)
    func everyOrder(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        let operations = Self.operations(&random)
        var expected: [String]?
        for _ in 0..<6 {
            var core = try MergeTests.store()
            var rest = operations.shuffled(using: &random)[...]
            while !rest.isEmpty {
                let batch = rest.prefix(1 + random.below(4))
                rest = rest.dropFirst(batch.count)
                _ = core.merge(Array(batch), now: MergeTests.now)
                let problem = core.checkInvariants()
                #expect(problem == nil)
            }
            let shown = Self.shown(core)
            #expect(shown == expected ?? shown)
            expected = shown

            var content = KeptContent()
            content.entries = core.snapshot().changes.compactMap(\.current).map { KeptEntry($0, ownLease: nil) }
            content.entries.shuffle(using: &random)
            var next = try MergeTests.store(origin: 7)
            _ = next.restore(content, isRenamed: false, now: MergeTests.now)
            let again = Self.shown(next)
            let problem = next.checkInvariants()
            #expect(problem == nil)
            #expect(again == shown)
        }
    }

    @Test("one of two that claim an id goes before the other comes: the nodes agree all the same")
    func goneBefore() throws {
        func operation(_ name: String, _ hlc: UInt64, _ kind: OperationKind) -> RemoteOperation {
            RemoteOperation(
                namespace: .default, key: Self.key(name),
                version: Version(hlc: hlc << 16, kind: kind, origin: 1, sequence: hlc),
                value: kind == .write ? .bytes(Array(#"{"host":"10.0.0.1","service":"web","id":"a"}"#.utf8)) : nil)
        }
        let holder = operation("web/one", 2, .write)
        let other = operation("web/two", 1, .write)
        let removal = operation("web/one", 3, .delete)
        for order in [[holder, other, removal], [removal, other, holder], [other, holder, removal]] {
            var core = try MergeTests.store()
            for operation in order { _ = core.merge([operation], now: MergeTests.now) }
            let found = core.entry(.default, id: "a")?.key
            #expect(found == other.key)
        }
    }

    @Test("a batch that is taken back leaves the identities as they were")
    func takenBack() throws {
        var random = SeededRandom(seed: 5)
        for _ in 0..<200 {
            var core = try MergeTests.store()
            _ = core.merge(Self.operations(&random), now: MergeTests.now)
            let before = Self.shown(core)
            let intents = (0..<4).map { _ -> Intent in
                let key = Self.key(Self.names[random.below(Self.names.count)])
                guard random.below(3) > 0 else { return .delete(namespace: .default, key: key) }
                return .put(namespace: .default, key: key, value: Self.value(&random), lease: .permanent)
            }
            let failing = Intent.delete(namespace: .default, key: [1], preconditions: [.exists])
            let isRefused = (try? core.apply(intents + [failing], now: MergeTests.now)) == nil
            let after = Self.shown(core)
            var problem = core.checkInvariants()
            #expect(isRefused && after == before && problem == nil)
            // What was not refused at once ends in what is due.
            _ = try? core.apply(intents, now: MergeTests.now)
            problem = core.checkInvariants()
            #expect(problem == nil)
        }
    }

    @Test("in a mirror the last put has the id, in whatever order a list gives the keys")
    func mirrors() throws {
        let values = Self.names.enumerated().map { place, name in
            MirroredValue(
                key: Self.key(name), value: Array(#"{"host":"10.0.0.1","service":"web","id":"a"}"#.utf8), lease: nil,
                createRevision: 1, modRevision: Int64([7, 9, 9, 3][place]), putCount: 1)
        }
        var random = SeededRandom(seed: 1)
        var seen: Set<String> = []
        for _ in 0..<24 {
            var core = try MergeTests.store(isMirror: true)
            let changes = values.shuffled(using: &random).map { MirrorChange.put($0) }
            _ = core.mirror(
                [MirroredSpace(.default, changes)], revision: 9, restarts: true, now: MergeTests.now)
            let kept = core.snapshot().changes.compactMap(\.current)
            #expect(kept.map(\.modRevision).sorted() == [3, 7, 9, 9], "who is shown otherwise was not put again")
            seen.insert(core.entry(.default, id: "a").map { text($0.key) } ?? "nobody")
            let problem = core.checkInvariants()
            #expect(problem == nil)
        }
        #expect(seen.count == 1)
    }
}
