import HTTPTypes
import RegdnsTestKit
import RegistryStore
import Testing

@testable import HTTPAdmin

struct EventFeedTests {
    /// Runs a stream until `count` events came, and gives their text.
    private func events(_ answer: HTTPAnswer, count: Int) async -> [String] {
        guard case .stream(let produce) = answer.body else {
            Issue.record("no stream: \(answer.status)")
            return []
        }
        let (pieces, continuation) = AsyncStream<[UInt8]>.makeStream()
        return await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await produce { continuation.yield($0) } }
            var text = ""
            for await piece in pieces {
                text += String(decoding: piece, as: UTF8.self)
                if text.ranges(of: "\n\n").count >= count { break }
            }
            group.cancelAll()
            return text.split(separator: "\n\n").map(String.init)
        }
    }

    private func resume(_ bench: Bench, from revision: Int64, _ query: String = "") async -> HTTPAnswer {
        await bench.ask(.get, "/api/v1/events" + query, headers: [.lastEventID: "\(revision)"])
    }

    @Test func everyKindOfChange() async throws {
        let bench = try Bench()
        let id = try await bench.register("web", "a", #","ttl":10"#)
        _ = try await bench.register("web", "a", #","ttl":10,"tags":["t"]"#)
        _ = await bench.ask(.put, "/api/v1/instances/\(id)/heartbeat")
        let other = try await bench.register("api", "b")
        _ = await bench.ask(.delete, "/api/v1/instances/\(other)")
        bench.clock.advance(milliseconds: 11_000)
        _ = bench.registry.expireDue()
        let answer = await resume(bench, from: 0)
        #expect(answer.headers[.contentType] == "text/event-stream; charset=utf-8")
        let events = await events(answer, count: 5)
        let kinds = events.map { $0.split(separator: "\n").first.map(String.init) ?? "" }
        #expect(
            kinds == [
                "event: registered", "event: updated", "event: registered", "event: deregistered", "event: expired",
            ])
        #expect(events[0].contains("\nid: 1\ndata: {\"revision\":1,\"instance\":{\"id\":\"\(id)\""))
        #expect(events[4].contains("\nid: 5\n"))
        #expect(events[3].contains(other))
    }

    @Test func newStreamsStartNow() async throws {
        let bench = try Bench()
        _ = try await bench.register("web", "a")
        let answer = await bench.ask(.get, "/api/v1/events")
        _ = try await bench.register("web", "b")
        let events = await events(answer, count: 2)
        #expect(events[0] == "event: ready\nid: 1\ndata: {\"revision\":1}")
        #expect(events[1].hasPrefix("event: registered\nid: 2\n"))
    }

    @Test func waitingStreamsAreWoken() async throws {
        let bench = try Bench()
        let answer = await bench.ask(.get, "/api/v1/events")
        guard case .stream(let produce) = answer.body else { return }
        let (pieces, continuation) = AsyncStream<[UInt8]>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await produce { continuation.yield($0) } }
            var iterator = pieces.makeAsyncIterator()
            _ = await iterator.next()
            _ = try await bench.register("web", "a")
            let second = String(decoding: await iterator.next() ?? [], as: UTF8.self)
            #expect(second.hasPrefix("event: registered\n"))
            group.cancelAll()
        }
    }

    @Test func oneServiceOnly() async throws {
        let bench = try Bench()
        _ = try await bench.register("web", "a")
        _ = try await bench.register("api", "b")
        let events = await events(await resume(bench, from: 0, "?service_name=api"), count: 1)
        #expect(events.first?.contains(#""service_name":"api""#) == true)
        #expect(events.first?.hasPrefix("event: registered\nid: 2\n") == true)
    }

    @Test func idStandsOnTheLastEventOfABatch() async throws {
        let bench = try Bench()
        let value = #"{"host":"10.0.0.1"}"#
        try bench.registry.apply(
            (1...3).map { number in
                .put(
                    namespace: .default, key: Array("/skydns/local/skydns/web/\(number)".utf8),
                    value: .bytes(Array(value.utf8)), lease: .permanent)
            })
        let events = await events(await resume(bench, from: 0), count: 3)
        #expect(events.map { $0.contains("\nid: ") } == [false, false, true])
    }

    @Test func valuesThatStopBeingServicesAreGone() async throws {
        let bench = try Bench()
        try bench.put("/skydns/local/skydns/web/1", #"{"host":"10.0.0.1"}"#)
        try bench.put("/skydns/local/skydns/web/1", "nonsense")
        let events = await events(await resume(bench, from: 0), count: 2)
        #expect(events.map { $0.prefix(15) } == ["event: register", "event: deregist"])
    }

    @Test(arguments: [Int64(0), 99])
    func whoCannotResumeIsToldToListAgain(last: Int64) async throws {
        var limits = RegistryLimits()
        limits.feedEvents = 2
        let bench = try Bench(limits: limits)
        for number in 1...5 { _ = try await bench.register("web", "h\(number)") }
        let answer = await resume(bench, from: last)
        let events = await events(answer, count: 1)
        #expect(events.first == "event: compacted\nid: 5\ndata: {\"revision\":5}")
    }

    @Test func heartbeatsMoveTheIDPastWhatIsNotSeen() async throws {
        var settings = EventFeed.Settings()
        settings.heartbeat = .milliseconds(5)
        let bench = try Bench(feed: settings)
        try bench.put("/other/key", "x")
        let events = await events(await resume(bench, from: 0), count: 1)
        #expect(events.first == "id: 1\n: heartbeat")
    }

    @Test func streamsAreBounded() async throws {
        var settings = EventFeed.Settings()
        settings.streams = 1
        let bench = try Bench(feed: settings)
        var first: HTTPAnswer? = await bench.ask(.get, "/api/v1/events")
        #expect(first?.status == .ok)
        let second = await bench.ask(.get, "/api/v1/events")
        #expect(second.status == .serviceUnavailable)
        #expect(bench.counters.total(.streamRefused) == 1)
        // A stream that never began gives its place back too.
        first = nil
        #expect(await bench.ask(.get, "/api/v1/events").status == .ok)
    }

    @Test(arguments: ["x", "-1", "1.5", "99999999999999999999"])
    func malformedResume(last: String) async throws {
        let answer = await (try Bench()).ask(.get, "/api/v1/events", headers: [.lastEventID: last])
        #expect(answer.status == .badRequest)
    }
}
