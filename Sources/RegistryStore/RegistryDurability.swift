/// What keeps a registry over restarts, as far as doors have to do with it: they answer a write when it is kept.
package protocol RegistryDurability: Sendable {
    /// Grows with every write that has to be kept: who sees the same number before and after a call wrote nothing.
    var position: Int { get }

    /// Whether everything that was applied is kept. Who writes what is there already has to wait when it is not: what
    /// is there may be a write that was refused because it could not be kept.
    var isSettled: Bool { get }

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
    ///
    /// - Parameter isRefusal: whether a value says that nothing was to be written: such a one waits for nothing.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable () -> Value, isRefusal: (Value) -> Bool
    ) -> KeptOutcome<Value> {
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
        if isSettled || position == before && isRefusal(value) { return .done(value) }
        return .pending { () throws(RegistryError) in
            try await settle()
            return value
        }
    }
}
