import Foundation
import NIOHTTP1
import RegdnsTestKit
import Testing

@testable import regdns

@Suite("Registrations over restarts", .timeLimit(.minutes(2)))
struct DataTests {
    private static func put(_ server: RunningServer, _ path: String, _ value: String) async throws -> HTTPReply {
        try await HTTPClient(server: try ServerURL(server.http), token: nil).send(
            .PUT, "/v2/keys\(path)?value=\(value)")
    }

    private static func body(_ reply: HTTPReply) -> String { String(decoding: reply.body, as: UTF8.self) }

    private static func stop(_ server: RunningServer, _ signal: Int32 = SIGTERM) async throws {
        server.process.signal(signal)
        let ended = try await server.process.end()
        if signal == SIGTERM { #expect(ended.status == 0, "\(ended.errors)") }
    }

    /// Asks until the answer is as it must be.
    private static func wait(_ body: () async throws -> Bool) async throws {
        while try await !body() { try await Task.sleep(for: .milliseconds(50)) }
    }

    @Test("Names of all doors are there again, after SIGTERM and after kill -9", arguments: [SIGTERM, SIGKILL])
    func restart(signal: Int32) async throws {
        let folder = try TemporaryFolder()
        let flags = ["--data-dir", folder.path + "/data/here", "--node", "n1"]
        let first = try await RunningServer(flags)
        let added = try await first.run("add", "web", "10.0.0.7:8000", "--tag", "v1", "--lease", "60s")
        #expect(added.status == 0, "\(added.errors)")
        let v2 = try await Self.put(first, "/skydns/local/skydns/db/1", #"%7B%22host%22:%2210.0.0.8%22%7D"#)
        #expect(v2.status == 201)
        let directory = try await HTTPClient(server: try ServerURL(first.http), token: nil).send(
            .PUT, "/v2/keys/some/directory?dir=true")
        #expect(directory.status == 201)
        let etcd = "http://" + (first.addresses["etcd"] ?? "")
        let client = HTTPClient(server: try ServerURL(etcd), token: nil)
        // "/skydns/local/skydns/v3" and {"host":"10.0.0.9"}
        let v3 = try await client.send(
            .POST, "/v3/kv/put",
            json: Array(#"{"key":"L3NreWRucy9sb2NhbC9za3lkbnMvdjM=","value":"eyJob3N0IjoiMTAuMC4wLjkifQ=="}"#.utf8))
        #expect(v3.status == 200, "\(Self.body(v3))")
        try await Self.stop(first, signal)

        let second = try await RunningServer(flags)
        for (name, address) in [("web", "10.0.0.7"), ("v1", "10.0.0.7"), ("1.db", "10.0.0.8"), ("v3", "10.0.0.9")] {
            #expect(try await second.run("lookup", "\(name).skydns.local").output == "\(address)\n")
        }
        #expect(try await second.get("/v2/keys/some/directory") == 200)
        // What was before the restart is compacted, and numbers grow.
        let http = HTTPClient(server: try ServerURL(second.http), token: nil)
        let old = Int(v2.headers.first(name: "X-Etcd-Index") ?? "") ?? 0
        let now = try await http.send(.GET, "/v2/keys/some")
        #expect(Int(now.headers.first(name: "X-Etcd-Index") ?? "") ?? 0 > old && old > 0)
        let waiting = try await http.send(.GET, "/v2/keys/some?wait=true&waitIndex=\(old)")
        #expect(waiting.status == 400 && Self.body(waiting).contains("401"), "\(Self.body(waiting))")
        try await Self.stop(second)
    }

    @Test("kill -9 in the middle of writes loses none that was acknowledged", arguments: ["interval", "always"])
    func killed(sync: String) async throws {
        let folder = try TemporaryFolder()
        let flags = ["--data-dir", folder.path, "--sync", sync]
        let first = try await RunningServer(flags)
        let acknowledged = try await withThrowingTaskGroup(of: [String].self) { group in
            for writer in 0..<4 {
                group.addTask {
                    var done: [String] = []
                    for count in 0..<10_000 {
                        let path = "/some/\(writer)/\(count)"
                        guard let reply = try? await Self.put(first, path, "x"), reply.status == 201 else { break }
                        done.append(path)
                    }
                    return done
                }
            }
            try await Task.sleep(for: .milliseconds(700))
            first.process.signal(SIGKILL)
            return try await group.reduce(into: []) { $0 += $1 }
        }
        _ = try await first.process.end()
        #expect(acknowledged.count > 20)
        let second = try await RunningServer(flags)
        for path in acknowledged { #expect(try await second.get("/v2/keys\(path)") == 200, "\(path)") }
        try await Self.stop(second)
    }

    @Test("After a restart a lease has its whole length, and runs out when nobody renews it")
    func lease() async throws {
        let folder = try TemporaryFolder()
        let flags = ["--data-dir", folder.path, "--lease-min", "1s"]
        let first = try await RunningServer(flags)
        let added = try await first.run("add", "web", "10.0.0.7:8000", "--lease", "3s")
        #expect(added.status == 0, "\(added.errors)")
        try await Self.stop(first, SIGKILL)
        try await Task.sleep(for: .seconds(3))
        let second = try await RunningServer(flags)
        #expect(try await second.run("lookup", "web.skydns.local").output == "10.0.0.7\n")
        try await Self.wait { try await second.run("lookup", "web.skydns.local").output.isEmpty }
        try await Self.stop(second)
        let third = try await RunningServer(flags)
        #expect(try await third.run("lookup", "web.skydns.local").output.isEmpty)
        try await Self.stop(third)
    }

    @Test("The log, /healthz and the metrics say where registrations are kept, and how")
    func facts() async throws {
        let folder = try TemporaryFolder()
        let server = try await RunningServer(["--data-dir", folder.path, "--sync", "always"])
        let line = try await server.process.error(containing: "registrations are kept in")
        #expect(line.contains("\(folder.path), sync always"), "\(line)")
        let http = HTTPClient(server: try ServerURL(server.http), token: nil)
        let health = Self.body(try await http.send(.GET, "/healthz"))
        #expect(health.contains(#""sync":"always""#) && health.contains(#""data":"ok""#), "\(health)")
        _ = try await Self.put(server, "/a", "1")
        let metrics = Self.body(try await http.send(.GET, "/metrics"))
        #expect(metrics.contains("regdns_data_groups_total 2") && metrics.contains("regdns_data_failing 0"))
        try await Self.stop(server)
    }

    @Test("A directory that goes away: writes get 503, names go on, and all is kept when it is back")
    func directoryGone() async throws {
        let folder = try TemporaryFolder()
        let data = folder.path + "/data"
        let server = try await RunningServer(["--data-dir", data])
        let http = HTTPClient(server: try ServerURL(server.http), token: nil)
        #expect(try await server.run("add", "web", "10.0.0.7:8000", "--id", "i", "--lease", "60s").status == 0)
        try FileManager.default.moveItem(atPath: data, toPath: data + "-moved")
        var count = 0
        try await Self.wait {
            count += 1
            return try await Self.put(server, "/a", "\(count)").status == 503
        }
        _ = try await server.process.error(containing: "writes are refused until the disk takes them")
        let refused = try await Self.put(server, "/b", "1")
        #expect(refused.headers.first(name: "Retry-After") == "1" && Self.body(refused).contains("605"))
        let added = try await server.run("add", "other", "10.0.0.8:80")
        #expect(added.status == 1 && added.errors.contains("cannot be kept"), "\(added.errors)")
        #expect(try await server.run("lookup", "web.skydns.local").output == "10.0.0.7\n")
        #expect(try await http.send(.PUT, "/api/v1/instances/i/heartbeat").status == 200)
        #expect(Self.body(try await http.send(.GET, "/readyz")).contains("registrations cannot be kept"))
        try FileManager.default.moveItem(atPath: data + "-moved", toPath: data)
        try await Self.wait { try await Self.put(server, "/b", "1").status == 201 }
        _ = try await server.process.error(containing: "registrations are kept again")
        #expect(!Self.body(try await http.send(.GET, "/readyz")).contains("cannot be kept"))
        try await Self.stop(server, SIGKILL)
        let again = try await RunningServer(["--data-dir", data])
        #expect(try await again.get("/v2/keys/b") == 200)
        #expect(try await again.run("lookup", "web.skydns.local").output == "10.0.0.7\n")
        try await Self.stop(again)
    }

    @Test("A damaged file: the server starts, says so, and shows it as degraded")
    func damaged() async throws {
        let folder = try TemporaryFolder()
        _ = try folder.write("registry.db", "this is no database, whatever its name")
        let server = try await RunningServer(["--data-dir", folder.path])
        let line = try await server.process.error(containing: "the file is damaged")
        #expect(line.contains("registry.db-damaged-"), "\(line)")
        #expect(try await server.run("status").output.contains("the file is damaged"))
        try await Self.stop(server)
    }

    @Test("Directories that cannot be used end with 2 and a line that names the flag")
    func refused() async throws {
        let folder = try TemporaryFolder()
        let server = try await RunningServer(["--data-dir", folder.path])
        let file = try folder.write("file", "")
        for (path, why) in [
            (folder.path, "another process uses it"), (file, "is no directory"), (file + "/below", "cannot be made"),
        ] {
            let ended = try await RegdnsProcess.run([
                "serve", "--dns", "127.0.0.1:0", "--http", "off", "--etcd", "off", "--forward", "off", "--data-dir",
                path,
            ])
            #expect(ended.status == 2)
            let last = ended.errors.split(separator: "\n").last ?? ""
            #expect(last.hasPrefix("regdns: --data-dir \(path): ") && last.contains(why), "\(ended.errors)")
        }
        try await Self.stop(server)
    }

    @Test("Settings without effect are told of")
    func warnings() async throws {
        let etcd = try await RegdnsProcess.run([
            "check-config", "--data-dir", "/nowhere", "--store", "etcd", "--store-address", "http://127.0.0.1:1",
        ])
        #expect(
            etcd.status == 0 && etcd.errors.contains("--data-dir has no effect: the store is etcd"), "\(etcd.errors)")
        let sync = try await RegdnsProcess.run(["check-config", "--sync", "always"])
        #expect(sync.status == 0 && sync.errors.contains("--sync has no effect"), "\(sync.errors)")
    }
}
