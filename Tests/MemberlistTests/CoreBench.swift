import Memberlist
import RegdnsTestKit

/// One core that a test talks to, with a clock that the test moves.
struct CoreBench {
    static let sender = GossipAddress(10, 0, 0, 250, port: 7_946)

    var core: MembershipCore
    private(set) var now: Milliseconds = 1_000
    private var random: SeededRandom
    private var wake: Milliseconds?

    /// A started core called "me"; the effects of its start are forgotten.
    init(
        timing: GossipTiming = .lan, dialect: Dialect = .plain, seed: UInt64 = 1,
        _ change: (inout CoreSettings) -> Void = { _ in }
    ) {
        var settings = CoreSettings(
            name: "me", address: Self.address("me"), meta: [7], dialect: dialect, timing: timing)
        settings.sharesView = false
        change(&settings)
        core = MembershipCore(settings: settings)
        random = SeededRandom(seed: seed)
        _ = give(.start)
    }

    /// An address for every name.
    static func address(_ name: NodeName) -> GossipAddress {
        let sum = name.octets.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xffff }
        return GossipAddress(10, 1, UInt8(sum >> 8), UInt8(sum & 0xff), port: 7_946)
    }

    static func alive(
        _ name: NodeName, _ incarnation: UInt32, meta: [UInt8] = [], at address: GossipAddress? = nil,
        versions: ProtocolVersions? = .plain
    ) -> Alive {
        let address = address ?? Self.address(name)
        return Alive(
            incarnation: incarnation, node: name, address: address.ip, port: address.port, meta: meta,
            versions: versions)
    }

    static func node(
        _ name: NodeName, _ incarnation: UInt32, _ state: NodeState = .alive,
        versions: ProtocolVersions? = .plain
    ) -> PushPullNode {
        let address = Self.address(name)
        return PushPullNode(
            incarnation: incarnation, name: name, address: address.ip, port: address.port, meta: nil, state: state,
            versions: versions)
    }

    @discardableResult
    mutating func give(_ event: CoreEvent) -> [CoreEffect] {
        let effects = core.step(event, now: now, random: &random)
        for case .wake(let time) in effects { wake = time }
        return effects
    }

    @discardableResult
    mutating func hear(_ messages: Message..., from sender: GossipAddress = sender) -> [CoreEffect] {
        give(.packet(messages, from: sender))
    }

    /// Adds alive members.
    mutating func know(_ names: NodeName...) {
        for name in names { hear(.alive(Self.alive(name, 1))) }
    }

    /// Lets time pass, waking the core as it wishes.
    ///
    /// - Returns: all effects of that time.
    @discardableResult
    mutating func run(until end: Milliseconds) -> [CoreEffect] {
        var effects: [CoreEffect] = []
        while let next = wake, next <= end {
            now = max(now, next)
            wake = nil
            effects += give(.timer)
        }
        now = max(now, end)
        return effects
    }

    @discardableResult
    mutating func run(for time: Milliseconds) -> [CoreEffect] { run(until: now + time) }

    /// Lets time pass without waking the core, as when the process stands still.
    mutating func standStill(for time: Milliseconds) { now += time }

    /// Runs until an effect comes that the test looks for, at most so long.
    mutating func run<Found>(atMost time: Milliseconds, until find: (CoreEffect) -> Found?) -> Found? {
        let end = now + time
        while let next = wake, next <= end {
            now = max(now, next)
            wake = nil
            if let found = give(.timer).compactMap(find).first { return found }
        }
        return nil
    }

    /// Answers every probe in time, for so long.
    mutating func runAnsweringProbes(for time: Milliseconds) {
        let end = now + time
        while let next = wake, next <= end {
            now = max(now, next)
            wake = nil
            var open = give(.timer)
            while !open.isEmpty {
                open = open.pings.flatMap { give(.packet([.ack(Ack(sequence: $0.sequence))], from: Self.sender)) }
            }
        }
        now = max(now, end)
    }
}

extension [CoreEffect] {
    var packets: [OutgoingPacket] {
        compactMap { if case .send(let packet) = $0 { packet } else { nil } }
    }

    var notices: [CoreNotice] {
        compactMap { if case .notify(let notice) = $0 { notice } else { nil } }
    }

    /// All messages of all packets, decoded.
    var messages: [Message] { packets.flatMap(\.decoded) }

    var pings: [Ping] { messages.compactMap { if case .ping(let ping) = $0 { ping } else { nil } } }

    var pushPulls: [(dial: UInt64, address: GossipAddress, state: PushPull)] {
        compactMap {
            if case .dialPushPull(let dial, let address, let state, _) = $0 { (dial, address, state) } else { nil }
        }
    }
}

extension OutgoingPacket {
    var decoded: [Message] { messages.compactMap { try? Message(reading: $0) } }
}

extension CoreBench {
    func state(_ name: NodeName) -> NodeState? { core.member(name)?.state }
    func incarnation(_ name: NodeName) -> UInt32? { core.member(name)?.incarnation }

    /// What is gossiped within one second.
    mutating func gossip() -> [Message] { run(for: 1_000).messages }
}
