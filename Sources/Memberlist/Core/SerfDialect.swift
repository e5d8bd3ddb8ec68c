import Basics

// What serf's agents expect of a member: their messages passed on, a leave announced, user state of their form.

/// The first octet of serf's messages.
enum SerfType: UInt8 {
    case leave = 0
    case join = 1
    case pushPull = 2
    case userEvent = 3
    case query = 4

    /// Messages that every member passes on once.
    var isRelayed: Bool { self != .pushPull }
}

/// serf's logical clocks, and what was passed on already.
struct SerfState: Sendable {
    /// Between the leave intent and the leave.
    static let leaveDelay: Milliseconds = 1_000

    /// The greatest LTime of members' intents.
    private(set) var clock: UInt64 = 0
    var seen: SeenMessages

    init(seen: SeenMessages) { self.seen = seen }

    /// The next time on the clock.
    mutating func tick() -> UInt64 {
        clock = min(clock, .max - 1) + 1
        return clock
    }

    mutating func witness(_ time: UInt64) { clock = max(clock, time) }

    static func leaveIntent(_ name: NodeName, time: UInt64) -> [UInt8] {
        var writer = MessagePackWriter(type: SerfType.leave.rawValue)
        writer.map(3)
        writer.field(.lTime, number: time)
        writer.field(.node, text: name.octets)
        writer.field(.prune, bool: false)
        return writer.bytes
    }

    static func joinIntent(_ name: NodeName, time: UInt64) -> [UInt8] {
        var writer = MessagePackWriter(type: SerfType.join.rawValue)
        writer.map(2)
        writer.field(.lTime, number: time)
        writer.field(.node, text: name.octets)
        return writer.bytes
    }

    /// Whom an intent concerns, and when it was made; nil for a broken one.
    static func intent(_ message: [UInt8]) -> (name: NodeName, time: UInt64)? {
        var reader = MessagePackReader(message, at: 1)
        var name: NodeName = ""
        var time: UInt64 = 0
        do {
            try reader.fields { (field, reader) throws(GossipWireError) in
                switch field {
                case .node: name = NodeName(octets: try reader.text(field))
                case .lTime: time = try reader.number(field)
                default: try reader.skip()
                }
            }
        } catch {
            return nil
        }
        return (name, time)
    }

    // MARK: User state

    /// A state without events, with one key more that serf steps over.
    func encodedState(carrying state: [UInt8]) -> [UInt8] {
        var writer = MessagePackWriter(type: SerfType.pushPull.rawValue)
        writer.map(state.isEmpty ? 6 : 7)
        writer.field(.eventLTime, number: UInt64(0))
        writer.key(.events)
        writer.array(0)
        writer.field(.lTime, number: clock)
        writer.key(.leftMembers)
        writer.array(0)
        writer.field(.queryLTime, number: UInt64(0))
        if !state.isEmpty { writer.field(.regdns, bytes: state) }
        writer.key(.statusLTimes)
        writer.map(0)
        return writer.bytes
    }

    /// Learns the clock of a peer's state.
    ///
    /// - Returns: what our own kind put into it; nil for anything else.
    mutating func takeState(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.first == SerfType.pushPull.rawValue else { return nil }
        var reader = MessagePackReader(bytes, at: 1)
        var time: UInt64 = 0
        var state: [UInt8]?
        do {
            try reader.fields { (field, reader) throws(GossipWireError) in
                switch field {
                case .lTime: time = try reader.number(field)
                case .regdns: state = try reader.bytes(field)
                default: try reader.skip()
                }
            }
        } catch {
            return nil
        }
        witness(time)
        return state
    }
}

/// Hashes of the last messages.
struct SeenMessages: Sendable {
    private let limit: Int
    private var hashes: Set<UInt64> = []
    /// In the order of coming, a ring from `oldest` on.
    private var order: [UInt64] = []
    private var oldest = 0

    init(limit: Int) { self.limit = max(limit, 1) }

    /// - Returns: whether it was new.
    mutating func insert(_ message: [UInt8]) -> Bool {
        // Stable from run to run, unlike the standard library's.
        let hash = FNV1a(message).value
        guard hashes.insert(hash).inserted else { return false }
        if order.count < limit {
            order.append(hash)
        } else {
            hashes.remove(order[oldest])
            order[oldest] = hash
            oldest = (oldest + 1) % limit
        }
        return true
    }
}

extension MembershipCore {
    /// The application's bytes of another node: serf's are passed on, ours are handed over.
    mutating func receive(user bytes: [UInt8], from sender: GossipAddress) {
        guard settings.dialect == .serf, let type = bytes.first.flatMap(SerfType.init) else {
            notify(.userMessage(bytes, from: sender))
            return
        }
        guard type.isRelayed else {
            counters.foreignUserMessages += 1
            return
        }
        guard serf.seen.insert(bytes) else { return }
        counters.relayedUserMessages += 1
        broadcast(user: bytes)
        guard type == .leave || type == .join, let intent = SerfState.intent(bytes) else { return }
        follow(type, intent.name, intent.time)
    }

    /// Takes in who goes or comes.
    private mutating func follow(_ type: SerfType, _ member: NodeName, _ time: UInt64) {
        serf.witness(time)
        switch type {
        case .leave where !isOwn(member):
            table.update(member) { $0.leaveTime = max($0.leaveTime ?? 0, time) }
            giveUp(member)
        case .leave where phase == .running:
            // Somebody wants this node gone; it is here.
            broadcastJoinIntent()
        case .join:
            table.update(member) { if let left = $0.leaveTime, left < time { $0.leaveTime = nil } }
        default: break
        }
    }

    /// Says that this node is here, later than every word that it goes.
    mutating func broadcastJoinIntent() {
        let join = SerfState.joinIntent(name, time: serf.tick())
        _ = serf.seen.insert(join)
        broadcast(user: join)
    }

    mutating func broadcastLeaveIntent(of name: NodeName) {
        let intent = SerfState.leaveIntent(name, time: serf.tick())
        _ = serf.seen.insert(intent)
        broadcast(user: intent)
    }
}
