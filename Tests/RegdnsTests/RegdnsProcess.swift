import Foundation
import NIOHTTP1
import Synchronization
import Testing

@testable import regdns

/// The real program, started as a user starts it.
final class RegdnsProcess: Sendable {
    struct Ended: Sendable {
        let status: Int32
        let output: String
        let errors: String
    }

    /// A test that waits longer has found a fault.
    static let patience: Duration = .seconds(30)

    private let process: Process
    private let output: PipeText
    private let errors: PipeText
    private let ended: AsyncStream<Int32>

    /// `$REGDNS`, or the binary that was built with the tests.
    static let binary: URL = {
        if let path = ProcessInfo.processInfo.environment["REGDNS"], !path.isEmpty { return URL(filePath: path) }
        let tests = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        return tests.deletingLastPathComponent().appending(path: "regdns")
    }()

    /// Starts it with a clean environment besides the variables given.
    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        process = Process()
        process.executableURL = Self.binary
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent"].merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        let (output, errors) = (PipeText(), PipeText())
        process.standardOutput = output.pipe
        process.standardError = errors.pipe
        (self.output, self.errors) = (output, errors)
        let (stream, continuation) = AsyncStream<Int32>.makeStream()
        ended = stream
        process.terminationHandler = { process in
            continuation.yield(process.terminationStatus)
            continuation.finish()
        }
        try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    /// Runs it to its end.
    static func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Ended {
        try await RegdnsProcess(arguments, environment: environment).end()
    }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits for the end.
    func end() async throws -> Ended {
        let ended = ended
        let status = try await Deadline.run(Self.patience) {
            var iterator = ended.makeAsyncIterator()
            return await iterator.next() ?? -1
        }
        return Ended(status: status, output: try await output.whole(), errors: try await errors.whole())
    }

    /// The first line of its output that begins so.
    func line(beginning start: String) async throws -> String {
        try await Deadline.run(Self.patience) { try await self.output.line(beginning: start) }
    }

    /// The first line of its errors that contains the text.
    func error(containing text: String) async throws -> String {
        try await Deadline.run(Self.patience) { try await self.errors.line { $0.contains(text) } }
    }
}

/// What a pipe has delivered so far, for readers that wait for more.
final class PipeText: Sendable {
    struct Ended: Error {
        let text: String
    }

    private struct State {
        var bytes = Data()
        var isEnded = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    let pipe = Pipe()
    private let state = Mutex(State())

    init() {
        pipe.fileHandleForReading.readabilityHandler = { [weak self] handle in
            let data = handle.availableData
            if data.isEmpty { handle.readabilityHandler = nil }
            self?.add(data)
        }
    }

    private func add(_ data: Data) {
        let waiters = state.withLock { state in
            state.bytes += data
            if data.isEmpty { state.isEnded = true }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    private func waitForMore(than count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.bytes.count > count || state.isEnded { return true }
                state.waiters.append(continuation)
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    func line(beginning start: String) async throws -> String { try await line { $0.hasPrefix(start) } }

    func line(where matches: @Sendable (Substring) -> Bool) async throws -> String {
        while true {
            let (bytes, isEnded) = state.withLock { ($0.bytes, $0.isEnded) }
            let text = String(decoding: bytes, as: UTF8.self)
            let complete = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            if let line = complete.first(where: matches) { return String(line) }
            if isEnded { throw Ended(text: text) }
            await waitForMore(than: bytes.count)
        }
    }

    /// Everything, once the other end is closed.
    func whole() async throws -> String {
        while true {
            let (bytes, isEnded) = state.withLock { ($0.bytes, $0.isEnded) }
            if isEnded { return String(decoding: bytes, as: UTF8.self) }
            await waitForMore(than: bytes.count)
        }
    }
}

/// A running server on ports that the kernel chose.
struct RunningServer: Sendable {
    let process: RegdnsProcess
    /// `HOST:PORT` by the names of the start line.
    let addresses: [String: String]

    /// Starts `serve` with all listeners on port 0, nothing forwarded, and the flags given.
    init(_ flags: [String] = [], environment: [String: String] = [:]) async throws {
        process = try RegdnsProcess(
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
    func run(_ arguments: String...) async throws -> RegdnsProcess.Ended {
        let target = arguments.first == "lookup" ? ["--dns", dns] : ["--server", http]
        return try await RegdnsProcess.run(arguments + target)
    }
}
