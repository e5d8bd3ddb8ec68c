import EtcdMessages
import FoundationEssentials
import NIOEmbedded
import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdAPI

/// Random changes, watches and slow clients against the list of all events.
@Suite("v3: watches against a model")
struct V3WatchHistoryTests {
    private struct Watched {
        let client: Int
        let id: Int64
        let keys: KeyRange
        let start: Int64
        var seen: [String] = []
    }

    private static let names = ["a", "a/1", "a/2", "ab", "b", "b/1"]

    @Test("Every watch sees what happened in its range since its start, once and in order", arguments: 0..<20)
    func histories(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let door = try V3Door()
        let loop = EmbeddedEventLoop()
        let clients = (0..<4).map { _ in WatchClient(door.v3, on: loop) }
        var history: [(key: String, revision: Int64, text: String)] = []
        var watched: [Watched] = []

        func collect(_ client: Int) throws {
            for response in try clients[client].responses() where !response.events.isEmpty {
                let place = try #require(watched.firstIndex { $0.client == client && $0.id == response.watchID })
                watched[place].seen += response.events.map(\.text)
                // Events of one revision are never parted.
                let last = response.events.last?.kv.modRevision
                #expect(response.header.revision >= last ?? 0)
            }
        }
        func change() throws {
            let key = Self.names[random.below(Self.names.count)]
            if random.below(3) == 0 {
                let upper = random.below(2) == 0 ? "" : key + "~"
                let keys = KeyRange(key: key.data, end: upper.data)
                let present = try door.range("\\0", "\\0").kvs.map { String(decoding: $0.key, as: UTF8.self) }
                let revision = try door.delete(key, upper).header.revision
                for name in present where keys.contains(Array(name.utf8)) {
                    history.append((name, revision, "-\(name)@\(revision)"))
                }
            } else {
                let revision = try door.put(key, "\(history.count)").header.revision
                history.append((key, revision, "+\(key)=\(history.count)@\(revision)"))
            }
        }
        func watch() throws {
            let key = Self.names[random.below(Self.names.count)]
            let end = ["", key + "0", "\\0", String(key.dropLast()) + "c"][random.below(4)]
            let keys = KeyRange(key: key.data, end: end.data)
            let now = door.keyspace.index
            let start = [0, 2, now, now + 1, now + 3, max(2, now - 5)][random.below(6)]
            let client = random.below(clients.count)
            let id = Int64(watched.count + 1)
            guard !keys.isEmpty else { return }
            try clients[client].create(key, end, start: start, id: id)
            watched.append(Watched(client: client, id: id, keys: keys, start: start == 0 ? now + 1 : start))
        }
        for _ in 0..<300 {
            switch random.below(10) {
            case 0: try watch()
            case 1:
                let client = clients[random.below(clients.count)]
                client.stream.isWritable.toggle()
                client.stream.room = random.below(2) == 0 ? nil : 1 + random.below(3)
                if client.stream.isWritable { client.handler.becameWritable() }
            case 2: loop.run()
            case 3: try collect(random.below(clients.count))
            default: try change()
            }
        }
        for (place, client) in clients.enumerated() {
            client.stream.room = nil
            client.stream.isWritable = true
            client.handler.becameWritable()
            try collect(place)
        }
        for one in watched {
            let expected = history.filter { $0.revision >= one.start && one.keys.contains(Array($0.key.utf8)) }
            #expect(one.seen == expected.map(\.text), "\(one.keys) from \(one.start)")
        }
    }

    @Test("The index finds the groups that a scan finds", arguments: 0..<20 * SeededRandom.effort)
    func index(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let alphabet: [UInt8] = [0, 97, 98, 255]
        var index = WatchIndex()
        var groups: [WatchGroup] = []
        for _ in 0..<200 {
            let lower = random.bytes(upTo: 3, of: alphabet)
            let uppers: [[UInt8]] = [[], [0], lower + [0], lower + [97], random.bytes(upTo: 3, of: alphabet)]
            let keys = KeyRange(key: lower, end: uppers[random.below(uppers.count)])
            if random.below(3) == 0, !groups.isEmpty {
                index.remove(groups.remove(at: random.below(groups.count)))
            } else if !keys.isEmpty {
                let group = index.group(WatchInterest(keys: keys, withPrevious: random.below(2) == 0))
                if !groups.contains(where: { $0 === group }) { groups.append(group) }
            }
            let key = random.bytes(upTo: 3, of: alphabet) + [97]
            var found: [ObjectIdentifier] = []
            index.forEach(concernedBy: key) { found.append(ObjectIdentifier($0)) }
            let expected = groups.filter { $0.interest.keys.contains(key) }.map { ObjectIdentifier($0) }
            #expect(found.count == expected.count && Set(found) == Set(expected))
        }
        for group in groups { index.remove(group) }
        #expect(index.isEmpty)
    }
}
