/// One server-sent event.
struct ServerSentEvent: Hashable, Sendable {
    /// Its id; nil when the event has none.
    let id: String?
    let name: String
    let data: String
}

/// Reads `text/event-stream` (WHATWG HTML, section 9.2) from pieces of any size.
struct EventStreamParser: Sendable {
    /// Octets of one event; a longer one is dropped.
    static let maxEventBytes = 4 << 20

    private var line: [UInt8] = []
    private var sawCarriageReturn = false
    private var id: String?
    /// The id that a resumed stream must name: the last one seen, also on its own.
    var lastID: String? { id }
    private var name = ""
    private var data: [String] = []
    private var bytes = 0

    /// Takes a piece and returns the events that it completes.
    mutating func feed(_ piece: some Sequence<UInt8>) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in piece {
            if byte == UInt8(ascii: "\n"), sawCarriageReturn {
                sawCarriageReturn = false
                continue
            }
            sawCarriageReturn = byte == UInt8(ascii: "\r")
            guard sawCarriageReturn || byte == UInt8(ascii: "\n") else {
                bytes += 1
                if bytes <= Self.maxEventBytes { line.append(byte) }
                continue
            }
            if let event = endLine() { events.append(event) }
        }
        return events
    }

    private mutating func endLine() -> ServerSentEvent? {
        defer { line.removeAll(keepingCapacity: true) }
        guard !line.isEmpty else {
            defer {
                name = ""
                data = []
                bytes = 0
            }
            let complete = bytes <= Self.maxEventBytes && !data.isEmpty
            return complete
                ? ServerSentEvent(id: id, name: name.isEmpty ? "message" : name, data: data.joined(separator: "\n"))
                : nil
        }
        let text = String(decoding: line, as: UTF8.self)
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let field = parts.first, !field.isEmpty else { return nil }  // A comment, as keep-alives are.
        var value = parts.count == 2 ? parts[1] : ""
        if value.first == " " { value = value.dropFirst() }
        switch field {
        case "id": if !value.contains("\0") { id = String(value) }
        case "event": name = String(value)
        case "data": data.append(String(value))
        default: break
        }
        return nil
    }
}
