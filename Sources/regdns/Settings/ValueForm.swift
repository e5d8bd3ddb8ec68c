/// How the text of a setting is read, and how to say what was expected.
struct ValueForm<Value: Sendable>: Sendable {
    /// What the text should be: `a duration`.
    let noun: String
    /// What the user can write: `30s, 1m30s or 500ms`.
    let example: String
    let read: @Sendable (String) -> Value?
}

extension ValueForm where Value == String {
    static let text = ValueForm(noun: "a text", example: "any text") { $0 }
    static let path = ValueForm(noun: "a path", example: "the path of a file or folder") { $0.isEmpty ? nil : $0 }
    static let url = ValueForm(noun: "a URL", example: "scheme://host:port") { $0.isEmpty ? nil : $0 }

    static func choice(_ words: String...) -> ValueForm {
        ValueForm(noun: "one of its words", example: words.joined(separator: ", ")) { words.contains($0) ? $0 : nil }
    }
}

extension ValueForm where Value == ListenAddress {
    static let listen = ValueForm(
        noun: "an address to listen on", example: "IP:PORT like 127.0.0.1:5354 or [::]:53, or off",
        read: ListenAddress.parse)
}

extension ValueForm where Value == SocketEndpoint {
    static let endpoint = ValueForm(noun: "an address", example: "IP:PORT like 10.0.0.1:7946") {
        SocketEndpoint.parse($0)
    }
}

extension ValueForm where Value == NetworkText {
    static let network = ValueForm(
        noun: "a network", example: "an address and a prefix length like 10.0.0.0/8", read: NetworkText.parse)
}

extension ValueForm where Value == Duration {
    static let duration = ValueForm(
        noun: "a duration", example: "a number with a unit like 30s, 1m30s, 500ms or 2h", read: DurationText.parse)
}

extension ValueForm where Value == Bool {
    static let boolean = ValueForm(noun: "a yes or no", example: "true or false") { text in
        switch text.lowercased() {
        case "true", "t", "yes", "on", "1": true
        case "false", "f", "no", "off", "0": false
        default: nil
        }
    }
}

extension ValueForm where Value == Int {
    static func integer(_ range: ClosedRange<Int>) -> ValueForm {
        let span =
            range.upperBound == .max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
        return ValueForm(noun: "a whole number in its range", example: "a number, \(span)") { text in
            Int(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Seconds of a DNS TTL: a number, or a duration of whole seconds.
    static let seconds = ValueForm(noun: "a number of seconds", example: "whole seconds like 3600, or 1h") { text in
        let limit = Int(Int32.max)
        if let number = Int(text) { return (0...limit).contains(number) ? number : nil }
        guard let duration = DurationText.parse(text), duration.components.attoseconds == 0,
            duration.components.seconds <= limit
        else { return nil }
        return Int(duration.components.seconds)
    }
}
