import DNSWire
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import DNSServer

/// Asking upstream servers: what is sent, what is believed, and who is asked next.
@Suite struct ForwardExchangeTests {
    @Test func answerIsTheClientsOwn() async throws {
        try await ScriptedUpstream.run { saw in
            [
                saw.message.reply(
                    [record("\(saw.message.name)", .a, "192.0.2.7")],
                    flags: [.response, .authoritative, .authenticData, .recursionAvailable])
            ]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            var query = ClientQuery("WWW.Example.ORG")
            query.flags = [.recursionDesired, .checkingDisabled]
            let answer = try await forwarder.ask(query)
            #expect(answer.id == 0x4711)
            #expect(answer.questions == [Question(name: try DomainName("WWW.Example.ORG"), type: .a)])
            #expect(answer.addresses == ["192.0.2.7"])
            #expect("\(answer.answers[0].owner)" == "WWW.Example.ORG.", "the owner points to the question")
            #expect(answer.flags == [.response, .recursionDesired, .recursionAvailable, .checkingDisabled])
            #expect(answer.edns == nil)
            let seen = try #require(upstream.seen.first)
            #expect(seen.message.flags == [.recursionDesired, .checkingDisabled])
            #expect(seen.message.edns == EDNS(payloadSize: 1232))
        }
    }

