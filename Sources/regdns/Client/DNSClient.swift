import DNSWire
import NIOCore
import NIOPosix

/// Asks one DNS server: UDP with retries, TCP when the answer was cut.
struct DNSClient: Sendable {
    let server: SocketEndpoint
    /// Time for one attempt over UDP, and for all of a TCP exchange.
    var attemptTime: Duration = .seconds(2)
    var attempts = 3

    /// The answer to a question, with the transport that it came by.
    struct Reply: Sendable {
        let message: Message
        let overTCP: Bool
    }

    func ask(_ question: Question) async throws(UserError) -> Reply {
        let id = UInt16.random(in: .min ... .max)
        let query = ResponseWriter(
            limit: 512, id: id, flags: .recursionDesired, question: question,
            edns: EDNS(payloadSize: ErrorResponse.advertisedPayloadSize)
        ).finish()
        let message = try await overUDP(query, id: id, question)
        guard message.flags.contains(.truncated) else { return Reply(message: message, overTCP: false) }
        return Reply(message: try await overTCP(query, id: id, question), overTCP: true)
    }

    private func overUDP(_ query: [UInt8], id: UInt16, _ question: Question) async throws(UserError) -> Message {
        var last: any Error = DeadlineExceeded()
        for _ in 0..<attempts {
            do {
                return try await Deadline.run(attemptTime) { try await datagram(query, id: id, question) }
            } catch {
                last = error
                if !(error is DeadlineExceeded) { break }
            }
        }
        throw failure(last, transport: "UDP")
    }

    private func overTCP(_ query: [UInt8], id: UInt16, _ question: Question) async throws(UserError) -> Message {
        do {
            return try await Deadline.run(attemptTime) { try await stream(query, id: id, question) }
        } catch {
            throw failure(error, transport: "TCP")
        }
    }

    private enum Problem: Error {
        case ended
        case foreign
        case unreadable(WireError)
    }

    private func datagram(_ query: [UInt8], id: UInt16, _ question: Question) async throws -> Message {
        let channel = try await DatagramBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65_535))
            .connect(to: SocketAddress(ipAddress: server.host, port: server.port)) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<AddressedEnvelope<ByteBuffer>, AddressedEnvelope<ByteBuffer>>(
                        wrappingChannelSynchronously: channel)
                }
            }
        let remote = try SocketAddress(ipAddress: server.host, port: server.port)
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(AddressedEnvelope(remoteAddress: remote, data: ByteBuffer(bytes: query)))
            for try await envelope in inbound {
                // The socket is connected, so the sender is right; another id or question is a late stranger.
                let message = try? read(Array(envelope.data.readableBytesView))
                if let message, matches(message, id: id, question) { return message }
            }
            throw Problem.ended
        }
    }

    private func stream(_ query: [UInt8], id: UInt16, _ question: Question) async throws -> Message {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connectTimeout(.seconds(2))
            .connect(host: server.host, port: server.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var frame = ByteBuffer()
            frame.writeInteger(UInt16(query.count))
            frame.writeBytes(query)
            try await outbound.write(frame)
            var received = ByteBuffer()
            for try await var piece in inbound {
                received.writeBuffer(&piece)
                guard let length = received.getInteger(at: received.readerIndex, as: UInt16.self),
                    received.readableBytes >= Int(length) + 2
                else { continue }
                received.moveReaderIndex(forwardBy: 2)
                let message = try read(received.readBytes(length: Int(length)) ?? [])
                guard matches(message, id: id, question) else { throw Problem.foreign }
                return message
            }
            throw Problem.ended
        }
    }

    private func read(_ octets: [UInt8]) throws -> Message {
        do {
            return try Message(reading: octets)
        } catch {
            throw Problem.unreadable(error)
        }
    }

    /// Whether a message answers our question. Servers that cannot read a query may leave the question out.
    private func matches(_ message: Message, id: UInt16, _ question: Question) -> Bool {
        guard message.id == id, message.flags.contains(.response) else { return false }
        guard let echoed = message.questions.first else { return message.rcode != .noError }
        return echoed.name.folded == question.name.folded && echoed.type == question.type
            && echoed.rrClass == question.rrClass
    }

    private func failure(_ error: any Error, transport: String) -> UserError {
        let why =
            switch error {
            case is DeadlineExceeded: "does not answer over \(transport)"
            case Problem.ended: "closed the connection"
            case Problem.foreign: "answered another question"
            case Problem.unreadable(let error): "sent a message that cannot be read: \(error)"
            default: "cannot be reached over \(transport)"
            }
        return UserError(
            .unreachable, what: "DNS server \(server)", why: why,
            remedy: "start one with 'regdns serve', or name it with --dns")
    }
}

/// Names of the reverse tree (RFC 1035 section 3.5, RFC 3596 section 2.5).
enum ReverseName {
    /// The name that holds the PTR records of an address; nil when the text is no address.
    static func of(_ text: String) -> String? {
        if let address = IPAddressText.ipv4(text.utf8) {
            let octets = (0..<4).map { String((address >> (8 * UInt32($0))) & 0xFF) }
            return octets.joined(separator: ".") + ".in-addr.arpa."
        }
        guard let address = IPAddressText.ipv6(text.utf8) else { return nil }
        let nibbles = [address.low, address.high].flatMap { half in
            (0..<16).map { String((half >> (4 * UInt64($0))) & 0xF, radix: 16) }
        }
        return nibbles.joined(separator: ".") + ".ip6.arpa."
    }
}
