import Logging

/// Makes the loggers of the server's parts.
struct LogFactory: Sendable {
    let format: LogFormat
    let level: Logger.Level

    /// - Parameter module: the part, as the lines name it.
    func logger(_ module: String) -> Logger {
        Logger(label: module) { ServerLogHandler(module: $0, format: format, level: level) }
    }

    /// Makes libraries that ask the logging system for a logger write as we do, their trouble only.
    func bootstrap() {
        let factory = self
        LoggingSystem.bootstrap { label in
            ServerLogHandler(module: label, format: factory.format, level: max(factory.level, .warning))
        }
    }
}
