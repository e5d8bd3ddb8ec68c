import Synchronization

/// The memory that requests and answers of all connections together may hold.
package final class HeldBytes: Sendable {
    private let held = Atomic<Int>(0)
    private let bound: Int

    package init(bound: Int) { self.bound = bound }

    package var count: Int { held.load(ordering: .relaxed) }

    /// Reserves so many bytes; false, and nothing reserved, when that would pass the bound.
    package func reserve(_ bytes: Int) -> Bool {
        if held.add(bytes, ordering: .relaxed).newValue <= bound { return true }
        release(bytes)
        return false
    }

    package func release(_ bytes: Int) { held.subtract(bytes, ordering: .relaxed) }
}

/// What one connection holds of the shared memory.
///
/// Its first bytes are its own, so that clients that ask for little are served however much others hold, and touch no
/// shared counter; the bound on connections bounds them. The rest is taken in chunks.
struct HeldHere {
    static let ownBytes = 32_768
    private static let chunk = 16_384
    private static let slack = 4 * chunk

    private let shared: HeldBytes
    private let bound: Int
    private var reserved = 0
    private(set) var count = 0

    /// - Parameter bound: bytes this connection alone may hold.
    init(shared: HeldBytes, bound: Int) {
        self.shared = shared
        self.bound = bound
    }

    /// Holds so many bytes more; false, and nothing changed, at either bound.
    mutating func hold(_ bytes: Int) -> Bool {
        guard count + bytes <= bound else { return false }
        let missing = count + bytes - Self.ownBytes - reserved
        if missing > 0 {
            let taken = (missing + Self.chunk - 1) / Self.chunk * Self.chunk
            guard shared.reserve(taken) else { return false }
            reserved += taken
        }
        count += bytes
        return true
    }

    mutating func letGo(_ bytes: Int) {
        count -= bytes
        let spare = reserved - max(0, count - Self.ownBytes)
        guard spare > Self.slack else { return }
        shared.release(spare - Self.chunk)
        reserved -= spare - Self.chunk
    }

    mutating func letGoOfAll() {
        shared.release(reserved)
        reserved = 0
        count = 0
    }
}
