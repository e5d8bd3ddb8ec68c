import NIOCore

/// Frames over a stream whose hellos have been exchanged. A message is one frame in one or more records, each protected
/// by a `SyncCipher`: a first octet (1 when more of the message follows, else 0), then octets of the frame.
///
/// It belongs to one task.
final class SyncLink {
    private var records: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let writer: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var sends: SyncCipher
    private var receives: SyncCipher
    private let messageMax: Int
    private let watch: SyncWatch
    private let count: (Event) -> Void
    private(set) var bytesIn = 0
    private(set) var bytesOut = 0

    /// What is counted as it happens.
    enum Event {
        case bytesIn(Int)
        case bytesOut(Int)
        case unknownFrame
    }

    /// Most octets of a frame in a record: with what protects them, well below `TransportLimits.frameBytes`.
    static let partMax = 524_288

    init(
        _ stream: GossipStream, _ ciphers: (sends: SyncCipher, receives: SyncCipher), messageMax: Int,
        watch: SyncWatch, count: @escaping (Event) -> Void
    ) {
        records = stream.frames.makeAsyncIterator()
        writer = stream.writer
        (sends, receives) = ciphers
        self.messageMax = messageMax
        self.watch = watch
        self.count = count
    }

    // MARK: Sending

    /// Returns when the stream has room for more.
    func send(_ frame: Frame) async throws {
        let bytes = frame.encoded()
        var start = 0
        repeat {
            let end = min(start + Self.partMax, bytes.count)
            let record = try sends.seal([end < bytes.count ? 1 : 0] + bytes[start..<end])
            try await writer.write(ByteBuffer(bytes: record))
            bytesOut += record.count
            count(.bytesOut(record.count))
            watch.progress()
            start = end
        } while start < bytes.count
    }

    // MARK: Receiving

    /// The next frame that this version knows; nil when the peer has closed.
    func receive() async throws -> Frame? {
        while let message = try await message() {
            do throws(FrameError) {
                let frame = try Frame(decoding: message)
                if case .unknown = frame.body {
                    count(.unknownFrame)
                    continue
                }
                watch.progress()
                return frame
            } catch .unknownVersion {
                count(.unknownFrame)
            } catch {
                throw SyncFailure.frame(error)
            }
        }
        return nil
    }

    private func message() async throws -> [UInt8]? {
        var message: [UInt8] = []
        while let buffer = try await records.next() {
            let record = buffer.getBytes(at: buffer.readerIndex, length: buffer.readableBytes) ?? []
            bytesIn += record.count
            count(.bytesIn(record.count))
            let part = try receives.open(record)
            guard let more = part.first, more <= 1, more == 0 || part.count > 1 else { throw SyncFailure.badRecord }
            guard part.count - 1 <= messageMax - message.count else {
                throw SyncFailure.messageTooLong(limit: messageMax)
            }
            message += part.dropFirst()
            if more == 0 { return message }
            watch.progress()
        }
        guard message.isEmpty else { throw SyncFailure.closed }
        return nil
    }
}
