import DequeModule

/// What hangs on a lease.
enum LeaseOwner {
    case nobody
    case one(Entry)
    /// Two keys or more, which only a granted lease (etcd v3) can have.
    case many(LeaseKeys)

    var isEmpty: Bool {
        switch self {
        case .nobody: return true
        case .one: return false
        case .many(let keys): return keys.isEmpty
        }
    }

    /// The entries in the order of their keys.
    var entries: [Entry] {
        switch self {
        case .nobody: return []
        case .one(let entry): return [entry]
        case .many(let keys): return keys.all
        }
    }
}

/// The entries of a granted lease that has had more than one.
final class LeaseKeys {
    private var tree = OrderedTree<LeaseKeyOrder>()

    var all: [Entry] {
        var result: [Entry] = []
        result.reserveCapacity(tree.count)
        tree.forEach { entry in
            result.append(entry)
            return true
        }
        return result
    }

    var isEmpty: Bool { tree.isEmpty }
    func insert(_ entry: Entry) { tree.insert(entry) }
    func remove(_ entry: Entry) { tree.remove(LeaseKeyOrder.sortBytes(of: entry).joined) }
}

/// The numbers of one lease, taken out to be put back when a batch fails.
struct LeaseRecord {
    let slot: UInt32
    let length: Int64
    let renewedAt: Int64
    let deadline: Int64
    let home: UInt16
    let isSuspended: Bool
    let homeVersion: Version?
}

/// All leases as columns indexed by slot: 50 bytes and a deadline per lease, no object for those with one key.
///
/// The id of a lease of one entry holds its slot, so that it needs no index: bit 62, 38 bits of a counter that starts
/// at a random place, 24 bits of slot. Granted leases, whose ids clients may choose, are found through a dictionary.
struct LeaseTable {
    let deadlines: LeaseDeadlines
    /// 0 marks a free slot.
    private var ids = Column<Int64>()
    private var lengths = Column<Int64>()
    private var renewals = Column<Int64>()
    private var owners = Column<LeaseOwner>()
    /// The number of the node that counts the lease; the top bit marks a granted one, the next one that does not run.
    private var homes = Column<UInt16>()
    /// Granted leases can be told of by several operations: the version of the one that made the home what it is.
    private var homeVersions: [UInt32: Version] = [:]
    /// When the last heartbeat for a lease that another node counts came here, in monotonic milliseconds.
    private var heartbeats: [UInt32: Int64] = [:]
    private var wheel = LeaseWheel()
    private var free = Deque<UInt32>()
    /// Leases whose id does not tell the slot: granted ones and those of other nodes.
    private var granted: [Int64: UInt32] = [:]
    /// Names of nodes that count leases; the first is this node's.
    private var homeNames: HomeNames
    private var nextSerial: UInt64
    private let slotsMax: Int
    /// Leases that this node counts, suspended ones included.
    private(set) var ownCount = 0
    /// Slots of leases that are over and preserved: those that this node counts, and those of homes that are gone.
    private var ownPreserved: Set<UInt32> = []
    private var othersPreserved: Set<UInt32> = []
    /// Granted leases that changed, for who keeps them on a disk; nil when nobody does.
    var touched: Set<Int64>?

    private static let sharedMark = UInt16(1) << 15
    private static let suspendedMark = UInt16(1) << 14
    /// The home of leases that an external store counts.
    private static let mirrorHome = suspendedMark - 1
    private static let ownMark = Int64(1) << 62
    private static let serialMask = (UInt64(1) << 38) - 1

    init(node: String, origin: UInt64, slotsMax: Int) {
        self.slotsMax = min(slotsMax, 1 << 24)
        deadlines = LeaseDeadlines(capacity: self.slotsMax)
        homeNames = HomeNames(node: node, capacity: Int(Self.mirrorHome))
        nextSerial = origin & Self.serialMask
    }

    var count: Int { ids.count - free.count }
    var isFull: Bool { free.isEmpty && ids.count >= slotsMax }

    // MARK: Reading

    /// The slot of a live lease.
    func slot(of id: LeaseID) -> UInt32? {
        if id.rawValue & Self.ownMark != 0, id.rawValue > 0 {
            let slot = Int(id.rawValue & 0xff_ffff)
            if slot < ids.count, ids[slot] == id.rawValue { return UInt32(slot) }
        }
        return granted[id.rawValue]
    }

