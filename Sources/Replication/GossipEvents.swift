package import Memberlist

/// What happens to the membership: `joined`, `updated`, `left`, `failed`, `conflict` and the rest of the core's notices
/// but for what the application gets (`GossipApplication`).
package typealias GossipEvent = CoreNotice

/// Those who listen to a node's events. Whoever is too slow loses the newest ones, and should look at `members`.
struct EventReaders {
    private var readers: [UInt64: AsyncStream<GossipEvent>.Continuation] = [:]
    private var last: UInt64 = 0

    var count: Int { readers.count }

    /// - Returns: its number.
    mutating func add(_ reader: AsyncStream<GossipEvent>.Continuation) -> UInt64 {
        last += 1
        readers[last] = reader
        return last
    }

    mutating func remove(_ number: UInt64) { readers[number] = nil }

    /// - Returns: how many readers lost it.
    mutating func tell(_ event: GossipEvent) -> Int {
        var lost = 0
        for (number, reader) in readers {
            switch reader.yield(event) {
            case .enqueued: break
            case .dropped: lost += 1
            case .terminated: readers[number] = nil
            @unknown default: break
            }
        }
        return lost
    }

    mutating func finish() {
        for reader in readers.values { reader.finish() }
        readers = [:]
    }
}
