import Foundation
import RegdnsTestKit
import RegistryStore
import Testing

@testable import regdns

@Suite("The server from outside")
struct ServeTests {
    @Test("The start line names real ports, and SIGTERM and SIGINT end with 0", arguments: [SIGTERM, SIGINT])
    func startAndStop(signal: Int32) async throws {
        let server = try await RunningServer(["--node", "n1", "--domain", "Example.Test."])
        let line = try await server.process.line(beginning: "regdns ready ")
        let address = #/127\.0\.0\.1:[1-9]\d*/#
        let shape = line.replacing(address, with: "ADDRESS")
        let expected =
            "regdns ready dns=ADDRESS http=ADDRESS etcd=ADDRESS gossip=off node=n1 domain=example.test store=memory"
        #expect(shape == expected)
        server.process.signal(signal)
        let ended = try await server.process.end()
        #expect(ended.status == 0, "\(ended.errors)")
        #expect(ended.output.split(separator: "\n").count == 1)
    }

    @Test("Both wildcards share a port, and answers leave from the address that was asked")
    func bothWildcards() async throws {
        // The port is one that a first server was given for both protocols.
        let first = try await RunningServer(["--dns", "[::]:0"])
        let all = try await first.process.line(beginning: "regdns ready ")
        let port = try #require(
            RunningServer.fields(all)["dns"]?.split(separator: ",").last?.split(separator: ":").last)
        first.process.signal(SIGTERM)
        _ = try await first.process.end()
        let process = try await RegdnsProcess([
            "serve", "--dns", "0.0.0.0:\(port)", "--dns", "[::]:\(port)", "--http", "off", "--etcd", "off", "--forward",
            "off",
        ])
        _ = try await process.line(beginning: "regdns ready ")
        for address in ["127.0.0.1:\(port)", "127.0.0.2:\(port)", "[::1]:\(port)"] {
            // The client's sockets are connected: they take answers from the address that was asked, and no other.
            let answer = try await RegdnsProcess.run(["lookup", "nothing.skydns.local", "--dns", address])
            #expect(answer.errors.contains("NXDOMAIN"), "\(address): \(answer.errors)")
        }
        process.signal(SIGTERM)
        #expect(try await process.end().status == 0)
    }

    @Test("Listeners that are off are not there")
    func off() async throws {
        let process = try await RegdnsProcess([
            "serve", "--dns", "127.0.0.1:0", "--http", "off", "--etcd", "off", "--forward", "off",
        ])
        let fields = RunningServer.fields(try await process.line(beginning: "regdns ready "))
        #expect(fields["http"] == "off")
        #expect(fields["etcd"] == "off")
        process.signal(SIGTERM)
        #expect(try await process.end().status == 0)
    }

    @Test("A busy port ends with 2 and one line that names the flag", arguments: ["dns", "http", "etcd"])
    func busyPort(listener: String) async throws {
        let first = try await RunningServer()
        let address = try #require(first.addresses[listener])
        var flags = ["--dns", "127.0.0.1:0", "--http", "127.0.0.1:0", "--etcd", "127.0.0.1:0"]
        flags[(flags.firstIndex(of: "--\(listener)") ?? 0) + 1] = address
        let ended = try await RegdnsProcess.run(["serve"] + flags)
        #expect(ended.status == 2)
        #expect(ended.output == "")
        let last = ended.errors.split(separator: "\n").last ?? ""
        #expect(last.hasPrefix("regdns: --\(listener) \(address): "), "\(ended.errors)")
        #expect(last.contains("in use"), "\(ended.errors)")
    }

    @Test("Register, list, resolve and delete by the verbs")
    func verbs() async throws {
        let server = try await RunningServer()
        let added = try await server.run(
            "add", "web", "10.0.0.7:8000", "--tag", "v1", "--lease", "60s", "--ttl", "20", "--metadata", #"{"a": 1}"#)
        #expect(added.status == 0, "\(added.errors)")
        let id = added.output.trimmingCharacters(in: .newlines)
        #expect(id.count == 16)

        #expect(try await server.run("lookup", "web.skydns.local").output == "10.0.0.7\n")
        #expect(try await server.run("lookup", "web.v1.skydns.local").output == "10.0.0.7\n")
        #expect(try await server.run("lookup", "10.0.0.7").output == "\(id).web.skydns.local.\n")
        let srv = try await server.run("lookup", "web.skydns.local", "SRV").output
        #expect(srv.split(separator: " ").dropFirst(2).first == "8000", "\(srv)")

        let table = try await server.run("get", "web", "--output", "table").output
        #expect(table.contains("web      \(id)  10.0.0.7:8000  tcp   UP      1m "), "\(table)")
        let instances = try JSONValue.parse(Array(try await server.run("get", "web", "--tag", "v1").output.utf8))
        #expect(instances.arrayValue?.first?.member("id")?.stringValue == id)
        let services = try await server.run("list").output
        #expect(services == #"[{"service_name":"web","instances":1,"up":1,"tags":["v1"]}]"# + "\n")
        #expect(try await server.run("list", "--instances", "--output", "table").output.contains(id))

        let refused = try await server.run("add", "web", "10.0.0.9:80", "--type", "smoke")
        #expect(refused.status == 1)
        #expect(refused.errors.contains(#"endpoint.type: "smoke" is not one of"#), "\(refused.errors)")
        #expect(try await server.run("get", "nothing").status == 1)
        #expect(try await server.run("get", "web", "--tag", "v2").status == 1)
        #expect(try await server.run("delete", "web/other").status == 1)
        #expect(try await server.run("delete", "web/\(id)").status == 0)
        #expect(try await server.run("delete", "web").status == 1)
        let gone = try await server.run("lookup", "web.skydns.local")
        #expect(gone.status == 1)
        #expect(gone.errors.contains("NXDOMAIN"))
    }

    @Test("Names that need escapes go through the verbs unharmed")
    func oddNames() async throws {
        let server = try await RunningServer()
        let added = try await server.run("add", "a b/c?d", "10.0.0.8:1", "--id", "x/y z")
        #expect(added.status == 0, "\(added.errors)")
        #expect(added.output == "x/y z\n")
        #expect(try await server.run("get", "a b/c?d").status == 0)
        #expect(try await server.run("lookup", "a-b-c-d.skydns.local").output == "10.0.0.8\n")
    }

    @Test("status shows one screen and ends with 0 when ready")
    func status() async throws {
        let server = try await RunningServer()
        let ended = try await server.run("status", "--output", "table")
        #expect(ended.status == 0, "\(ended.errors)")
        #expect(ended.output.contains("ready"))
        #expect(ended.output.split(separator: "\n").count < 50)
    }

    @Test("watch prints changes as they happen")
    func watch() async throws {
        let server = try await RunningServer()
        let watch = try await RegdnsProcess(["watch", "--server", server.http])
        #expect(try await watch.line(beginning: #"{"event":"ready""#).isEmpty == false)
        _ = try await server.run("add", "web", "10.0.0.9:80", "--id", "one")
        #expect(try await watch.line(beginning: #"{"event":"registered""#).contains(#""id":"one""#))
        _ = try await server.run("delete", "web/one")
        #expect(try await watch.line(beginning: #"{"event":"deregistered""#).contains(#""id":"one""#))
        watch.signal(SIGINT)
        #expect(try await watch.end().status == 0)
    }

    @Test("add --keep holds the registration beyond its lease, makes it again, and takes it away at the end")
    func keep() async throws {
        let server = try await RunningServer(["--lease-min", "1s"])
        let watch = try await RegdnsProcess(["watch", "--server", server.http])
        _ = try await watch.line(beginning: #"{"event":"ready""#)
        let keeper = try await RegdnsProcess(
            ["add", "web", "10.0.0.10:80", "--id", "kept", "--lease", "1s", "--keep", "--server", server.http])
        _ = try await watch.line(beginning: #"{"event":"registered""#)
        #expect(try await server.run("delete", "web/kept").status == 0)
        _ = try await keeper.error(containing: "registering it again")
        // Longer than the lease: another registration, made after this one, has come and gone by its own lease.
        _ = try await server.run("add", "clock", "10.0.0.11:80", "--id", "clock", "--lease", "2s")
        #expect(try await watch.line(beginning: #"{"event":"expired""#).contains(#""id":"clock""#))
        #expect(try await server.run("get", "web").status == 0)
        keeper.signal(SIGTERM)
        #expect(try await keeper.end().status == 0)
        #expect(try await server.run("get", "web").status == 1)
    }

    @Test("In the lame duck time the server is not ready and goes on answering")
    func lameDuck() async throws {
        let server = try await RunningServer(["--lame-duck", "3s"])
        _ = try await server.run("add", "web", "10.0.0.12:80")
        server.process.signal(SIGTERM)
        _ = try await server.process.error(containing: "still answering")
        #expect(try await server.get("/readyz") == 503)
        #expect(try await server.get("/healthz") == 200)
        #expect(try await server.run("lookup", "web.skydns.local").output == "10.0.0.12\n")
        #expect(try await server.process.end().status == 0)
    }

    @Test("SIGHUP reads the zone files again, and a broken one leaves the old zone")
    func reload() async throws {
        let folder = try TemporaryFolder()
        func zone(_ address: String) -> String {
            """
            $ORIGIN example.test.
            $TTL 60
            @   IN SOA ns1 host 1 2 3 4 5
                IN NS  ns1
            ns1 IN A   192.0.2.1
            www IN A   \(address)

            """
        }
        _ = try folder.write("example.zone", zone("192.0.2.7"))
        let server = try await RunningServer(["--zones", folder.path])
        #expect(try await server.run("lookup", "www.example.test").output == "192.0.2.7\n")
        _ = try folder.write("example.zone", zone("192.0.2.8"))
        server.process.signal(SIGHUP)
        _ = try await server.process.error(containing: "zones read")
        #expect(try await server.run("lookup", "www.example.test").output == "192.0.2.8\n")
        _ = try folder.write("example.zone", zone("192.0.2"))
        server.process.signal(SIGHUP)
        _ = try await server.process.error(containing: "example.zone:6")
        #expect(try await server.run("lookup", "www.example.test").output == "192.0.2.8\n")
    }

    @Test("Logs have the form that was asked for", arguments: ["json", "logstash"])
    func logs(format: String) async throws {
        let server = try await RunningServer(["--log-format", format, "--log-level", "debug"])
        server.process.signal(SIGTERM)
        let ended = try await server.process.end()
        let lines = ended.errors.split(separator: "\n")
        #expect(!lines.isEmpty)
        for line in lines {
            let json = try JSONValue.parse(Array(line.utf8))
            #expect(json.member(format == "json" ? "msg" : "message")?.stringValue != nil, "\(line)")
        }
    }

    @Test("An address in a namespace beyond loopback is allowed when asked for")
    func insecure() async throws {
        let process = try await RegdnsProcess(
            ["serve", "--dns", "127.0.0.1:0", "--http", "0.0.0.0:0", "--etcd", "off", "--insecure", "--forward", "off"])
        #expect(try await process.line(beginning: "regdns ready ").contains("http=0.0.0.0:"))
    }
}
