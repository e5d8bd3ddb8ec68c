import Foundation
import Subprocess
import SystemPackage

/// Another program, started by a test and read while it runs.
package final class ChildProcess: Sendable {
    /// What a program left behind.
    package struct Ended: Sendable {
        /// The exit status; for a program that a signal ended, 128 and the signal's number, as shells say it.
        package let status: Int32
        package let output: String
        package let errors: String
    }

    /// Its number while it runs.
    package let pid: Int32
    /// Standard output so far.
    package let output = GrowingText()
    /// Standard error so far.
    package let errors = GrowingText()
    /// Of every wait; a test that waits longer has found a fault.
    package let patience: Duration
    private let status: GrowingText

    /// Starts the program at `path` with exactly this environment and an empty standard input.
    ///
    /// - Throws: `SubprocessError` when it cannot be started.
    package init(
        _ path: String, _ arguments: [String], environment: [String: String], patience: Duration = .seconds(30)
    ) async throws {
        let (output, errors, status) = (output, errors, GrowingText())
        self.patience = patience
        self.status = status
        let variables = environment.reduce(into: [:]) { $0[Environment.Key(stringLiteral: $1.key)] = $1.value }
        let (started, continuation) = AsyncThrowingStream<Int32, any Error>.makeStream()
        Task {
            defer { for text in [output, errors, status] { text.end() } }
            do {
                let result = try await Subprocess.run(
                    .path(.init(path)), arguments: .init(arguments), environment: .custom(variables), input: .none,
                    output: .sequence, error: .sequence
                ) { execution in
                    continuation.yield(Int32(execution.processIdentifier.value))
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for (stream, text) in [(execution.standardOutput, output), (execution.standardError, errors)] {
                            group.addTask {
                                for try await buffer in stream { text.add(Data(buffer: buffer)) }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                switch result.terminationStatus {
                case .exited(let code): status.add(Data("\(code)".utf8))
                case .signaled(let signal): status.add(Data("\(128 + signal)".utf8))
                }
                continuation.finish()
            } catch {
                errors.add(Data("\(error)".utf8))
                continuation.finish(throwing: error)
            }
        }
        var pids = started.makeAsyncIterator()
        guard let pid = try await pids.next() else { throw CancellationError() }
        self.pid = pid
    }

    /// Sends a signal, unless it has ended.
    package func signal(_ number: Int32) {
        if !status.hasEnded { kill(pid, number) }
    }

    /// Waits for its end, and for the end of all it printed.
    package func end() async throws -> Ended {
        let status = Int32(try await status.whole(within: patience)) ?? -1
        return Ended(
            status: status, output: try await output.whole(within: patience),
            errors: try await errors.whole(within: patience))
    }
}
