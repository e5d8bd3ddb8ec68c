import NIOCore
import RegistryStore

/// One event for watches: its bytes are made when the first watch wants them, and shared by all.
final class WatchEvent {
    let change: Change
    /// The store's.
    let revision: Int64
    private var plain: ByteBuffer?
    private var withPrevious: ByteBuffer?

    init(_ change: Change, revision: Int64) {
        self.change = change
        self.revision = revision
    }

    /// The event as field 11 of a response.
    func bytes(withPrevious wantsPrevious: Bool, _ context: V3Context) -> ByteBuffer {
        let hasPrevious = wantsPrevious && change.previous != nil
        if let made = hasPrevious ? withPrevious : plain { return made }
        let made = make(previous: hasPrevious ? change.previous.map { context.wireKeyValue($0) } : nil, context)
        if hasPrevious { withPrevious = made } else { plain = made }
        return made
    }

    private func make(previous: WireKeyValue?, _ context: V3Context) -> ByteBuffer {
        // A delete has nothing but the key and when it happened.
        let keyValue =
            change.current.map { context.wireKeyValue($0) }
            ?? WireKeyValue(key: change.key, modRevision: context.keyspace.index(of: revision))
        let kind: UInt64 = change.current == nil ? 1 : 0
        let size =
            WireSize.field(1, kind) + WireSize.message(2, bytes: keyValue.bytes)
            + (previous.map { WireSize.message(3, bytes: $0.bytes) } ?? 0)
        var buffer = ByteBuffer()
        buffer.reserveCapacity(size + 8)
        buffer.writeMessageStart(11, bytes: size)
        buffer.writeField(1, kind)
        keyValue.write(2, into: &buffer)
        previous?.write(3, into: &buffer)
        return buffer
    }
}

/// Responses of a watch as bytes.
struct WatchResponses {
    let context: V3Context
    /// A response that would be longer is cut: between revisions, or anywhere when the watch asked for fragments.
    static let bytesMax = 1_572_864

    /// Responses with events, in order, each with the revision that the watch has been told of when it has them all.
    func events(_ events: [WatchEvent], id: Int64, interest: WatchInterest, revision: Int64) -> [ByteBuffer] {
        var responses: [ByteBuffer] = []
        var start = 0
        var size = 0
        for (place, event) in events.enumerated() {
            let bytes = event.bytes(withPrevious: interest.withPrevious, context).readableBytes
            let mayCut = interest.fragments || (place > 0 && events[place - 1].revision != event.revision)
            if place > start, size + bytes > Self.bytesMax, mayCut {
                responses.append(
                    response(events[start..<place], size, id, interest, revision, isFragment: interest.fragments))
                start = place
                size = 0
            }
            size += bytes
        }
        responses.append(response(events[start...], size, id, interest, revision, isFragment: false))
        return responses
    }

    private func response(
        _ events: ArraySlice<WatchEvent>, _ size: Int, _ id: Int64, _ interest: WatchInterest, _ revision: Int64,
        isFragment: Bool
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(size + 64)
        context.wireHeader(revision).write(into: &buffer)
        buffer.writeField(2, id)
        buffer.writeField(7, isFragment)
        for event in events {
            buffer.writeImmutableBuffer(event.bytes(withPrevious: interest.withPrevious, context))
        }
        return buffer
    }

    /// A response without events.
    func notice(
        id: Int64, revision: Int64, created: Bool = false, canceled: Bool = false, compactRevision: Int64 = 0,
        reason: String = ""
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        context.wireHeader(revision).write(into: &buffer)
        buffer.writeField(2, id)
        buffer.writeField(3, created)
        buffer.writeField(4, canceled)
        buffer.writeField(5, compactRevision)
        buffer.writeField(6, Array(reason.utf8))
        return buffer
    }
}
