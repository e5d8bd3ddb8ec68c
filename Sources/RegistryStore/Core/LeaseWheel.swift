/// Which leases may have ended: a timer wheel over slots, with links in arrays instead of objects.
///
/// A slot lies in the bucket of a tick at or before its deadline. A renewal does not move it: when the bucket comes
/// up, the caller looks at the real deadline and puts the slot where it then belongs. Deadlines beyond the wheel's span
/// lie in its farthest bucket and are looked at again there. All operations but `advance` are O(1).
struct LeaseWheel {
    /// Milliseconds of one bucket, as a power of two.
    private static let tickBits: Int64 = 6
    /// Buckets: a span of 4.4 minutes.
    private static let bucketCount = 4096

    private var buckets = [SlotList](repeating: SlotList(), count: LeaseWheel.bucketCount)
    private var links = SlotLinks()
    /// The tick whose bucket holds the slot, or `unlinked`.
    private var ticks = Column<Int64>()
    /// The first tick whose bucket may hold slots that are due; `unlinked` until the first slot comes.
    private var currentTick = LeaseWheel.unlinked

    private static func tick(_ milliseconds: Int64) -> Int64 { milliseconds >> tickBits }
    private static func bucket(_ tick: Int64) -> Int { Int(tick & Int64(bucketCount - 1)) }
    private static let unlinked = Int64.min

    /// Makes room for one more slot.
    mutating func grow() {
        links.grow()
        ticks.append(Self.unlinked)
    }

    /// Puts a slot where its deadline belongs, unless it lies in an earlier bucket, which will do.
    mutating func schedule(_ slot: UInt32, deadline: Int64, now: Int64) {
        if currentTick == Self.unlinked { currentTick = Self.tick(now) }
        let wanted = min(max(Self.tick(deadline), currentTick), currentTick + Int64(Self.bucketCount - 1))
        let present = ticks[Int(slot)]
        if present != Self.unlinked {
            if present <= wanted { return }
            cancel(slot)
        }
        link(slot, tick: wanted)
    }

    private mutating func link(_ slot: UInt32, tick: Int64) {
        links.append(slot, to: &buckets[Self.bucket(tick)])
        ticks[Int(slot)] = tick
    }

    /// Takes a slot out of the wheel.
    mutating func cancel(_ slot: UInt32) {
        let tick = ticks[Int(slot)]
        guard tick != Self.unlinked else { return }
        links.remove(slot, from: &buckets[Self.bucket(tick)])
        ticks[Int(slot)] = Self.unlinked
    }

    /// Goes on to `now` and gives the slots whose deadline has passed, at most `limit`; those stay in the wheel until
    /// they are cancelled or scheduled anew. O(buckets passed + slots in them); never more than one round.
    mutating func advance(to now: Int64, limit: Int, deadline: (UInt32) -> Int64) -> [UInt32] {
        guard currentTick != Self.unlinked else { return [] }
        let target = Self.tick(now)
        guard target >= currentTick else { return [] }
        var due: [UInt32] = []
        let last = min(target, currentTick + Int64(Self.bucketCount - 1))
        for tick in currentTick...last {
            // What is moved to the end of this very bucket meanwhile is looked at once more and stays.
            var slot = buckets[Self.bucket(tick)].first
            var isComplete = true
            while slot != SlotLinks.none {
                let following = links.following(slot)
                let end = deadline(slot)
                if end > now {
                    reschedule(slot, deadline: end, target: target)
                } else if due.count < limit {
                    due.append(slot)
                } else {
                    isComplete = false
                    break
                }
                slot = following
            }
            // Due slots are still linked here: the caller takes them out before it advances again.
            guard isComplete else {
                currentTick = tick
                return due
            }
        }
        currentTick = target
        return due
    }

    /// Moves a slot that was renewed to where it belongs seen from `target`, the tick that becomes the current one.
    private mutating func reschedule(_ slot: UInt32, deadline: Int64, target: Int64) {
        let wanted = min(max(Self.tick(deadline), target), target + Int64(Self.bucketCount - 1))
        if ticks[Int(slot)] == wanted { return }
        cancel(slot)
        link(slot, tick: wanted)
    }
}
