import HTTPTypes
import RegdnsTestKit
import RegistryStore
import Testing

@testable import HTTPAdmin

struct LifecycleTests {
    @Test func heartbeatKeepsAndItsAbsenceEnds() async throws {
        let bench = try Bench()
        let id = try await bench.register("web", "a")
        bench.clock.advance(milliseconds: 29_000)
        #expect(await bench.ask(.put, "/api/v1/instances/\(id)/heartbeat").status == .ok)
        let beat = await bench.ask(.get, "/api/v1/services/web").text
        #expect(beat.contains(#""last_heartbeat":"2023-11-14T22:30:29Z""#))
        bench.clock.advance(milliseconds: 29_000)
        _ = bench.registry.expireDue()
        #expect(await bench.ask(.get, "/api/v1/instances/\(id)").status == .ok)
        bench.clock.advance(milliseconds: 2_000)
        _ = bench.registry.expireDue()
        #expect(await bench.ask(.get, "/api/v1/services/web").status == .notFound)
        let gone = await bench.ask(.put, "/api/v1/instances/\(id)/heartbeat")
        #expect(gone.status == .gone)
        #expect(gone.text == #"{"Error":"Failed to renew instance registration"}"#)
        #expect(await bench.ask(.delete, "/api/v1/instances/\(id)").status == .gone)
    }

    @Test func outOfServiceDoesNotRunOut() async throws {
        let bench = try Bench()
        let id = try await bench.register("web", "a", #","status":"OUT_OF_SERVICE","ttl":10"#)
        bench.clock.advance(milliseconds: 3_600_000)
        _ = bench.registry.expireDue()
        #expect(try await bench.ids("?service_name=web") == [id])
        #expect(await bench.ask(.put, "/api/v1/instances/\(id)/heartbeat").status == .ok)
        bench.clock.advance(milliseconds: 3_600_000)
        _ = bench.registry.expireDue()
        #expect(try await bench.ids("?service_name=web") == [id])
        // Coming back starts the lease again.
        _ = try await bench.register("web", "a", #","ttl":10"#)
        bench.clock.advance(milliseconds: 11_000)
        _ = bench.registry.expireDue()
        #expect(try await bench.ids("?service_name=web") == [])
    }

    @Test func deleteOnceOnly() async throws {
        let bench = try Bench()
        let id = try await bench.register("web", "a")
        let first = await bench.ask(.delete, "/api/v1/instances/\(id)")
        #expect(first.status == .ok && first.bytes.isEmpty)
        let second = await bench.ask(.delete, "/api/v1/instances/\(id)")
        #expect(second.status == .gone)
        #expect(second.text == #"{"Error":"Failed to deregister instance"}"#)
    }

    @Test func getOne() async throws {
        let bench = try Bench()
        let id = try await bench.register("web", "10.0.0.1:80")
        let answer = await bench.ask(.get, "/api/v1/instances/\(id)?fields=dns,ttl")
        #expect(
            answer.text == #"{"id":"\#(id)","endpoint":{"type":"tcp","value":"10.0.0.1:80"},"ttl":30,"dns":true}"#)
        let unknown = await bench.ask(.get, "/api/v1/instances/none")
        #expect(unknown.status == .notFound)
        #expect(unknown.text == #"{"Error":"Instance not found"}"#)
    }

    @Test func updateChangesWhatTheIDStandsFor() async throws {
        let bench = try Bench()
        let id = try await bench.register("web", "a", #","tags":["t"]"#)
        let revision = bench.registry.revision
        let answer = await bench.ask(.put, "/api/v1/instances/\(id)", Bench.body("api", "b:1", #","ttl":60"#))
        #expect(answer.status == .ok)
        #expect(answer.text.hasPrefix(#"{"id":"\#(id)","ttl":60,"links":"#))
        #expect(bench.registry.revision == revision + 1)
        #expect(await bench.ask(.get, "/api/v1/services/web").status == .notFound)
        let text = await bench.ask(.get, "/api/v1/services/api").text
        #expect(text.contains(#""value":"b:1""#) && !text.contains("tags"))
        let same = await bench.ask(.put, "/api/v1/instances/\(id)", Bench.body("api", "c", #","instance_id":"\#(id)""#))
        #expect(same.status == .ok)
        #expect(try await bench.ids() == [id])
    }

    @Test(arguments: [
        ("none", Bench.body("web", "a"), 410), ("ID", "{", 400),
        ("ID", Bench.body("web", "a", #","instance_id":"x""#), 400),
    ])
    func updateRefusals(id: String, body: String, status: Int) async throws {
        let bench = try Bench()
        let real = try await bench.register("web", "a")
        let answer = await bench.ask(.put, "/api/v1/instances/\(id == "ID" ? real : id)", body)
        #expect(answer.status.code == status)
    }

    // MARK: Entries that an etcd door wrote (INTERFACE section 5)

    @Test func foreignEntriesAreShown() async throws {
        let bench = try Bench()
        try bench.put("/skydns/local/skydns/east/rails/1", #"{"host":"10.0.0.1","port":8080}"#)
        try bench.put("/skydns/local/skydns/dns/ns1", #"{"host":"10.0.0.2"}"#)
        try bench.put("/other", "x")
        let id = SHA256.hex(Array("/skydns/local/skydns/east/rails/1".utf8), digits: 16)
        let expected =
            #"{"service_name":"rails","instances":[{"id":"\#(id)","service_name":"rails","#
            + #""endpoint":{"type":"tcp","value":"10.0.0.1:8080"},"status":"UP","#
            + #""last_heartbeat":"0001-01-01T00:00:00Z","tags":["east"],"#
            + #""key":"/skydns/local/skydns/east/rails/1"}]}"#
        let shown = await bench.ask(.get, "/api/v1/services/rails").text
        #expect(shown == expected)
        #expect(await bench.ask(.get, "/api/v1/services").text == #"{"services":["rails"]}"#)
        #expect(await bench.ask(.get, "/api/v1/instances/\(id)").status == .ok)
    }

    @Test func foreignEntriesCanBeDeletedAndRenewedButNotUpdated() async throws {
        let bench = try Bench()
        let key = "/skydns/local/skydns/rails/1"
        try bench.put(key, #"{"host":"10.0.0.1"}"#)
        let id = SHA256.hex(Array(key.utf8), digits: 16)
        // Without a lease a heartbeat is no mistake, and without effect.
        #expect(await bench.ask(.put, "/api/v1/instances/\(id)/heartbeat").status == .ok)
        let update = await bench.ask(.put, "/api/v1/instances/\(id)", Bench.body("rails", "b"))
        #expect(update.status == .conflict)
        #expect(await bench.ask(.delete, "/api/v1/instances/\(id)").status == .ok)
        #expect(bench.registry.entry(namespace: .default, key: Array(key.utf8)) == nil)

        try bench.put(key, #"{"host":"10.0.0.1"}"#, lease: .own(milliseconds: 10_000))
        bench.clock.advance(milliseconds: 9_000)
        #expect(await bench.ask(.put, "/api/v1/instances/\(id)/heartbeat").status == .ok)
        bench.clock.advance(milliseconds: 9_000)
        _ = bench.registry.expireDue()
        #expect(try await bench.ids() == [id])
    }

    @Test func skippedValuesAreListed() async throws {
        let bench = try Bench()
        try bench.put("/skydns/local/skydns/web/1", "not json")
        let text = await bench.ask(.get, "/api/v1/skipped").text
        #expect(text.hasPrefix(#"{"skipped":[{"key":"/skydns/local/skydns/web/1","reason":""#))
    }
}
