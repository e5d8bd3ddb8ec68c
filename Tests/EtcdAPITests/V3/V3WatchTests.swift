import EtcdMessages
import GRPC
import NIOCore
import NIOEmbedded
import RegistryStore
import Testing

@testable import EtcdAPI

@Suite("v3: watches")
struct V3WatchTests {
    private let loop = EmbeddedEventLoop()

    private func setUp(
        limits: RegistryLimits = .init(), configuration: EtcdV3Configuration = .init()
    ) throws -> (V3Door, WatchClient) {
        let door = try V3Door(limits: limits, configuration: configuration)
        return (door, WatchClient(door.v3, on: loop))
    }

    @Test("Created, then each revision in one response, then cancelled")
    func live() throws {
        let (door, client) = try setUp()
        try door.put("a/1", "before")
        try client.create("a/", "a0")
        let created = try client.responses()
        #expect(created.count == 1 && created[0].created && !created[0].canceled && created[0].watchID == 0)
        #expect(created[0].header.revision == 2)
        try door.put("a/1", "1")
        try door.put("b", "other")
        let first = try client.responses()
        #expect(first.map { $0.events.map(\.text) } == [["+a/1=1@3"]])
        #expect(first[0].events[0].kv.createRevision == 2 && first[0].events[0].kv.version == 2)
        #expect(!first[0].events[0].hasPrevKv)
        _ = try door.txn(then: [.put("a/2", "2"), .delete("a/1"), .put("a/0", "0")])
        let batch = try client.responses()
        #expect(batch.map { $0.events.map(\.text) } == [["+a/2=2@5", "-a/1@5", "+a/0=0@5"]])
        #expect(batch[0].header.revision == 5)
        #expect(batch[0].events[1].kv.createRevision == 0)
        try client.cancel(0)
        let cancelled = try client.responses()
        #expect(cancelled.count == 1 && cancelled[0].canceled && cancelled[0].compactRevision == 0)
        try door.put("a/1", "after")
        #expect(try client.responses().isEmpty)
        try client.cancel(0)
        #expect(try client.responses().isEmpty)
        #expect(client.stream.flushes > 0)
    }

    @Test("Changes of before are not told to who watches from now on, also when they were not yet distributed")
    func fromNow() throws {
        let (door, client) = try setUp()
        try client.create("k")
        _ = try client.responses()
        try door.put("k", "1")
        let late = WatchClient(door.v3, on: loop)
        try late.create("k")
        try door.put("k", "2")
        #expect(try client.events() == ["+k=1@2", "+k=2@3"])
        #expect(try late.events() == ["+k=2@3"])
    }

    @Test("An equal put is an event; a renewal of a ttl is none")
    func renewals() throws {
        let (door, client) = try setUp()
        try client.create("k")
        let put = Intent.put(namespace: .default, key: [107], value: .bytes([118]), lease: .own(milliseconds: 9_000))
        try door.registry.apply([put])
        try door.registry.apply([.renew(namespace: .default, key: [107])])
        for length in [9_000, 20_000] as [Int64] {
            try door.registry.apply([
                .put(namespace: .default, key: [107], value: nil, lease: .own(milliseconds: length))
            ])
        }
        #expect(try client.events() == ["+k=v@2"])
        try door.put("k", "v")
        try door.put("k", "v")
        #expect(try client.events() == ["+k=v@5", "+k=v@6"])
        let lease = try door.grant(60)
        try door.put("k", "v", lease: lease)
        door.wait(seconds: 61)
        #expect(try client.events() == ["+k=v@7", "-k@8"])
    }

    @Test("Filters and previous values")
    func filters() throws {
        let (door, client) = try setUp()
        try client.create("k", id: 1) { $0.filters = [.noput] }
        try client.create("k", id: 2) { $0.filters = [.nodelete] }
        try client.create("k", id: 3) { $0.prevKv = true }
        _ = try client.responses()
        try door.put("k", "1")
        try door.put("k", "2")
        try door.delete("k")
        let responses = try client.responses()
        func of(_ id: Int64) -> [EtcdEvent] { responses.filter { $0.watchID == id }.flatMap(\.events) }
        #expect(of(1).map(\.text) == ["-k@4"])
        #expect(of(2).map(\.text) == ["+k=1@2", "+k=2@3"])
        #expect(of(3).map { $0.hasPrevKv ? $0.prevKv.text : "" } == ["", "k=1", "k=2"])
    }

    struct Bad: Sendable {
        let key: String
        let end: String
        let id: Int64
        let reason: String
    }

