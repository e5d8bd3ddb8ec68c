import Logging

/// The form of a log line.
enum LogFormat: String, Sendable, CaseIterable {
    case text
    case json
    case logstash
}

extension ValueForm where Value == LogFormat {
    static let logFormat = ValueForm(
        noun: "a log format", example: LogFormat.allCases.map(\.rawValue).joined(separator: ", "),
        read: LogFormat.init(rawValue:))
}

extension ValueForm where Value == Logger.Level {
    static let logLevel = ValueForm(
        noun: "a log level", example: "trace, debug, info, notice, warning, error or critical"
    ) { text in
        switch text.lowercased() {
        case "warn": .warning
        // The words that Amalgam8 and SkyDNS have for it.
        case "fatal", "panic": .critical
        default: Logger.Level(rawValue: text.lowercased())
        }
    }
}
