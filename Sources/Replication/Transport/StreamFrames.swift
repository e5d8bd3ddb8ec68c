import NIOCore

// The application's streams after their first message: frames of three octets' length (big-endian) and their bytes.

struct StreamFrameDecoder: ByteToMessageDecoder {
    typealias InboundOut = ByteBuffer

    struct TooLong: Error {
        let octets: Int
        let limit: Int
    }

    let limit: Int

    mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        guard let head = buffer.getBytes(at: buffer.readerIndex, length: 3) else { return .needMoreData }
        let count = head.reduce(0) { $0 << 8 | Int($1) }
        guard count <= limit else { throw TooLong(octets: count, limit: limit) }
        guard buffer.readableBytes >= 3 + count else { return .needMoreData }
        buffer.moveReaderIndex(forwardBy: 3)
        guard let frame = buffer.readSlice(length: count) else { return .needMoreData }
        context.fireChannelRead(wrapInboundOut(frame))
        return .continue
    }

    mutating func decodeLast(
        context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
    ) throws -> DecodingState {
        try decode(context: context, buffer: &buffer)
    }
}

struct StreamFrameEncoder: MessageToByteEncoder {
    typealias OutboundIn = ByteBuffer

    let limit: Int

    func encode(data: ByteBuffer, out: inout ByteBuffer) throws {
        guard data.readableBytes <= min(limit, 0xff_ffff) else {
            throw StreamFrameDecoder.TooLong(octets: data.readableBytes, limit: limit)
        }
        out.writeBytes(UInt32(data.readableBytes).octets.dropFirst())
        out.writeImmutableBuffer(data)
    }
}
