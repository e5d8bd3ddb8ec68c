import ArgumentParser
import Glibc

/// The form in which verbs print.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    case table
    case json

    /// Tables for people, JSON for pipes.
    static var forThisTerminal: OutputFormat { isatty(STDOUT_FILENO) == 1 ? .table : .json }
}
