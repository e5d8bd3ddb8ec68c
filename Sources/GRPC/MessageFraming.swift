import NIOCore

/// Messages on a stream: a flag, the length in four octets, the bytes (PROTOCOL-HTTP2.md of the gRPC project,
/// "Length-Prefixed-Message").
enum MessageFraming {
    static let prefixBytes = 5
    /// Up to here a message is copied behind its prefix; above it goes out as it is.
    static let copiedBytesMax = 8_192

    /// A message as pieces to send: mostly one.
    static func frames(of message: ByteBuffer, allocator: ByteBufferAllocator) -> (ByteBuffer, ByteBuffer?) {
        let length = message.readableBytes
        let isCopied = length <= copiedBytesMax
        var first = allocator.buffer(capacity: prefixBytes + (isCopied ? length : 0))
        first.writeInteger(UInt8(0))
        first.writeInteger(UInt32(truncatingIfNeeded: length))
        guard isCopied else { return (first, message) }
        first.writeImmutableBuffer(message)
        return (first, nil)
    }

    /// Several messages as one piece.
    static func frame(of messages: ArraySlice<ByteBuffer>, allocator: ByteBufferAllocator) -> ByteBuffer {
        var piece = allocator.buffer(capacity: messages.reduce(0) { $0 + prefixBytes + $1.readableBytes })
        for message in messages {
            piece.writeInteger(UInt8(0))
            piece.writeInteger(UInt32(truncatingIfNeeded: message.readableBytes))
            piece.writeImmutableBuffer(message)
        }
        return piece
    }
}

/// Gathers the bytes of a stream and gives them back as messages.
///
/// Holds less than one message and one frame: its owner takes every whole message after each piece.
struct MessageReader {
    private let bytesMax: Int
    private let encoding: String?
    private(set) var buffer: ByteBuffer?

    /// - Parameters:
    ///   - bytesMax: the longest message taken.
    ///   - encoding: what `grpc-encoding` said.
    init(bytesMax: Int, encoding: String?) {
        self.bytesMax = bytesMax
        self.encoding = encoding == "identity" || encoding == "" ? nil : encoding
    }

    /// Bytes that wait for the rest of their message.
    var bufferedBytes: Int { buffer?.readableBytes ?? 0 }

    mutating func append(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        guard buffer != nil else {
            buffer = bytes
            return
        }
        buffer?.writeImmutableBuffer(bytes)
    }

    /// The next whole message; nil when it is not there yet.
    ///
    /// - Throws: grpc-go's status for what is no message.
    mutating func next() throws(GRPCStatus) -> ByteBuffer? {
        guard let buffer, let flag = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self),
            let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self).map({ Int($0) })
        else {
            if let buffer { keepOnlyWhatIsNeeded(buffer) }
            return nil
        }
        guard length <= bytesMax else {
            throw GRPCStatus(
                .resourceExhausted, "grpc: received message larger than max (\(length) vs. \(bytesMax))")
        }
        guard buffer.readableBytes >= MessageFraming.prefixBytes + length else {
            keepOnlyWhatIsNeeded(buffer)
            return nil
        }
        try check(flag: flag)
        self.buffer?.moveReaderIndex(forwardBy: MessageFraming.prefixBytes)
        let message = self.buffer?.readSlice(length: length)
        if self.buffer?.readableBytes == 0 { self.buffer = nil }
        return message
    }

    /// A few bytes that wait must not keep alive the buffer of the whole read that they came in.
    private mutating func keepOnlyWhatIsNeeded(_ rest: ByteBuffer) {
        guard rest.storageCapacity > Self.spareBytesMax + 2 * rest.readableBytes else { return }
        buffer = ByteBuffer(bytes: rest.readableBytesView)
    }

    private static let spareBytesMax = 512

    private func check(flag: UInt8) throws(GRPCStatus) {
        switch (flag, encoding) {
        case (0, nil):
            break
        case (0...1, let encoding?):
            throw GRPCStatus(.unimplemented, "grpc: Decompressor is not installed for grpc-encoding \"\(encoding)\"")
        case (1, nil):
            throw GRPCStatus(.internalError, "grpc: compressed flag set with identity or empty encoding")
        default:
            throw GRPCStatus(.internalError, "grpc: received unexpected payload format \(flag)")
        }
    }

    mutating func drop() { buffer = nil }
}
