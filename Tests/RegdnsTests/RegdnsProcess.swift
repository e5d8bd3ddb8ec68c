import Foundation
import NIOHTTP1
import RegdnsTestKit
import Testing

@testable import regdns

/// The real program, started as a user starts it; killed when the test lets go of it.
final class RegdnsProcess: Sendable {
    private let child: ChildProcess

    /// `$REGDNS`, or the binary that was built with the tests.
    static let binary: URL = {
        if let path = ProcessInfo.processInfo.environment["REGDNS"], !path.isEmpty { return URL(filePath: path) }
        let tests = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        return tests.deletingLastPathComponent().appending(path: "regdns")
    }()

    /// Starts it with a clean environment besides the variables given.
    init(_ arguments: [String], environment: [String: String] = [:]) async throws {
        child = try await ChildProcess(
            Self.binary.path(), arguments,
            environment: ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent"].merging(environment) { $1 })
    }

    deinit { child.signal(SIGKILL) }

    /// Runs it to its end.
    static func run(
        _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> ChildProcess.Ended {
        try await RegdnsProcess(arguments, environment: environment).end()
    }

    func signal(_ number: Int32) { child.signal(number) }

    /// Waits for the end.
    func end() async throws -> ChildProcess.Ended { try await child.end() }

    /// The first line of its output that begins so.
    func line(beginning start: String) async throws -> String {
        try await child.output.line(beginning: start, within: child.patience)
    }

    /// The first line of its errors that contains the text.
    func error(containing text: String) async throws -> String {
        try await child.errors.line(containing: text, within: child.patience)
    }
}

/// A running server on ports that the kernel chose.
struct RunningServer: Sendable {
    let process: RegdnsProcess
    /// `HOST:PORT` by the names of the start line.
    let addresses: [String: String]

    /// Starts `serve` with all listeners on port 0, nothing forwarded, and the flags given.
    init(_ flags: [String] = [], environment: [String: String] = [:]) async throws {
        process = try await RegdnsProcess(
            ["serve", "--dns", "127.0.0.1:0", "--http", "127.0.0.1:0", "--etcd", "127.0.0.1:0", "--forward", "off"]
                + flags, environment: environment)
        let line = try await process.line(beginning: "regdns ready ")
        addresses = Self.fields(line)
    }

    static func fields(_ line: String) -> [String: String] {
        line.split(separator: " ").reduce(into: [:]) { fields, word in
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { fields[parts[0]] = parts[1] }
        }
    }

    var http: String { "http://" + (addresses["http"] ?? "") }
    var dns: String { addresses["dns"] ?? "" }

    /// The status of a GET.
    func get(_ path: String) async throws -> Int {
        try await HTTPClient(server: try ServerURL(http), token: nil).send(.GET, path).status
    }

    /// Runs a client verb against it.
    func run(_ arguments: String...) async throws -> ChildProcess.Ended {
        let target = arguments.first == "lookup" ? ["--dns", dns] : ["--server", http]
        return try await RegdnsProcess.run(arguments + target)
    }
}
