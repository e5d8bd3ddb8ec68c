import Synchronization

/// The memory that requests and answers of all connections together may hold.
final class HeldBytes: Sendable {
    private let held = Atomic<Int>(0)
    private let bound: Int

    init(bound: Int) { self.bound = bound }

    var count: Int { held.load(ordering: .relaxed) }

    /// Reserves so many bytes; false, and nothing reserved, when that would pass the bound.
    func reserve(_ bytes: Int) -> Bool {
        if held.add(bytes, ordering: .relaxed).newValue <= bound { return true }
        release(bytes)
        return false
    }

    func release(_ bytes: Int) { held.subtract(bytes, ordering: .relaxed) }
}
