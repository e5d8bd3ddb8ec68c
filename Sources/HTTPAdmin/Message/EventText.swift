import HTTPTypes

/// Server-sent events (WHATWG HTML, section 9.2), written.
enum EventText {
    static let headers: HTTPFields = [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store"]

    /// One event whose data is an object.
    static func event(_ name: String, id: Int64?, members: (inout JSONOutput) -> Void) -> [UInt8] {
        var json = JSONOutput()
        json.beginObject()
        members(&json)
        json.endObject()
        var text = Array("event: \(name)\n".utf8)
        if let id { text += Array("id: \(id)\n".utf8) }
        return text + Array("data: ".utf8) + json.bytes + Array("\n\n".utf8)
    }

    /// Keeps a silent connection open.
    static let heartbeat = Array(": heartbeat\n\n".utf8)
}

/// Holds one of the bounded places for event streams; gives it back however the stream ends, also when it never began.
final class StreamPlace: Sendable {
    private let counters: HTTPCounters

    init(_ counters: HTTPCounters, bound: Int) throws(APIError) {
        guard counters.openStream(bound: bound) else {
            throw APIError(.serviceUnavailable, "Too many event streams")
        }
        self.counters = counters
    }

    deinit { counters.closeStream() }
}