    /// The name of this node.
    var node: String { homeNames.names[0] }

    func id(_ slot: UInt32) -> LeaseID { LeaseID(ids[Int(slot)]) }
    func owner(_ slot: UInt32) -> LeaseOwner { owners[Int(slot)] }
    func length(_ slot: UInt32) -> Int64 { lengths[Int(slot)] }
    /// Whether the lease does not run, wherever it is counted.
    func isSuspended(_ slot: UInt32) -> Bool { homes[Int(slot)] & Self.suspendedMark != 0 }
    /// Whether this node counts the lease.
    func isHome(_ slot: UInt32) -> Bool { home(slot) == 0 }
    func homeName(_ slot: UInt32) -> String { isMirrored(slot) ? "" : homeNames.names[Int(home(slot))] }
    /// Whether an external store counts the lease.
    func isMirrored(_ slot: UInt32) -> Bool { home(slot) == Self.mirrorHome }
    /// Whether the length of the lease is known; that of a mirrored one comes later than the lease.
    func hasLength(_ slot: UInt32) -> Bool { lengths[Int(slot)] >= 0 }
    private func home(_ slot: UInt32) -> UInt16 {
        homes[Int(slot)] & ~(Self.sharedMark | Self.suspendedMark)
    }

    /// Whether the lease was granted by itself and may own many keys.
    func isShared(_ slot: UInt32) -> Bool { homes[Int(slot)] & Self.sharedMark != 0 }

    func info(_ slot: UInt32, now: Int64) -> LeaseInfo {
        let deadline = deadlines.deadline(slot)
        let isSuspended = isSuspended(slot)
        // A lease counted elsewhere is shown with its whole length: what is left is known only there.
        let isElsewhere = deadline < 0 && !deadlines.isPreserved(slot)
        let remaining = isElsewhere ? length(slot) : max(0, deadline &- now)
        return LeaseInfo(
            id: id(slot), lengthMilliseconds: length(slot), remainingMilliseconds: isSuspended ? nil : remaining,
            renewedAt: renewals[Int(slot)], home: homeName(slot), isSuspended: isSuspended)
    }

    /// Ids in ascending order; only granted ones when `sharedOnly`. O(n log n).
    func allIDs(sharedOnly: Bool) -> [LeaseID] {
        let found = ids.indices.filter { ids[$0] != 0 && (!sharedOnly || isShared(UInt32($0))) }.map { ids[$0] }
        return found.sorted().map { LeaseID($0) }
    }

    /// The earliest deadline counted here. O(slots); for the simulator, which jumps from event to event.
    func nextDeadline() -> Int64? {
        var earliest: Int64?
        for slot in ids.indices where ids[slot] != 0 && isHome(UInt32(slot)) {
            let deadline = deadlines.deadline(UInt32(slot))
            if deadline >= 0, deadline < earliest ?? .max { earliest = deadline }
        }
        return earliest
    }

    func record(_ slot: UInt32) -> LeaseRecord {
        LeaseRecord(
            slot: slot, length: lengths[Int(slot)], renewedAt: renewals[Int(slot)],
            deadline: deadlines.deadline(slot), home: home(slot), isSuspended: isSuspended(slot),
            homeVersion: homeVersions[slot])
    }

    // MARK: Writing

    /// An id that no lease has: for a lease of one entry in `slot`, or a granted one.
    private mutating func freshID(slot: UInt32) -> Int64 {
        while true {
            nextSerial = (nextSerial &+ 1) & Self.serialMask
            let id = Self.ownMark | Int64(nextSerial << 24) | Int64(slot)
            if granted[id] == nil { return id }
        }
    }

