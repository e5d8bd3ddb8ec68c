import Foundation
import NIOCore
import NIOHTTP1
import RegdnsTestKit
import RegistryStore
import Testing

@testable import regdns

@Suite("A cluster of real processes", .serialized)
struct ClusterTests {
    @Test("Three nodes see each other, tell of it everywhere, and one that is stopped is seen to leave")
    func threeNodes() async throws {
        let nodes = try await ClusterNode.cluster(3)
        let (first, last) = (nodes[0], nodes[2])
        #expect(first.gossip.wholeMatch(of: #/127\.0\.0\.1:[1-9]\d*/#) != nil, "\(first.gossip)")

        let members = try await eventually("readiness and round trips") { () -> [JSONValue]? in
            let members = try await last.members()
            let others = members.filter { $0.member("self")?.boolValue != true }
            let isComplete = others.allSatisfy {
                $0.member("ready")?.boolValue == true && $0.member("rtt_ms")?.doubleText != nil
                    && $0.member("metadata")?.member("a") != nil
            }
            return others.count == 2 && isComplete ? members : nil
        }
        let shown = try #require(members.first { $0.member("name")?.stringValue == "n1" })
        #expect(shown.member("address")?.stringValue == first.gossip)
        #expect(shown.member("role")?.stringValue == "regdns")
        #expect(shown.member("version")?.stringValue == Version.number)
        #expect(shown.member("since")?.stringValue?.hasSuffix("Z") == true)
        let port = first.server.addresses["http"]?.split(separator: ":").last.map(String.init)
        #expect(shown.member("metadata")?.member("a")?.stringValue == port)
        #expect(members.filter { $0.member("self")?.boolValue == true }.count == 1)

        let table = try await last.server.run("members", "--output", "table")
        #expect(table.status == 0, "\(table.errors)")
        let row = #/n1 +127\.0\.0\.1:\d+ +alive +\d+\.\d\d ms +\d\S+ +yes/#
        #expect(table.output.contains(row), "\(table.output)")
        #expect(table.output.contains("n3 (this server)"), "\(table.output)")
        let json = try JSONValue.parse(Array(try await last.server.run("members").output.utf8))
        #expect(json.arrayValue?.count == 3)

        let status = try await eventually("status of three") { () -> String? in
            let status = try await first.status()
            return status.contains("3 alive") ? status : nil
        }
        #expect(status.contains(first.gossip))
        let metrics = try await first.metrics()
        for line in [
            "regdns_gossip_members{state=\"alive\"} 3", "regdns_gossip_members{state=\"dead\"} 0",
            "regdns_gossip_health_score 0", "regdns_gossip_keys 0",
            "regdns_gossip_decrypt_failures_total{kind=\"packet\"} 0",
        ] {
            #expect(metrics.contains(line + "\n"), "\(line)")
        }

        last.server.process.signal(SIGTERM)
        let ended = try await last.server.process.end()
        #expect(ended.status == 0, "\(ended.errors)")
        for node in nodes.prefix(2) {
            try await node.sees([("n1", "alive"), ("n2", "alive"), ("n3", "left")], within: .seconds(5))
        }
    }

    @Test("A dead member can be given up, another cannot")
    func forceLeave() async throws {
        let nodes = try await ClusterNode.cluster(3)
        let first = nodes[0]
        let early = try await first.ask(.POST, "force-leave/n3")
        #expect(early.status == 409)
        #expect(early.headers.first(name: "Error-Detail")?.hasPrefix("n3 is alive") == true)
        #expect(try await first.ask(.POST, "force-leave/n9").status == 404)
        nodes[2].server.process.signal(SIGKILL)
        try await first.sees([("n1", "alive"), ("n2", "alive"), ("n3", "dead")])
        let status = try await eventually("a degradation") { () -> String? in
            let status = try await first.status()
            return status.contains("is dead") ? status : nil
        }
        #expect(status.contains("n3 at \(nodes[2].gossip) is dead"), "\(status)")
        #expect(try await first.ask(.POST, "force-leave/n3").status == 200)
        try await first.sees([("n1", "alive"), ("n2", "alive"), ("n3", "left")])
    }

