import Foundation
import Logging
import RegistryStore

/// One log event as a line of bytes, with its line break.
enum LogLine {
    /// Field names per format: Amalgam8's for json, Logstash's event schema for logstash.
    static func bytes(
        _ format: LogFormat, time: Date, level: Logger.Level, module: String, message: String,
        metadata: [(key: String, value: String)]
    ) -> [UInt8] {
        let time = time.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        let line: String
        switch format {
        case .text:
            let fields = metadata.map { " \(PlainText.oneLine($0.key))=\(textValue($0.value))" }.joined()
            let padded = level.rawValue + String(repeating: " ", count: max(0, 7 - level.rawValue.count))
            line = "\(time) \(padded) \(module): \(PlainText.oneLine(message))\(fields)"
        case .json:
            line = object([("time", time), ("level", level.rawValue), ("module", module), ("msg", message)] + metadata)
        case .logstash:
            let fields = [("level", level.rawValue), ("module", module), ("message", message)] + metadata
            line = object([("@timestamp", time), ("@version", "1")] + fields)
        }
        return Array((line + "\n").utf8)
    }

    /// A value as it stands after `key=`: in quotes where it has blanks or quotes.
    private static func textValue(_ text: String) -> String {
        let needsQuotes = text.isEmpty || text.contains { $0 == " " || $0 == "\"" || $0 == "=" }
        guard needsQuotes else { return PlainText.oneLine(text) }
        let escaped = text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
        return "\"\(PlainText.oneLine(escaped))\""
    }

    private static func object(_ fields: [(String, String)]) -> String {
        JSONValue.object(fields.map { ($0.0, .string($0.1)) }).line
    }
}