    @Test(
        "What cannot be watched is created and cancelled in one",
        arguments: [
            Bad(key: "b", end: "a", id: 0, reason: "mvcc: watcher range is empty"),
            Bad(key: "b", end: "b", id: 0, reason: "mvcc: watcher range is empty"),
            Bad(key: "b", end: "", id: 7, reason: "mvcc: duplicate watch ID provided on the WatchStream"),
        ])
    func refusals(_ bad: Bad) throws {
        let (_, client) = try setUp()
        try client.create("a", id: 7)
        _ = try client.responses()
        try client.create(bad.key, bad.end, id: bad.id)
        let answers = try client.responses()
        #expect(answers.count == 1 && answers[0].created && answers[0].canceled && answers[0].watchID == -1)
        #expect(answers[0].cancelReason == bad.reason)
    }

    @Test("Ids are the client's, or the next free one")
    func ids() throws {
        let (_, client) = try setUp()
        for id in [0, 1, 0, -1, 0] as [Int64] { try client.create("a", id: id) }
        #expect(try client.responses().map(\.watchID) == [0, 1, 2, -1, 3])
    }

    @Test("From the past, from what is compacted to, from before it, from the future")
    func starts() throws {
        let (door, client) = try setUp()
        for value in 2...6 { try door.put("k", "\(value)") }
        try door.compact(3)
        try client.create("k", start: 3, id: 3)
        try client.create("k", start: 6, id: 6)
        try client.create("k", start: 7, id: 7)
        try client.create("k", start: 9, id: 9)
        var events: [Int64: [String]] = [:]
        for response in try client.responses() { events[response.watchID, default: []] += response.events.map(\.text) }
        #expect(events[3] == ["+k=3@3", "+k=4@4", "+k=5@5", "+k=6@6"])
        #expect(events[6] == ["+k=6@6"])
        #expect(events[7] == [] && events[9] == [])
        for start in [2, 1, -4, 5 << 45] as [Int64] {
            try client.create("k", start: start, id: 50)
            let answers = try client.responses()
            #expect(answers.map(\.created) == [true, false] && answers.map(\.canceled) == [false, true])
            #expect(answers.last?.compactRevision == 3 && answers.last?.cancelReason == "")
        }
        for value in 7...9 { try door.put("k", "\(value)") }
        events = [:]
        for response in try client.responses() { events[response.watchID, default: []] += response.events.map(\.text) }
        #expect(events[7] == ["+k=7@7", "+k=8@8", "+k=9@9"])
        #expect(events[9] == ["+k=9@9"])
        try door.put("k", "10")
        #expect(try client.events().count == 4)
        #expect(door.v3.counters.watchersCompacted == 4)
    }

    @Test("A watch from the future alone is woken in time")
    func future() throws {
        let (door, client) = try setUp()
        try client.create("k", start: 4)
        _ = try client.responses()
        for value in 2...3 {
            try door.put("k", "\(value)")
            #expect(try client.events().isEmpty)
        }
        try door.put("k", "4")
        #expect(try client.events() == ["+k=4@4"])
    }

    @Test("A stream that takes no more reads on from where it was, others go on meanwhile")
    func slow() throws {
        let (door, slow) = try setUp()
        let quick = WatchClient(door.v3, on: loop)
        for client in [slow, quick] {
            try client.create("k")
            _ = try client.responses()
        }
        slow.stream.isWritable = false
        for value in 2...400 { try door.put("k", "\(value)") }
        #expect(try quick.events().count == 399)
        #expect(try slow.events().isEmpty)
        #expect(door.v3.counters.watchersBehind == 1)
        slow.stream.isWritable = true
        slow.stream.room = 1
        slow.handler.becameWritable()
        let some = try slow.events()
        #expect(some.first == "+k=2@2" && some.count < 399)
        slow.stream.isWritable = true
        slow.stream.room = nil
        slow.handler.becameWritable()
        #expect(try some + slow.events() == (2...400).map { "+k=\($0)@\($0)" })
        try door.put("k", "401")
        #expect(try slow.events() == ["+k=401@401"])
    }

    @Test("A stream that is too slow for the feed is told what it missed: a compaction")
    func tooSlow() throws {
        var limits = RegistryLimits()
        limits.feedEvents = 10
        let (door, client) = try setUp(limits: limits)
        try client.create("k")
        try client.create("other", id: 9)
        _ = try client.responses()
        client.stream.isWritable = false
        for value in 2...30 {
            try door.put("k", "\(value)")
            loop.run()
        }
        client.stream.isWritable = true
        client.handler.becameWritable()
        let answers = try client.responses()
        #expect(answers.map(\.watchID) == [0] && answers[0].canceled && answers[0].events.isEmpty)
        // The feed has the last ten changes: from 21 on.
        #expect(answers[0].compactRevision == 21)
        try door.put("other", "31")
        #expect(try client.events() == ["+other=31@31"])
    }