    @Test("A node that is asked to leave serves on, alone")
    func leave() async throws {
        let nodes = try await ClusterNode.cluster(2)
        #expect(try await nodes[1].ask(.POST, "leave").status == 200)
        try await nodes[0].sees([("n1", "alive"), ("n2", "left")], within: .seconds(5))
        #expect(try await nodes[1].ask(.POST, "leave").status == 409)
        let refused = try await nodes[1].ask(.POST, "force-leave/n1")
        #expect(refused.status == 409)
        #expect(String(decoding: refused.body, as: UTF8.self).contains("POST /api/v1/cluster/join brings it back"))
        #expect(try await nodes[1].server.run("add", "web", "10.0.0.7:80").status == 0)
        #expect(try await nodes[1].server.run("lookup", "web.skydns.local").output == "10.0.0.7\n")
    }

    @Test("A node that left comes back by a join: alive everywhere, and ready with what the others have")
    func comeBack() async throws {
        let nodes = try await ClusterNode.cluster(3)
        let (first, second, last) = (nodes[0], nodes[1], nodes[2])
        #expect(try await last.server.run("add", "old", "10.0.0.7:80", "--id", "a").status == 0)
        _ = try await first.eventuallyFinds("old", "10.0.0.7")
        let incarnation = try #require(try await first.incarnation(of: "n3"))
        #expect(try await last.ask(.POST, "leave").status == 200)
        for node in [first, second] { try await node.sees([("n1", "alive"), ("n2", "alive"), ("n3", "left")]) }
        #expect(try await last.server.get("/readyz") == 200)
        #expect(try await last.server.run("add", "alone", "10.0.0.8:80", "--id", "b").status == 0)
        #expect(try await first.server.run("add", "meanwhile", "10.0.0.9:80", "--id", "c").status == 0)
        #expect(try await first.server.run("delete", "old/a").status == 0)
        #expect(try await last.server.run("get", "old").status == 0)

        // Nobody there: nothing changes, and it says so.
        let silent = try await last.ask(.POST, "join", #"{"addresses":["127.0.0.1:1"]}"#)
        #expect(silent.status == 502)
        #expect(String(decoding: silent.body, as: UTF8.self).contains("this node stays out of its cluster"))
        #expect(try await last.ask(.POST, "leave").status == 409)
        #expect(try await last.server.get("/readyz") == 200)
        // What is degraded is looked at every second.
        _ = try await eventually("the status says so") {
            try await last.status().contains("alone until it joins again or is restarted") ? true : nil
        }

        let joined = try await last.json(.POST, "join", #"{"addresses":["\#(second.gossip)"]}"#)
        #expect(joined.member("joined")?.arrayValue?.first?.stringValue == second.gossip)
        // Ready only with what the others have.
        _ = try await eventually("ready again") { try await last.server.get("/readyz") == 200 ? true : nil }
        #expect(try await last.server.run("get", "meanwhile").status == 0)
        #expect(try await last.server.run("get", "old").status == 1)
        _ = try await last.eventuallyFinds("meanwhile", "10.0.0.9")
        for node in nodes {
            try await node.sees([("n1", "alive"), ("n2", "alive"), ("n3", "alive")])
            _ = try await node.eventuallyFinds("alone", "10.0.0.8")
            #expect(try #require(try await node.incarnation(of: "n3")) > incarnation)
        }
        _ = try await eventually("told as ready") { () -> Bool? in
            try await first.isReady("n3") ? true : nil
        }
        _ = try await eventually("nothing is degraded") { () -> Bool? in
            try await last.status().contains("this node has left") ? nil : true
        }
        // And once more, as often as one likes.
        #expect(try await last.ask(.POST, "leave").status == 200)
        try await first.sees([("n1", "alive"), ("n2", "alive"), ("n3", "left")])
        #expect(try await last.ask(.POST, "join", #"{"addresses":["\#(first.gossip)"]}"#).status == 200)
        for node in nodes { try await node.sees([("n1", "alive"), ("n2", "alive"), ("n3", "alive")]) }
    }

    @Test("Nodes that start at the same moment choose different marks, though their names ask for the same")
    func marks() async throws {
        let first = try await ClusterNode("n1")
        // Free when they come, so that each of them begins with it.
        let wanted = GossipMark.preferred(of: "n2")
        #expect(wanted != GossipMark.preferred(of: "n1"))
        let names = (2...).lazy.map { "n\($0)" }.filter { GossipMark.preferred(of: $0) == wanted }.prefix(4)
        let others = try await withThrowingTaskGroup(of: ClusterNode.self) { group in
            for name in names { group.addTask { try await ClusterNode(name, join: [first]) } }
            return try await group.reduce(into: [first]) { $0.append($1) }
        }
        for node in others {
            try await node.sees(others.map { ($0.name, "alive") })
            let marks = try await eventually("\(node.name) knows all marks") { () -> [String]? in
                let marks = try await node.members().compactMap {
                    $0.member("metadata")?.member("m")?.stringValue
                }
                return marks.count == others.count ? marks : nil
            }
            #expect(Set(marks).count == others.count, "\(marks)")
            _ = try await eventually("\(node.name) tells of no clash") {
                try await node.status().contains("marks etcd revisions") ? nil : true
            }
        }
    }

    @Test("A node whose name another living one has does not start, and harms nobody")
    func twin() async throws {
        let nodes = try await ClusterNode.cluster(2)
        for _ in 0..<2 {
            let ended = try await RegdnsProcess.run([
                "serve", "--dns", "127.0.0.1:0", "--http", "off", "--etcd", "off", "--forward", "off", "--node", "n2",
                "--gossip", "127.0.0.1:0", "--join", nodes[0].gossip,
            ])
            #expect(ended.status == 2, "\(ended.errors)")
            let last = ended.errors.split(separator: "\n").last ?? ""
            let expected = "regdns: --node n2: another living node has this name, at \(nodes[1].gossip); "
            #expect(last.hasPrefix(expected), "\(ended.errors)")
            #expect(!ended.output.contains("regdns ready"))
        }
        for node in nodes { try await node.sees([("n1", "alive"), ("n2", "alive")], within: .seconds(5)) }
        #expect(try await nodes[0].address(of: "n2") == nodes[1].gossip)
    }

    @Test("A node that was killed starts at another address at once, though others take it for alive at the old one")
    func restartElsewhere() async throws {
        let nodes = try await ClusterNode.cluster(2)
        #expect(try await nodes[0].server.run("add", "web", "10.0.0.7:80").status == 0)
        nodes[1].server.process.signal(SIGKILL)
        let again = try await ClusterNode("n2", join: [nodes[0]])
        #expect(again.gossip != nodes[1].gossip)
        #expect(try await again.server.get("/readyz") == 200)
        _ = try await again.eventuallyFinds("web", "10.0.0.7")
        let status = try await eventually("it says that it is known elsewhere") { () -> String? in
            let status = try await again.status()
            return status.contains("where nobody answers") ? status : nil
        }
        #expect(status.contains("others know n2 at \(nodes[1].gossip)"), "\(status)")
        #expect(!status.contains("has this node's name"))
    }

    @Test("Two nodes that serve under one name say so as long as both are there; one of them leaves without a word")
    func servingTwins() async throws {
        let first = try await ClusterNode("n1")
        let twin = try await ClusterNode("n2", join: [first])
        let second = try await ClusterNode("n2")
        #expect(try await second.ask(.POST, "join", #"{"addresses":["\#(first.gossip)"]}"#).status == 200)
        _ = try await second.server.process.error(containing: "another living node has this node's name")
        let status = try await eventually("a degradation") { () -> String? in
            let status = try await second.status()
            return status.contains("has this node's name") ? status : nil
        }
        #expect(status.contains("\(twin.gossip) has this node's name, n2, too (--node)"), "\(status)")
        _ = try await eventually("n2 has told all that it has to tell") { () -> Bool? in
            try await first.isReady("n2") ? true : nil
        }
        let incarnation = try #require(try await first.incarnation(of: "n2"))
        #expect(try await second.ask(.POST, "leave").status == 200)
        let back = try await second.ask(.POST, "join", #"{"addresses":["\#(first.gossip)"]}"#)
        #expect(back.status == 409)
        let reason = back.headers.first(name: "Error-Detail") ?? ""
        #expect(reason.contains("\(twin.gossip) has this node's name, n2, meanwhile"), "\(reason)")
        #expect(try await second.server.get("/readyz") == 200)
        try await first.sees([("n1", "alive"), ("n2", "alive")])
        #expect(try await first.address(of: "n2") == twin.gossip)
        #expect(try await first.incarnation(of: "n2") == incarnation, "nobody had to object")
        second.server.process.signal(SIGTERM)
        #expect(try await second.server.process.end().status == 0)
        try await first.sees([("n1", "alive"), ("n2", "alive")])
    }

    @Test("Members are joined over HTTP, and nobody at an address is told")
    func join() async throws {
        let first = try await ClusterNode("n1")
        let second = try await ClusterNode("n2")
        let joined = try await second.json(.POST, "join", #"{"addresses":["\#(first.gossip)"]}"#)
        #expect(joined.member("joined")?.arrayValue?.first?.stringValue == first.gossip)
        try await first.sees([("n1", "alive"), ("n2", "alive")])
        let silent = try await second.ask(.POST, "join", #"{"addresses":["127.0.0.1:1"]}"#)
        #expect(silent.status == 502)
        for (body, detail) in [
            (#"{"addresses":[]}"#, "addresses: 0 of them, expected 1 to 64 of HOST:PORT"),
            (#"{"addresses":["a b"]}"#, #"addresses: "a b", expected HOST:PORT, where the host has an address"#),
            (#"{"addresses":"x"}"#, #"addresses: expected an array of strings, got "x""#),
            ("{", "body "),
        ] {
            let refused = try await second.ask(.POST, "join", body)
            #expect(refused.status == 400)
            let shown = refused.headers.first(name: "Error-Detail") ?? ""
            #expect(shown.hasPrefix(detail), "\(shown)")
        }
    }

    @Test("Nodes find each other by a shared folder, and take their files away")
    func directory() async throws {
        let folder = try TemporaryFolder()
        let first = try await ClusterNode("n1", ["--join-dir", folder.path])
        let second = try await ClusterNode("n2", ["--join-dir", folder.path])
        try await first.sees([("n1", "alive"), ("n2", "alive")])
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
                == [first.gossip, second.gossip].sorted())
        second.server.process.signal(SIGTERM)
        #expect(try await second.server.process.end().status == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [first.gossip])
    }

    @Test("A node with a data directory finds its cluster again without seeds")
    func candidates() async throws {
        let folder = try TemporaryFolder()
        let first = try await ClusterNode("n1")
        let second = try await ClusterNode("n2", join: [first], ["--data-dir", folder.path])
        try await first.sees([("n1", "alive"), ("n2", "alive")])
        _ = try await eventually("known peers are kept") { () -> Bool? in
            let file = FileManager.default.contents(atPath: folder.path + "/gossip-peers.json") ?? Data()
            return String(decoding: file, as: UTF8.self).contains(first.gossip) ? true : nil
        }
        second.server.process.signal(SIGTERM)
        #expect(try await second.server.process.end().status == 0)
        let again = try await ClusterNode("n2", ["--data-dir", folder.path])
        try await again.sees([("n1", "alive"), ("n2", "alive")])
    }

    @Test("A node that wants peers is not ready before they are there")
    func minPeers() async throws {
        let ports = try await FreePorts.take(1)
        let process = try await RegdnsProcess([
            "serve", "--dns", "127.0.0.1:0", "--http", "127.0.0.1:\(ports[0])", "--etcd", "off", "--forward", "off",
            "--gossip", "127.0.0.1:0", "--node", "n1", "--min-peers", "1",
        ])
        _ = try await process.error(containing: "0 of 1 other nodes are there (--min-peers)")
        let http = HTTPClient(server: try ServerURL("http://127.0.0.1:\(ports[0])"), token: nil)
        #expect(try await http.send(.GET, "/readyz").status == 503)
        let members = try JSONValue.parse(try await http.send(.GET, "/api/v1/cluster/members").body)
        let own = try #require(members.member("members")?.arrayValue?.first?.member("address")?.stringValue)
        let second = try await ClusterNode("n2", ["--join", own])
        let line = try await process.line(beginning: "regdns ready ")
        #expect(line.contains("gossip=\(own) node=n1"), "\(line)")
        #expect(try await http.send(.GET, "/readyz").status == 200)
        try await second.sees([("n1", "alive"), ("n2", "alive")])
    }

    @Test("A busy gossip port ends with 2 and one line that names the flag")
    func busyPort() async throws {
        let first = try await ClusterNode("n1")
        let ended = try await RegdnsProcess.run([
            "serve", "--dns", "127.0.0.1:0", "--http", "off", "--etcd", "off", "--gossip", first.gossip,
        ])
        #expect(ended.status == 2)
        let last = ended.errors.split(separator: "\n").last ?? ""
        #expect(last.hasPrefix("regdns: --gossip \(first.gossip): address already in use"), "\(ended.errors)")
    }

    @Test("Without gossip every path says how to begin")
    func off() async throws {
        let server = try await RunningServer()
        let http = HTTPClient(server: try ServerURL(server.http), token: nil)
        for path in ["members", "sync", "keys", "preserve", "events"] {
            let reply = try await http.send(.GET, "/api/v1/cluster/\(path)")
            #expect(reply.status == 409)
            #expect(String(decoding: reply.body, as: UTF8.self).contains("--gossip IP:PORT"))
        }
        let verb = try await server.run("members")
        #expect(verb.status == 1)
        #expect(verb.errors.contains("start it with --gossip IP:PORT"), "\(verb.errors)")
    }

    @Test("Events of the membership come as they happen")
    func events() async throws {
        let first = try await ClusterNode("n1")
        let seen = GrowingText()
        let http = HTTPClient(server: try ServerURL(first.server.http), token: nil)
        let reader = Task {
            try await http.stream("/api/v1/cluster/events", headers: ["Accept": "text/event-stream"]) { _, body in
                var parser = EventStreamParser()
                while let piece = try await body.next() {
                    for event in parser.feed(piece.readableBytesView) {
                        seen.add(Data("\(event.name) \(event.data)\n".utf8))
                    }
                }
            }
        }
        defer { reader.cancel() }
        _ = try await seen.line(beginning: "ready", within: .seconds(10))
        let second = try await ClusterNode("n2", join: [first])
        let joined = try await seen.line(beginning: #"joined {"node":"n2""#, within: .seconds(20))
        #expect(joined.contains(#""address":"\#(second.gossip)""#), "\(joined)")
        second.server.process.signal(SIGTERM)
        _ = try await seen.line(beginning: #"left {"node":"n2""#, within: .seconds(20))
    }
}

extension ClusterNode {
    /// Waits until the DNS answers a service with this address.
    fileprivate func eventuallyFinds(_ service: String, _ address: String) async throws -> Bool {
        try await eventually("\(name) answers \(service)") { () -> Bool? in
            try await server.run("lookup", "\(service).skydns.local").output == "\(address)\n" ? true : nil
        }
    }

    private func member(_ name: String) async throws -> JSONValue? {
        try await members().first { $0.member("name")?.stringValue == name }
    }

    /// Where this node knows a member to be.
    fileprivate func address(of member: String) async throws -> String? {
        try await self.member(member)?.member("address")?.stringValue
    }

    /// Whether this node has heard that a member is ready.
    fileprivate func isReady(_ member: String) async throws -> Bool {
        try await self.member(member)?.member("ready")?.boolValue == true
    }

    /// The incarnation that this node knows of a member.
    fileprivate func incarnation(of member: String) async throws -> Int64? {
        try await self.member(member)?.member("incarnation")?.int64Value
    }
}

extension JSONValue {
    /// The text of a number.
    fileprivate var doubleText: String? {
        if case .number(let text) = self { text } else { nil }
    }
}
