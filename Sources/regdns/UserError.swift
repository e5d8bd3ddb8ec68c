/// The exit statuses of every verb.
enum ExitStatus: Int32, Sendable {
    /// What was asked for is done.
    case done = 0
    /// The server refused, or there is nothing of that name.
    case refused = 1
    /// Wrong usage, or a configuration that cannot be used.
    case usage = 2
    /// The server does not answer.
    case unreachable = 3
}

/// A failure that the user can act on, told in one line: `regdns: <what>: <why>; <what to do>`.
struct UserError: Error, Hashable, Sendable, CustomStringConvertible {
    let status: ExitStatus
    /// The flag, variable, file and line, name or address concerned.
    let what: String
    let why: String
    /// What the user can do about it.
    let remedy: String

    init(_ status: ExitStatus = .usage, what: String, why: String, remedy: String) {
        self.status = status
        self.what = what
        self.why = why
        self.remedy = remedy
    }

    /// The line, without a line break; control characters of quoted input do not reach the terminal.
    var description: String { PlainText.oneLine("regdns: \(what): \(why); \(remedy)") }

    /// The refusal of something that a later version brings.
    static func notInThisVersion(_ what: String, remedy: String) -> UserError {
        UserError(what: what, why: "is not available in this version", remedy: remedy)
    }
}

/// Text on its way to a terminal or a log line.
enum PlainText {
    /// The text with every control character replaced by a visible escape, so that it stays one line and cannot steer
    /// the terminal that shows it.
    static func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            default:
                if isControl(scalar) {
                    result += "\\u{" + String(scalar.value, radix: 16) + "}"
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result
    }

    /// The text shortened to `limit` characters, for quoting input in an error.
    static func quoted(_ text: String, limit: Int = 60) -> String {
        text.count <= limit ? "'\(text)'" : "'\(text.prefix(limit))…'"
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
    }
}