    @Test("More at once than the feed keeps cancels also who was in step")
    func burst() throws {
        var limits = RegistryLimits()
        limits.feedEvents = 10
        let (door, client) = try setUp(limits: limits)
        try client.create("k")
        _ = try client.responses()
        for value in 2...30 { try door.put("k", "\(value)") }
        let answers = try client.responses()
        #expect(answers.map(\.canceled) == [true] && answers[0].compactRevision == 21)
        try client.create("k", start: 21)
        #expect(try client.events().count == 10)
    }

    @Test("Progress is told after the events before it")
    func progress() throws {
        let (door, client) = try setUp()
        try client.create("k")
        _ = try client.responses()
        try door.put("k", "1")
        try client.askProgress()
        let answers = try client.responses()
        #expect(answers.map(\.watchID) == [0, -1])
        #expect(answers[0].events.map(\.text) == ["+k=1@2"] && answers[1].header.revision == 2)
        #expect(answers[1].events.isEmpty && !answers[1].created)
        client.stream.isWritable = false
        try door.put("k", "2")
        try client.askProgress()
        #expect(try client.responses().isEmpty)
        client.stream.isWritable = true
        client.handler.becameWritable()
        #expect(try client.responses().map(\.watchID) == [0, -1])
    }

    @Test("A quiet watch is told the revision from time to time when it asked for it")
    func notifications() throws {
        let (door, client) = try setUp()
        try client.create("k", id: 1) { $0.progressNotify = true }
        try client.create("k", id: 2)
        _ = try client.responses()
        try door.put("other", "1")
        loop.advanceTime(by: .minutes(10))
        let told = try client.responses()
        #expect(told.map(\.watchID) == [1] && told[0].header.revision == 2 && told[0].events.isEmpty)
        try door.put("k", "1")
        _ = try client.responses()
        loop.advanceTime(by: .minutes(10))
        #expect(try client.responses().isEmpty)
        loop.advanceTime(by: .minutes(10))
        #expect(try client.responses().map(\.watchID) == [1])
        client.handler.closed()
        loop.advanceTime(by: .minutes(30))
        #expect(try client.responses().isEmpty)
    }

    @Test("Long responses are cut between revisions, within one when fragments are asked for")
    func fragments() throws {
        let (door, client) = try setUp()
        try client.create("k", "l", id: 1)
        try client.create("k", "l", id: 2) { $0.fragment = true }
        _ = try client.responses()
        let value = String(repeating: "v", count: 700_000)
        for place in 0..<3 { try door.put("k\(place)", value) }
        var responses = try client.responses()
        for id in [1, 2] as [Int64] {
            let sizes = responses.filter { $0.watchID == id }.map(\.events.count)
            #expect(sizes == [2, 1])
        }
        #expect(responses.filter { $0.watchID == 2 }.map(\.fragment) == [true, false])
        #expect(responses.allSatisfy { $0.watchID == 2 || !$0.fragment })
        _ = try door.txn(then: (0..<4).map { .put("k\($0)", value) })
        responses = try client.responses()
        #expect(responses.filter { $0.watchID == 1 }.map(\.events.count) == [4])
        #expect(responses.filter { $0.watchID == 2 }.map(\.events.count) == [2, 2])
        #expect(responses.filter { $0.watchID == 2 }.map(\.fragment) == [true, false])
    }

    @Test("Bounds of watches, and what is left when streams close")
    func bounds() throws {
        var configuration = EtcdV3Configuration()
        configuration.watchersPerStreamMax = 2
        configuration.watchersMax = 3
        configuration.unreadAnswersMax = 4
        let (door, first) = try setUp(configuration: configuration)
        let second = WatchClient(door.v3, on: loop)
        for client in [first, second] { for _ in 0..<3 { try client.create("k") } }
        #expect(try first.responses().map(\.canceled) == [false, false, true])
        #expect(try second.responses().map(\.canceled) == [false, true, true])
        #expect(door.v3.counters.watchersOverLimit == 3)
        #expect(door.v3.counters.watchers == 3 && door.v3.counters.watchStreams == 2)
        first.handler.closed()
        #expect(door.v3.counters.watchers == 1 && door.v3.counters.watchStreams == 1)
        try second.create("k")
        #expect(try second.responses().map(\.canceled) == [false])
        second.stream.isWritable = false
        for _ in 0..<9 { try second.create("k") }
        #expect(try second.responses().count == 4)
        #expect(second.stream.status?.code == .resourceExhausted)
        second.handler.closed()
        #expect(door.v3.counters.watchers == 0)
        try door.put("k", "1")
        loop.run()
        #expect(second.stream.takeBytes().isEmpty)
    }

    @Test("Bytes that are no request end the stream; an empty request says nothing")
    func malformed() throws {
        let (_, client) = try setUp()
        try client.send(EtcdWatchRequest())
        #expect(try client.responses().isEmpty && client.stream.status == nil)
        client.handler.received(ByteBuffer(bytes: [0x0a, 0xff]))
        #expect(client.stream.status?.code == .internalError)
    }
}
