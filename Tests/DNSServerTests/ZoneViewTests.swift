import DNSWire
import Foundation
import RegistryStore
import Testing

@testable import DNSServer

/// Zone files beside registrations (DESIGN, "Zone files").
@Suite struct ZoneViewTests {
    private static func zone(_ text: String, _ file: String = "test.zone") throws -> Zone {
        try ZoneFileParser.parse(Array(text.utf8), file: file)
    }

    private static let example = """
        $ORIGIN example.test.
        $TTL 7200
        @ IN SOA ns1 hostmaster 5 3600 600 86400 120
        @ NS ns1
        @ NS ns2.elsewhere.test.
        ns1 A 192.0.2.1
        www A 192.0.2.2
        www A 192.0.2.3
        alias CNAME www
        mail MX 10 www
        a.b.ent TXT "deep"
        *.wild A 192.0.2.9
        sub NS ns.sub
        ns.sub A 192.0.2.53
        """

    private func server() throws -> ViewHarness {
        let server = try ViewHarness()
        server.view.setZones([try Self.zone(Self.example)])
        return server
    }

    @Test func answersFromAZone() throws {
        let server = try server()
        let answer = try server.ask("www.example.test", .a)
        #expect(answer.texts == ["www.example.test. A 192.0.2.2", "www.example.test. A 192.0.2.3"])
        #expect(answer.answers.allSatisfy { $0.ttl == 7200 }, "the cap of SkyDNS is for registrations")
        #expect(try server.ask("alias.example.test", .a).texts.count == 3)
        let mail = try server.ask("mail.example.test", .mx)
        #expect(mail.additionals.count == 2)
        #expect(try server.ask("example.test", .ns).answers.count == 2)
        #expect(
            try server.ask("example.test", .soa).texts
                == ["example.test. SOA ns1.example.test. hostmaster.example.test. 5 3600 600 86400 120"])
    }

    @Test func negativeAnswersCarryTheZonesSOA() throws {
        let server = try server()
        let missing = try server.ask("nope.example.test", .a)
        #expect(missing.rcode == .nxDomain)
        #expect(
            missing.authorities.map { ViewHarness.text($0) }
                == ["example.test. SOA ns1.example.test. hostmaster.example.test. 5 3600 600 86400 120"])
        #expect(missing.authorities.first?.ttl == 120)
        #expect(try server.ask("ent.example.test", .txt).rcode == .noError)
        #expect(try server.ask("b.ent.example.test", .a).answers.isEmpty)
        #expect(try server.ask("x.skydns.local", .a).authorities.first?.owner.description == "skydns.local.")
    }

    @Test func wildcardsFollowRFC4592() throws {
        let server = try server()
        #expect(try server.ask("any-name.wild.example.test", .a).texts == ["any-name.wild.example.test. A 192.0.2.9"])
        #expect(try server.ask("deeper.name.wild.example.test", .a).texts.count == 1)
        #expect(try server.ask("x.wild.example.test", .mx).rcode == .noError)
        #expect(try server.ask("wild.example.test", .a).answers.isEmpty)
    }

    @Test func namesBelowADelegationAreReferred() throws {
        let server = try server()
        for name in ["sub.example.test", "host.sub.example.test", "ns.sub.example.test"] {
            let answer = try server.ask(name, .a)
            #expect(answer.rcode == .noError, "\(name)")
            #expect(!answer.flags.contains(.authoritative))
            #expect(answer.answers.isEmpty)
            #expect(answer.authorities.map { ViewHarness.text($0) } == ["sub.example.test. NS ns.sub.example.test."])
            #expect(answer.additionals.map { ViewHarness.text($0) } == ["ns.sub.example.test. A 192.0.2.53"])
        }
    }

    @Test func reloadingReplacesAndRemoves() throws {
        let server = try server()
        let changed = Self.example.replacingOccurrences(of: "www A 192.0.2.2\n", with: "")
        server.view.setZones([try Self.zone(changed)])
        #expect(try server.ask("www.example.test", .a).texts == ["www.example.test. A 192.0.2.3"])
        server.view.setZones([])
        #expect(try server.ask("www.example.test", .a).rcode == .refused)
        server.view.setZones([try Self.zone(Self.example)])
        #expect(try server.ask("www.example.test", .a).answers.count == 2)
    }

    @Test func zoneAndRegistrationsOfOneNameBothAnswer() throws {
        let server = try ViewHarness()
        server.view.setZones([
            try Self.zone(
                """
                $ORIGIN skydns.local.
                @ 60 IN SOA ns1.example.test. hostmaster.example.test. 9 1 1 1 30
                @ 60 NS ns1.example.test.
                web 60 A 192.0.2.1
                web 60 HINFO "a" "b"
                """)
        ])
        try server.register("web", "i", host: .ipv4(0x0A00_0001))
        #expect(
            try server.ask("web.skydns.local", .a).texts
                == ["web.skydns.local. A 10.0.0.1", "web.skydns.local. A 192.0.2.1"])
        #expect(try server.ask("web.skydns.local", .hinfo).answers.count == 1)
        #expect(
            try server.ask("skydns.local", .soa).texts.first?.contains("ns1.example.test. hostmaster.example.test. 9")
                == true)
        #expect(try server.ask("skydns.local", .ns).answers.count == 1)
    }

    @Test func anAliasBesideRegisteredDataIsAConflict() throws {
        let server = try ViewHarness()
        try server.put("/skydns/test/example/alias", #"{"host":"10.0.0.1"}"#)
        #expect(server.view.conflict(of: [try Self.zone(Self.example)])?.description == "alias.example.test.")
        #expect(server.view.conflict(of: []) == nil)
    }
}
