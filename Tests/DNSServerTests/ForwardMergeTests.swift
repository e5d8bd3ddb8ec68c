import DNSWire
import NIOCore
import Testing

@testable import DNSServer

/// Equal questions under way are asked once; the bounds on what is under way.
@Suite struct ForwardMergeTests {
    @Test func equalQuestionsAreAskedOnce() async throws {
        try await ScriptedUpstream.run(isOpen: false) {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for place in 0..<50 {
                    let name = place.isMultiple(of: 2) ? "www.example.org" : "wWw.EXAMPLE.org"
                    let query = ClientQuery(name).with { $0.id = UInt16(place) }
                    group.addTask {
                        let answer = try await forwarder.ask(query)
                        #expect(answer.id == UInt16(place))
                        #expect("\(answer.questions[0].name)" == name + ".")
                        #expect(answer.addresses == ["192.0.2.1"])
                    }
                }
                await eventually("49 wait for one") { forwarder.counters.coalesced == 49 && upstream.count == 1 }
                #expect(forwarder.counters.inFlight == 1)
                upstream.open()
                try await group.waitForAll()
            }
            #expect(upstream.count == 1)
            #expect(forwarder.counters.inFlight == 0)
            #expect(forwarder.counters.queries == 50)
        }
    }

    @Test func failureIsSharedToo() async throws {
        try await ScriptedUpstream.run(isOpen: false) {
            [$0.message.reply(rcode: .servFail)]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            async let first = forwarder.forward(try ClientQuery("www.example.org").request)
            async let second = forwarder.forward(try ClientQuery("www.example.org").request)
            await eventually("one waits") { forwarder.counters.coalesced == 1 }
            upstream.open()
            #expect(try await first == .failure(.servFail, nil))
            #expect(try await second == .failure(.servFail, nil))
            #expect(upstream.count == 2)
        }
    }

    @Test func tooManyWaitersAreRefused() async throws {
        try await ScriptedUpstream.run(isOpen: false) {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address]) { $0.maxWaiters = 2 }
            let request = try ClientQuery("www.example.org").request
            await withTaskGroup(of: ForwardOutcome.self) { group in
                for _ in 0..<5 { group.addTask { await forwarder.forward(request) } }
                await eventually("two wait, two are refused") {
                    let counters = forwarder.counters
                    return counters.coalesced == 2 && counters.dropped == 2
                }
                upstream.open()
                var outcomes: [ForwardOutcome] = []
                for await outcome in group { outcomes.append(outcome) }
                #expect(outcomes.count { $0 == .failure(.servFail, .other) } == 2)
            }
        }
    }

    @Test func tooManyQuestionsAreRefused() async throws {
        try await ScriptedUpstream.run(isOpen: false) {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address]) { $0.maxInFlight = 2 }
            async let first = forwarder.ask(ClientQuery("a.example.org"))
            async let second = forwarder.ask(ClientQuery("b.example.org"))
            await eventually("two are under way") { upstream.count == 2 }
            let third = await forwarder.forward(try ClientQuery("c.example.org").request)
            #expect(third == .failure(.servFail, .other))
            #expect(forwarder.counters.dropped == 1)
            upstream.open()
            _ = try await (first, second)
            #expect(upstream.count == 2)
            _ = try await forwarder.ask(ClientQuery("c.example.org"))
        }
    }

    @Test func cancelledClientDoesNotTakeTheOthersAlong() async throws {
        try await ScriptedUpstream.run(isOpen: false) {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let request = try ClientQuery("www.example.org").request
            let first = Task { await forwarder.forward(request) }
            await eventually("it is under way") { upstream.count == 1 }
            let second = Task { await forwarder.forward(request) }
            await eventually("the second waits") { forwarder.counters.coalesced == 1 }
            first.cancel()
            upstream.open()
            #expect(try await second.value.message().addresses == ["192.0.2.1"])
            #expect(try await first.value.message().addresses == ["192.0.2.1"])
        }
    }
}