    /// Takes a slot; nil when `isFull`. The lease neither runs nor owns anything yet.
    mutating func allocate(id: LeaseID?, shared: Bool, length: Int64, home: UInt16 = 0) -> UInt32? {
        let slot: UInt32
        if let reused = free.popFirst() {
            slot = reused
        } else {
            guard ids.count < slotsMax else { return nil }
            slot = UInt32(ids.count)
            ids.append(0)
            lengths.append(0)
            renewals.append(0)
            owners.append(.nobody)
            homes.append(0)
            wheel.grow()
        }
        let index = Int(slot)
        let chosen = id?.rawValue ?? freshID(slot: slot)
        ids[index] = chosen
        lengths[index] = length
        homes[index] = home | (shared ? Self.sharedMark : 0)
        if home == 0 { ownCount += 1 }
        owners[index] = .nobody
        if shared || id != nil { granted[chosen] = slot }
        if shared { touched?.insert(chosen) }
        return slot
    }

    /// Ends a lease. Its deadline stays readable until the slot is used again, which happens as late as possible.
    mutating func release(_ slot: UInt32) {
        let index = Int(slot)
        guard ids[index] != 0 else { return }
        wheel.cancel(slot)
        if deadlines.isPreserved(slot) { setDeadline(slot, 0) }
        if isHome(slot) { ownCount -= 1 }
        if isShared(slot) { touched?.insert(ids[index]) }
        if granted[ids[index]] == slot { granted[ids[index]] = nil }
        ids[index] = 0
        owners[index] = .nobody
        homeVersions[slot] = nil
        heartbeats[slot] = nil
        free.append(slot)
    }

    /// Notes a heartbeat for a lease that another node counts.
    mutating func noteHeartbeat(_ slot: UInt32, now: Moment) { heartbeats[slot] = now.monotonic }

    /// How many milliseconds ago an owner renewed a lease here that another node counts, if that was within its length.
    func heartbeatAge(_ slot: UInt32, now: Moment) -> Int64? {
        guard let last = heartbeats[slot], !isHome(slot), !isSuspended(slot) else { return nil }
        let age = now.monotonic &- last
        return age < lengths[Int(slot)] ? age : nil
    }

    /// Starts or restarts the lease: its full length from `age` milliseconds ago, or no running at all while suspended.
    mutating func start(_ slot: UInt32, length: Int64, suspended: Bool, age: Int64 = 0, now: Moment) {
        let index = Int(slot)
        if touched != nil, isShared(slot), lengths[index] != length || isSuspended(slot) != suspended {
            touched?.insert(ids[index])
        }
        lengths[index] = length
        renewals[index] = now.unix &- age
        mark(slot, suspended: suspended)
        if !isHome(slot) {
            setDeadline(slot, LeaseDeadlines.elsewhere(lengthMilliseconds: length))
            wheel.cancel(slot)
        } else if suspended {
            setDeadline(slot, .max)
            wheel.cancel(slot)
        } else {
            let deadline = now.monotonic &+ length &- age
            setDeadline(slot, deadline)
            wheel.schedule(slot, deadline: deadline, now: now.monotonic)
        }
    }

    mutating func takeTouched() -> Set<Int64> {
        guard let taken = touched else { return [] }
        touched = []
        return taken
    }

    private mutating func mark(_ slot: UInt32, suspended: Bool) {
        let index = Int(slot)
        homes[index] = suspended ? homes[index] | Self.suspendedMark : homes[index] & ~Self.suspendedMark
    }

    /// Restarts the lease with the length it has; a suspended one stays so.
    mutating func renew(_ slot: UInt32, now: Moment) {
        start(slot, length: lengths[Int(slot)], suspended: isSuspended(slot), now: now)
    }

    /// Restarts the lease as of `age` milliseconds ago, unless it runs longer already.
    mutating func renew(_ slot: UInt32, age: Int64, now: Moment) {
        guard isHome(slot), !isSuspended(slot) else { return }
        let age = min(max(age, 0), lengths[Int(slot)])
        let deadline = now.monotonic &+ lengths[Int(slot)] &- age
        renewals[Int(slot)] = max(renewals[Int(slot)], now.unix &- age)
        guard deadline > deadlines.deadline(slot) else { return }
        setDeadline(slot, deadline)
        wheel.schedule(slot, deadline: deadline, now: now.monotonic)
    }

    /// Has a lease that has run out looked at again later.
    mutating func lookAgain(_ slot: UInt32, at time: Int64, now: Int64) {
        // The wheel would leave it in the bucket that has just been passed.
        wheel.cancel(slot)
        wheel.schedule(slot, deadline: time, now: now)
    }

