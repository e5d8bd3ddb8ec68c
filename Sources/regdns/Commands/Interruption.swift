import UnixSignals

/// Work that goes on until SIGINT or SIGTERM.
enum Interruption {
    /// Runs the work; at a signal it is cancelled, and the call returns. Rethrows what ends the work before that.
    static func run(_ work: @escaping @Sendable () async throws -> Void) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await work() }
            group.addTask { for await _ in signals { return } }
            // What cancelled work says of its end is not asked for.
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