    @Test func recursionDesiredIsCopiedAndAlwaysAskedFor() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let answer = try await forwarder.ask(ClientQuery("a.example.org").with { $0.flags = [] })
            #expect(answer.flags == [.response, .recursionAvailable])
            #expect(upstream.seen.allSatisfy { $0.message.flags.contains(.recursionDesired) })
        }
    }

    @Test func ednsIsAnsweredToWhoSentIt() async throws {
        try await ScriptedUpstream.run { saw in
            [saw.message.reply([record("a.example.org", .a, "192.0.2.1")], edns: EDNS(payloadSize: 4096))]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let options = [EDNS.Option(code: .clientSubnet, data: [0, 1, 8, 0, 10])]
            let query = ClientQuery("a.example.org").with {
                $0.edns = EDNS(payloadSize: 4096, dnssecOK: true, options: options)
            }
            let answer = try await forwarder.ask(query)
            #expect(answer.edns == EDNS(payloadSize: 1232, dnssecOK: true))
            let sent = try #require(upstream.seen.first?.message.edns)
            #expect(sent == EDNS(payloadSize: 1232, dnssecOK: true), "nothing of the client's options is handed on")
        }
    }

    /// Packets that must be ignored while the true answer is waited for.
    enum Forgery: String, CaseIterable, Sendable {
        case wrongID, wrongName, wrongType, wrongClass, twoQuestions, noQuestion, query, opcode, garbage, cut, long
        case selfPointer, forwardPointer, rdataTooLong, addressOfThreeOctets, empty

        func packet(for query: Message) -> [UInt8] {
            let evil = record("\(query.name)", .a, "6.6.6.6")
            let good = query.reply([evil], edns: nil)
            var packet = good
            let question = query.questions[0]
            // The record begins behind the question; its owner is a pointer.
            let at = 12 + question.name.wire.count + 4
            switch self {
            case .wrongID: return query.reply([evil], id: query.id ^ 1)
            case .wrongName:
                let other = Question(name: .root, type: question.type)
                return query.reply([evil], question: other)
            case .wrongType: return query.reply([evil], question: Question(name: question.name, type: .txt))
            case .wrongClass:
                return query.reply([evil], question: Question(name: question.name, type: .a, rrClass: .ch))
            case .twoQuestions: packet.replaceSubrange(4..<6, with: [0, 2])
            case .noQuestion:
                packet = Array(good[..<12]) + good[at...]
                packet.replaceSubrange(4..<6, with: [0, 0])
            case .query: packet[2] &= 0x7f
            case .opcode: packet[2] |= 0x10
            case .garbage: packet = (0..<40).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            case .cut: packet.removeLast(2)
            case .long: packet.append(0)
            case .selfPointer: packet.replaceSubrange(at..<(at + 2), with: [0xc0, UInt8(at)])
            case .forwardPointer: packet.replaceSubrange(at..<(at + 2), with: [0xc0, UInt8(at + 2)])
            case .rdataTooLong: packet[at + 10] = 1
            case .addressOfThreeOctets:
                packet.removeLast()
                packet[at + 11] = 3
            case .empty: packet = []
            }
            return packet
        }
    }

    @Test(arguments: Forgery.allCases, [ForwardTransport.udp, .tcp])
    func forgedAnswerIsIgnored(_ forgery: Forgery, transport: ForwardTransport) async throws {
        try await ScriptedUpstream.run { saw in
            [forgery.packet(for: saw.message), saw.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let answer = try await forwarder.ask(ClientQuery("www.example.org").with { $0.transport = transport })
            #expect(answer.addresses == ["192.0.2.1"])
            #expect(upstream.count == 1)
            #expect(forwarder.counters.unsuitablePackets == 1)
        }
    }

    @Test func packetFromAnotherAddressDoesNotArrive() async throws {
        let stranger = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        try await ScriptedUpstream.run(isOpen: false) {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            async let answer = forwarder.ask(ClientQuery("www.example.org"))
            await eventually("the query came") { upstream.count == 1 }
            let saw = try #require(upstream.seen.first)
            let victim = try SocketAddress(ipAddress: "127.0.0.1", port: saw.port)
            let evil = saw.message.address("6.6.6.6")
            try await stranger.writeAndFlush(AddressedEnvelope(remoteAddress: victim, data: ByteBuffer(bytes: evil)))
            upstream.open()
            #expect(try await answer.addresses == ["192.0.2.1"])
            #expect(forwarder.counters.unsuitablePackets == 0)
        }
        try await stranger.close()
    }

    @Test func idsComeFromTheGeneratorAndPortsAreFresh() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let next = Mutex<UInt64>(0x1_0000)
            let random = ForwarderRandom {
                next.withLock {
                    $0 += 0x101
                    return $0
                }
            }
            let forwarder = forwarder(to: [upstream.address], random: random)
            for place in 0..<50 { _ = try await forwarder.ask(ClientQuery("n\(place).example.org")) }
            let ids = upstream.seen.map(\.message.id)
            #expect(ids == (1...50).map { UInt16($0) * 0x101 })
            #expect(Set(upstream.seen.map(\.port)).count > 40)
        }
    }

    @Test func manyUnsuitablePacketsLeadToTCP() async throws {
        try await ScriptedUpstream.run { saw in
            guard saw.transport == .udp else { return [saw.message.address()] }
            return Array(repeating: saw.message.address("6.6.6.6"), count: 64).map { [$0[0] ^ 1] + $0.dropFirst() }
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            try await forwarder.expectAddress(ClientQuery("www.example.org"))
            #expect(upstream.seen.map(\.transport) == [.udp, .tcp])
            #expect(forwarder.counters.unsuitablePackets == UpstreamExchange.unsuitableMax)
        }
    }

    @Test func truncatedAnswerIsAskedForOverTCP() async throws {
        let records = (0..<100).map { record("big.example.org", .a, "192.0.2.\($0)") }
        try await ScriptedUpstream.run { saw in
            guard saw.transport == .udp else { return [saw.message.reply(records)] }
            // A record is cut in the middle, as some servers do.
            let whole = saw.message.reply(records, flags: [.response, .truncated], edns: nil)
            return [Array(whole.prefix(333))]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let small = try await forwarder.ask(ClientQuery("big.example.org").with { $0.limit = 512 })
            #expect(small.flags.contains(.truncated))
            #expect(small.addresses.count == (512 - 12 - 21) / 16)
            let whole = try await forwarder.ask(
                ClientQuery("big.example.org").with {
                    $0.transport = .tcp
                    $0.limit = 0xffff
                })
            #expect(!whole.flags.contains(.truncated))
            #expect(whole.answers.count == 100)
            #expect(upstream.seen.map(\.transport) == [.udp, .tcp], "the second one came from the cache")
            #expect(forwarder.counters.tcpFallbacks == 1)
        }
    }

    @Test func clientOverTCPIsAskedOverTCP() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            _ = try await forwarder.ask(ClientQuery("a.example.org").with { $0.transport = .tcp })
            #expect(upstream.seen.map(\.transport) == [.tcp])
        }
    }

    @Test func serverWithoutEDNSIsAskedAgainWithoutIt() async throws {
        try await ScriptedUpstream.run { saw in
            if saw.message.edns == nil {
                return [saw.message.reply([record(saw.message.name, .a, "192.0.2.1")], edns: nil)]
            }
            return [
                [UInt8(saw.message.id >> 8), UInt8(saw.message.id & 0xff), 0x80, 1] + [UInt8](repeating: 0, count: 8)
            ]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            try await forwarder.expectAddress(ClientQuery("a.example.org"))
            #expect(upstream.count == 2)
            #expect(forwarder.counters.ednsFallbacks == 1)
        }
    }
}