    private mutating func setDeadline(_ slot: UInt32, _ value: Int64) {
        if deadlines.preservedCount > 0 {
            ownPreserved.remove(slot)
            othersPreserved.remove(slot)
            deadlines.preservedCount = ownPreserved.count + othersPreserved.count
        }
        deadlines.set(slot, value)
    }

    /// What is wrong with the counts, nil when nothing is. O(slots).
    func checkInvariants() -> String? {
        let used = ids.indices.filter { ids[$0] != 0 }.map { UInt32($0) }
        if used.count(where: { isHome($0) }) != ownCount { return "the number of own leases is wrong" }
        let preserved = used.filter { deadlines.isPreserved($0) }
        let isSame =
            Set(preserved.filter { isHome($0) }) == ownPreserved
            && Set(preserved.filter { !isHome($0) }) == othersPreserved && preserved.count == deadlines.preservedCount
        return isSame ? nil : "the preserved leases are not those that are marked"
    }

    // MARK: Leases that are over and preserved

    /// Leases that this node counts and preserves.
    var ownPreservedCount: Int { ownPreserved.count }

    /// Marks a lease as over and preserved, until it is started, ended or counted elsewhere. The caller has it looked
    /// at again.
    mutating func preserve(_ slot: UInt32) {
        setDeadline(slot, LeaseDeadlines.overAndPreserved)
        if isHome(slot) { ownPreserved.insert(slot) } else { othersPreserved.insert(slot) }
        deadlines.preservedCount = ownPreserved.count + othersPreserved.count
    }

    /// Takes the mark off the leases that another node counts: whether they are over is not known here any more.
    mutating func endPreserving(countedBy home: String) {
        for slot in othersPreserved where ByteOrder.same(homeName(slot), home) { rest(slot) }
    }

    /// The names of the nodes that count leases, in byte order. O(slots).
    func homesInUse() -> [String] {
        let used = homeNumbersInUse()
        return homeNames.names.indices.filter { used[$0] }.map { homeNames.names[$0] }
            .sorted { ByteOrder.compare($0, $1) < 0 }
    }

    private func homeNumbersInUse() -> [Bool] {
        var used = [Bool](repeating: false, count: homeNames.names.count)
        for slot in ids.indices where ids[slot] != 0 && Int(home(UInt32(slot))) < used.count {
            used[Int(home(UInt32(slot)))] = true
        }
        return used
    }

    /// The slots of the leases that a node counts. O(slots).
    func slots(countedBy name: String) -> [UInt32] {
        guard let number = homeNames.number(of: name) else { return [] }
        return ids.indices.filter { ids[$0] != 0 && home(UInt32($0)) == number }.map { UInt32($0) }
    }

    // MARK: Leases that an external store counts

    /// What a lease is taken for until its length is known: its half is the TTL of what has neither TTL nor lease, an
    /// hour, and shortens no usual one.
    private static let assumedLength: Int64 = 7_200_000

    /// Takes a slot for a lease of an external store, of which only the id is known yet; nil when `isFull`.
    mutating func allocateMirrored(_ id: LeaseID) -> UInt32? {
        guard let slot = allocate(id: id, shared: true, length: -1, home: Self.mirrorHome) else { return nil }
        setDeadline(slot, LeaseDeadlines.elsewhere(lengthMilliseconds: Self.assumedLength))
        return slot
    }

    /// Notes the length of a mirrored lease and what is left of it. When that is over without a later word the lease
    /// was renewed elsewhere: it rests.
    mutating func setMirrored(_ slot: UInt32, length: Int64, remaining: Int64, now: Moment) {
        let deadline = now.monotonic &+ remaining
        lengths[Int(slot)] = length
        renewals[Int(slot)] = now.unix &- (length &- remaining)
        setDeadline(slot, deadline)
        wheel.schedule(slot, deadline: deadline, now: now.monotonic)
    }

    /// Milliseconds since the end of a mirrored lease, as it is known here; nil when it is not.
    func millisecondsOverdue(_ slot: UInt32, now: Moment) -> Int64? {
        guard isMirrored(slot), hasLength(slot) else { return nil }
        return now.unix &- renewals[Int(slot)] &- lengths[Int(slot)]
    }

