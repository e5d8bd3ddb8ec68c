import DNSWire
import RegdnsTestKit
import Testing

@Suite struct ResponseWriterTests {
    static func writer(limit: Int = 512, edns: EDNS? = nil) throws -> ResponseWriter {
        ResponseWriter(
            limit: limit, id: 1, flags: [.response, .authoritative],
            question: Question(name: try DomainName("Web.test"), type: .srv), edns: edns)
    }

    @Test func compressionFollowsTheTypes() throws {
        var writer = try Self.writer()
        let target = try DomainName("host.web.test")
        writer.append(
            .answer, owner: try OwnerName("web.test"), type: .srv, ttl: 1,
            rdata: RDATA.srv(priority: 1, weight: 2, port: 3, target: target))
        writer.append(.answer, owner: target, type: .mx, ttl: 1, rdata: RDATA.mx(preference: 9, exchange: target))
        writer.append(.additional, owner: target, type: .a, ttl: 1, rdata: RDATA.a(0x0102_0304))
        let expected =
            "0001" + "8400" + "0001000200000001" + "03576562047465737400" + "00210001"
            // SRV's target is written out, and later names point into it.
            + "c00c" + "0021000100000001" + "0015" + "000100020003" + "04686f7374" + "03776562" + "047465737400"
            + "c02c" + "000f000100000001" + "0004" + "0009c02c" + "c02c" + "0001000100000001" + "000401020304"
        #expect(hex(writer.finish()) == expected)
    }

    @Test func aRecordThatDoesNotFitLeavesNoTrace() throws {
        var writer = try Self.writer(edns: EDNS())
        let room = writer.room
        #expect(room == 512 - 26 - 11)
        // Fails by one octet, with a new name in front that must not be pointed to afterwards.
        let name = try OwnerName("new.test")
        let roomForData = room - 16
        let kept = writer.append(
            .answer, owner: name, type: RRType(rawValue: 65_280), ttl: 0,
            rdata: .init(repeating: 0, count: roomForData + 1))
        #expect(!kept)
        #expect(writer.room == room && writer.flags.contains(.truncated))
        let keptNow = writer.append(
            .answer, owner: name, type: RRType(rawValue: 65_280), ttl: 0, rdata: .init(repeating: 0, count: roomForData)
        )
        #expect(keptNow)
        #expect(writer.room == 0)
        let octets = writer.finish()
        #expect(octets.count == 512)
        let message = try Message(reading: octets)
        #expect(message.answers.map(\.owner.folded) == [name] && message.edns == EDNS())
    }

    @Test func onlyTheAdditionalSectionMayBeCutInSilence() throws {
        var writer = try Self.writer()
        let big = [UInt8](repeating: 0, count: 600)
        let kept = writer.append(
            .additional, owner: OwnerName.root, type: RRType(rawValue: 65_280), ttl: 0, rdata: big)
        #expect(!kept)
        #expect(!writer.flags.contains(.truncated))
        var other = try Self.writer()
        let otherKept = other.append(
            .authority, owner: OwnerName.root, type: RRType(rawValue: 65_280), ttl: 0, rdata: big)
        #expect(!otherKept)
        #expect(other.flags.contains(.truncated))
    }

    @Test func truncationKeepsTheQuestion() throws {
        var writer = try Self.writer(edns: EDNS(dnssecOK: true))
        writer.append(.answer, owner: try OwnerName("web.test"), type: .a, ttl: 1, rdata: RDATA.a(1))
        writer.truncate()
        let message = try Message(reading: writer.finish())
        #expect(message.flags.contains([.truncated, .authoritative]) && message.questions.count == 1)
        #expect(message.answers.isEmpty && message.edns?.dnssecOK == true)
    }

    @Test func optionsThatDoNotFitAreLeftOut() throws {
        let edns = EDNS(options: [
            .init(code: .nsid, data: [1, 2]), .init(code: .padding, data: .init(repeating: 0, count: 500)),
        ])
        let message = try Message(reading: Self.writer(edns: edns).finish())
        #expect(message.edns?.options == [.init(code: .nsid, data: [1, 2])])
    }

    @Test func extendedCodesNeedEDNS() throws {
        var plain = try Self.writer()
        plain.rcode = .badCookie
        #expect(try Message(reading: plain.finish()).rcode == .servFail)
        var extended = try Self.writer(edns: EDNS())
        extended.rcode = .badCookie
        #expect(try Message(reading: extended.finish()).rcode == .badCookie)
    }

    @Test func pointersReachSixteenThousandOctetsOnly() throws {
        var writer = try Self.writer(limit: 65_535)
        for index in 0..<1_500 {
            let name = try OwnerName("host\(index % 800).far.test")
            let kept = writer.append(.answer, owner: name, type: .a, ttl: 1, rdata: RDATA.a(UInt32(index)))
            #expect(kept)
        }
        let message = try Message(reading: writer.finish())
        #expect(message.answers.count == 1_500)
        #expect(message.answers[1_499].owner.description == "host699.far.test.")
    }

    @Test func textIsCutIntoStrings() {
        #expect(RDATA.txt([UInt8]()) == [0])
        let long = RDATA.txt([UInt8](repeating: 7, count: 300))
        #expect(long.count == 302 && long[0] == 255 && long[256] == 45)
        #expect(RDATA.txt([UInt8](repeating: 7, count: 255)).count == 256)
    }

    @Test func dataOfSOAAndSRV() throws {
        let soa = try SOAData(rdata: RecordText.parse(type: .soa, text: "a.b. c. 1 2 3 4 5"))
        #expect(soa.primary.description == "a.b." && soa.mailbox.description == "c.")
        #expect([soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] == [1, 2, 3, 4, 5])
        #expect(try SOAData(rdata: soa.rdata) == soa)
        let srv = try SRVData(rdata: RecordText.parse(type: .srv, text: "1 2 3 a.b."))
        #expect(srv.priority == 1 && srv.weight == 2 && srv.port == 3 && srv.target.description == "a.b.")
        #expect(throws: WireError.self) { try SRVData(rdata: [0, 1, 0, 2, 0, 3, 0xc0, 0]) }
    }
}
