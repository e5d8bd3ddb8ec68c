import Synchronization

/// Epoch-based reclamation for the published view.
///
/// SAFETY, the invariants of this file:
/// - A reader announces the current epoch in its own slot before its first load of a published pointer and clears the
///   slot after its last use; it keeps no pointer in between.
/// - The writer (one at a time, under the view's lock) unlinks a block before it retires it; the retired block carries
///   the epoch of that moment. It is freed only when every announced epoch is greater, so no reader that could have
///   loaded the pointer is still inside.
/// - Slots are never freed while the process lives, so a reader's slot stays valid whatever the writer does.
@safe
final class Epochs: @unchecked Sendable {
    /// Readers at most: DNS threads and event loops together; `register` refuses more.
    static let readersMax = 512

    private let global = Atomic<UInt64>(1)
    private let registered = Atomic<Int>(0)
    private let slots: UnsafeMutablePointer<Atomic<UInt64>>
    /// Words between two readers' slots, so that they share no cache line.
    private static let stride = 8
    private static let idle = UInt64.max

    init() {
        let count = Self.readersMax * Self.stride
        unsafe slots = .allocate(capacity: count)
        for index in 0..<count {
            // SAFETY: index < count, the capacity allocated above.
            unsafe (slots + index).initialize(to: Atomic(Self.idle))
        }
    }

    deinit {
        // SAFETY: readers hold a strong reference to this object, so none is left.
        unsafe slots.deinitialize(count: Self.readersMax * Self.stride)
        unsafe slots.deallocate()
    }

    /// A new reader's slot number; nil when `readersMax` are taken.
    func register() -> Int? {
        let number = registered.add(1, ordering: .relaxed).oldValue
        return number < Self.readersMax ? number : nil
    }

    @inline(__always)
    func enter(_ reader: Int) {
        // SAFETY: reader came from `register`, so it is below readersMax. Sequentially consistent: the announcement
        // must be visible before the first pointer is loaded.
        unsafe slots[reader &* Self.stride].store(
            global.load(ordering: .sequentiallyConsistent), ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    func leave(_ reader: Int) {
        // SAFETY: as in `enter`.
        unsafe slots[reader &* Self.stride].store(Self.idle, ordering: .releasing)
    }

    /// The epoch to stamp on a block that was just unlinked.
    var current: UInt64 { global.load(ordering: .sequentiallyConsistent) }

    /// Starts a new epoch and returns the smallest one a reader may still be in: blocks stamped below it are free.
    func advance() -> UInt64 {
        let next = global.add(1, ordering: .sequentiallyConsistent).newValue
        var least = next
        for reader in 0..<min(registered.load(ordering: .sequentiallyConsistent), Self.readersMax) {
            // SAFETY: reader < readersMax.
            least = unsafe min(least, slots[reader &* Self.stride].load(ordering: .sequentiallyConsistent))
        }
        return least
    }
}

/// Blocks that were unlinked and wait for their readers to leave. Owned by the writer.
struct RetiredBlocks {
    private var blocks: [(address: UInt, epoch: UInt64)] = []
    /// Reclaim when so many wait: bounds the memory and spreads the cost of looking at every reader.
    private static let threshold = 256

    var count: Int { blocks.count }

    mutating func retire(_ address: UInt, _ epochs: Epochs) {
        blocks.append((address, epochs.current))
        if blocks.count >= Self.threshold { reclaim(epochs) }
    }

    /// Frees every block whose readers are gone.
    mutating func reclaim(_ epochs: Epochs) {
        let least = epochs.advance()
        blocks.removeAll { block in
            guard block.epoch < least else { return false }
            RawBlock(address: block.address).free()
            return true
        }
    }
}
