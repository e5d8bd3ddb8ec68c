public import Synchronization

/// The deadlines of all leases, one atomic number per lease: written by the store's writer, read by anyone without a
/// lock.
///
/// The DNS composer reads here how long an answer may be cached, so that a renewal is one store and publishes nothing.
/// A slot keeps its last deadline after its lease has ended and is reused as late as possible: whoever still holds
/// the slot of an entry that is gone reads a deadline in the past or one that bounds the answer, never "for ever".
///
/// Numbers of 0 and more are deadlines in milliseconds of the store's monotonic clock; `Int64.max` is a suspended lease
/// or none. A negative number tells twice the milliseconds that an answer may be cached, as `-(2 * n) - 1` of a lease
/// that another node counts, and as `-(2 * n) - 2` of one that is over and is preserved.
// SAFETY: `@unchecked Sendable`: the directory and its chunks are only reached through atomics, are never moved, and
// are freed only by `deinit`. A chunk is filled before its pointer is published with release order.
@safe @usableFromInline
package final class LeaseDeadlines: @unchecked Sendable {
    /// The slot of entries without a lease.
    package static let none: UInt32 = .max

    @usableFromInline typealias Chunk = UnsafeMutablePointer<Atomic<Int64>>
    /// Deadlines per chunk: 32 KiB.
    @usableFromInline static var chunkBits: UInt32 { 12 }
    static var chunkSize: Int { 1 << Int(chunkBits) }

    /// One atomic pointer per chunk, absent until the first slot of the chunk is used.
    @usableFromInline let directory: UnsafeMutablePointer<Atomic<Chunk?>>
    @usableFromInline let chunkCount: Int

    /// Room for at least `capacity` slots; memory is taken chunk by chunk as slots are used.
    package init(capacity: Int) {
        let count = (min(max(capacity, 1), 1 << 24) + Self.chunkSize - 1) / Self.chunkSize
        chunkCount = count
        // SAFETY: exactly `count` elements are allocated and all of them initialised.
        unsafe directory = .allocate(capacity: count)
        for index in 0..<count { unsafe (directory + index).initialize(to: Atomic(nil)) }
    }

    deinit {
        // SAFETY: nobody can read any more; every chunk that was published holds `chunkSize` initialised elements.
        for index in 0..<chunkCount {
            if let chunk = unsafe directory[index].load(ordering: .acquiring) {
                unsafe chunk.deinitialize(count: Self.chunkSize)
                unsafe chunk.deallocate()
            }
        }
        unsafe directory.deinitialize(count: chunkCount)
        unsafe directory.deallocate()
    }

    /// The longest time in seconds that answers from the registry may be cached, whatever their records say:
    /// `UInt32.max` for no bound.
    private let answerBound = Atomic<UInt32>(.max)

    /// Bounds how long answers may be cached, as while an external store cannot be followed. From any thread.
    package var answerSecondsMax: UInt32 {
        get { answerBound.load(ordering: .relaxed) }
        set { answerBound.store(newValue, ordering: .relaxed) }
    }

    private let preserved = Atomic<Int>(0)

    /// How many leases are over and preserved: while there are none, no answer needs to be looked at for it. Set by the
    /// store's writer, read from any thread.
    package internal(set) var preservedCount: Int {
        get { preserved.load(ordering: .relaxed) }
        set { preserved.store(newValue, ordering: .relaxed) }
    }

    /// The number of a lease that another node counts: answers are cached for half of its length.
    static func elsewhere(lengthMilliseconds: Int64) -> Int64 { -(max(0, lengthMilliseconds) & ~1) - 1 }

    /// The number of a lease that is over and preserved: answers are cached for 5 s, as the replication's contract has
    /// it.
    static let overAndPreserved: Int64 = -(2 * 5_000) - 2

    /// Slots that fit.
    package var capacity: Int { chunkCount * Self.chunkSize }

    /// The raw number of a slot as described above. Lock-free, from any thread; unknown slots read as no lease.
    @inlinable
    package func deadline(_ slot: UInt32) -> Int64 {
        let index = Int(slot >> Self.chunkBits)
        guard index < chunkCount else { return .max }
        // SAFETY: `index` is below the number of directory entries; a published chunk has 2^chunkBits elements.
        guard let chunk = unsafe directory[index].load(ordering: .acquiring) else { return .max }
        return unsafe chunk[Int(slot & ((1 << Self.chunkBits) - 1))].load(ordering: .relaxed)
    }

    /// Whether the lease of a slot is over and is kept although: as far as this node knows, which has to count it.
    @inlinable
    package func isPreserved(_ slot: UInt32) -> Bool {
        let deadline = deadline(slot)
        return deadline < 0 && deadline & 1 == 0
    }

    /// How many milliseconds an answer that depends on this lease may be cached: what is left of a lease counted here,
    /// half the length of one counted elsewhere, 5 s of one that is preserved, `Int64.max` when no lease bounds it.
    @inlinable
    package func answerMilliseconds(_ slot: UInt32, now: Int64) -> Int64 {
        let deadline = deadline(slot)
        if deadline == .max { return .max }
        return deadline < 0 ? -(deadline + 1) / 2 : max(0, deadline &- now)
    }

    /// Sets a slot. Only the store's writer calls this.
    func set(_ slot: UInt32, _ value: Int64) {
        let index = Int(slot >> Self.chunkBits)
        guard index < chunkCount else { return }
        let offset = Int(slot & ((1 << Self.chunkBits) - 1))
        // SAFETY: as in `deadline`. A new chunk is wholly initialised before it is published, and only one writer
        // exists, so none is published twice.
        if let chunk = unsafe directory[index].load(ordering: .relaxed) {
            unsafe chunk[offset].store(value, ordering: .relaxed)
            return
        }
        let chunk = Chunk.allocate(capacity: Self.chunkSize)
        for element in 0..<Self.chunkSize {
            unsafe (chunk + element).initialize(to: Atomic(element == offset ? value : Int64.max))
        }
        unsafe directory[index].store(chunk, ordering: .releasing)
    }
}