    /// Notes that a mirrored lease ended when it was to: who looks at its entries again reads when that was.
    mutating func endMirrored(_ slot: UInt32, overdue: Int64, now: Moment) {
        setDeadline(slot, max(0, now.monotonic &- overdue))
        wheel.cancel(slot)
    }

    /// Marks a lease as counted elsewhere, how far is not known.
    mutating func rest(_ slot: UInt32) {
        setDeadline(slot, LeaseDeadlines.elsewhere(lengthMilliseconds: lengths[Int(slot)]))
        wheel.cancel(slot)
    }

    /// Makes `home` the node that counts this lease, which the caller then starts.
    mutating func setHome(_ slot: UInt32, _ home: UInt16) {
        if isShared(slot) { touched?.insert(ids[Int(slot)]) }
        ownCount += (home == 0 ? 1 : 0) - (isHome(slot) ? 1 : 0)
        homes[Int(slot)] = home | (homes[Int(slot)] & (Self.sharedMark | Self.suspendedMark))
    }

    /// Whether an operation of this version may say who counts a granted lease; notes it when so. Every order of the
    /// lease's writes ends with the home that the greatest of them names.
    mutating func takesHome(_ slot: UInt32, of version: Version) -> Bool {
        guard isShared(slot) else { return true }
        if let known = homeVersions[slot], version < known { return false }
        homeVersions[slot] = version
        return true
    }

    /// The number of a node's name; 0 is this node. Up to 16,383 names are told apart at a time.
    mutating func homeNumber(_ name: String) -> UInt16 {
        if let number = homeNames.number(of: name) { return number }
        return homeNames.add(name, inUse: homeNames.isFull ? homeNumbersInUse() : [])
    }

    /// Puts the numbers back as they were.
    mutating func restore(_ record: LeaseRecord, now: Int64) {
        let index = Int(record.slot)
        lengths[index] = record.length
        renewals[index] = record.renewedAt
        setHome(record.slot, record.home)
        mark(record.slot, suspended: record.isSuspended)
        homeVersions[record.slot] = record.homeVersion
        setDeadline(record.slot, record.deadline)
        if record.deadline == LeaseDeadlines.overAndPreserved {
            preserve(record.slot)
            if isHome(record.slot) { wheel.schedule(record.slot, deadline: now, now: now) }
        } else if record.deadline == .max || record.deadline < 0 {
            wheel.cancel(record.slot)
        } else {
            wheel.schedule(record.slot, deadline: record.deadline, now: now)
        }
    }

    /// Hangs an entry on its lease, in the place of its predecessor of the same key.
    mutating func attach(_ entry: Entry) {
        guard entry.lease != nil else { return }
        let index = Int(entry.deadlineSlot)
        switch owners[index] {
        case .many(let keys): keys.insert(entry)
        case .one(let other) where isShared(entry.deadlineSlot) && !Self.haveSameKey(other, entry):
            let keys = LeaseKeys()
            keys.insert(other)
            keys.insert(entry)
            owners[index] = .many(keys)
        case .one, .nobody: owners[index] = .one(entry)
        }
    }

    /// Takes an entry off its lease, if it still hangs there.
    mutating func detach(_ entry: Entry) {
        guard entry.lease != nil else { return }
        switch owners[Int(entry.deadlineSlot)] {
        case .many(let keys): keys.remove(entry)
        case .one(let owner) where Self.haveSameKey(owner, entry): owners[Int(entry.deadlineSlot)] = .nobody
        case .one, .nobody: break
        }
    }

    private static func haveSameKey(_ a: Entry, _ b: Entry) -> Bool {
        a === b || (a.key == b.key && a.namespace == b.namespace)
    }

    /// The slots of leases that have run out here, in the order of their deadlines, at most `limit`. The caller ends
    /// each of them before it asks again.
    mutating func due(now: Int64, limit: Int) -> [UInt32] {
        let deadlines = deadlines
        let slots = wheel.advance(to: now, limit: limit) { deadlines.deadline($0) }
        return slots.sorted { (deadlines.deadline($0), ids[Int($0)]) < (deadlines.deadline($1), ids[Int($1)]) }
    }
}
