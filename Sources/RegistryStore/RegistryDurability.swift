/// What keeps a registry over restarts, as far as doors have to do with it: they answer a write when it is kept.
package protocol RegistryDurability: Sendable {
    /// Grows with every write that has to be kept: who sees the same number before and after a call wrote nothing.
    var position: Int { get }

    /// Whether a write may be applied without `waitForRoom`.
    var hasRoom: Bool { get }

    /// Waits until what waits to be kept is within its bound. Throws `unavailable` when nothing can be kept.
    func waitForRoom() async throws(RegistryError)

    /// Waits until everything that was applied before the call is kept. Throws `unavailable` when it cannot be: it is
    /// in effect all the same.
    func settle() async throws(RegistryError)
}

/// What became of something that may have written.
package enum KeptOutcome<Value: Sendable>: Sendable {
    /// Done, and nothing of it has to be waited for.
    case done(Value)
    /// Gives the value when what was written is kept.
    case pending(@Sendable () async throws(RegistryError) -> Value)
}

extension RegistryDurability {
    /// Runs something that may write, at once if there is room for it.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> KeptOutcome<Value> {
        guard hasRoom else {
            return .pending { () throws(RegistryError) in
                try await waitForRoom()
                let value = body()
                try await settle()
                return value
            }
        }
        let before = position
        let value = body()
        guard position != before else { return .done(value) }
        return .pending { () throws(RegistryError) in
            try await settle()
            return value
        }
    }
}
