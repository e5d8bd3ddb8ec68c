import Foundation
import Logging

/// Writes log events to standard error, one line per event, one write per line.
struct ServerLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel: Logger.Level

    private let module: String
    private let format: LogFormat
    private let write: @Sendable ([UInt8]) -> Void

    /// - Parameter write: takes one line; standard error unless a test looks.
    init(
        module: String, format: LogFormat, level: Logger.Level,
        write: @escaping @Sendable ([UInt8]) -> Void = StandardStreams.error
    ) {
        self.module = module
        self.format = format
        self.logLevel = level
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { _, new in new } }
        if let given = event.metadata { fields.merge(given) { _, new in new } }
        let sorted = fields.sorted { $0.key < $1.key }.map { (key: $0.key, value: "\($0.value)") }
        write(
            LogLine.bytes(
                format, time: .now, level: event.level, module: module, message: event.message.description,
                metadata: sorted))
    }
}

/// The process's output streams.
enum StandardStreams {
    /// Writes to standard output; a reader that went away is no error.
    @Sendable static func output(_ bytes: [UInt8]) { try? FileHandle.standardOutput.write(contentsOf: Data(bytes)) }

    /// Writes to standard error; a reader that went away is no error.
    @Sendable static func error(_ bytes: [UInt8]) { try? FileHandle.standardError.write(contentsOf: Data(bytes)) }

    /// One line to standard output.
    static func print(_ line: String) { output(Array((line + "\n").utf8)) }

    /// One line to standard error.
    static func complain(_ line: String) { error(Array((line + "\n").utf8)) }
}
