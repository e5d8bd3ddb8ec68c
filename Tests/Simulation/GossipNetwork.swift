import Basics
package import Memberlist
import RegdnsTestKit

/// A cluster in one process and in virtual time: membership cores that exchange real bytes over a network with faults.
/// All follows from the seed: the same calls give the same trace.
package struct GossipNetwork {
    /// What happened to whom when.
    package struct Record {
        package let time: Milliseconds
        package let node: Int
        package let notice: CoreNotice
    }

    package private(set) var now: Milliseconds = 0
    package private(set) var nodes: [SimulatedNode] = []
    /// All notices, in their order.
    package private(set) var records: [Record] = []
    package var faults = NetworkFaults()
    package private(set) var packets = 0
    package private(set) var packetBytes = 0
    /// A digest of everything that was delivered; equal for equal runs.
    package var trace: UInt64 { delivered.value }
    private var delivered = FNV1a()

    private var random: SeededRandom
    private var heap = EventHeap<Happening>()
    private var numbers: [GossipAddress: Int] = [:]
    private var cuts: Set<Direction> = []
    private var openStreams: [UInt64: Stream] = [:]
    private var lastStream: UInt64 = 0

    private enum Happening {
        case wake(node: Int, at: Milliseconds)
        case packet(Delivery)
        case request(stream: UInt64, bytes: [UInt8])
        case reply(stream: UInt64, bytes: [UInt8])
        case streamFails(UInt64)
    }

    private struct Delivery {
        let from: Int
        let to: Int
        let bytes: [UInt8]
    }

    private struct Stream {
        let from: Int
        let to: Int
        let dial: UInt64
        let ping: Ping?
    }

    package init(seed: UInt64) { random = SeededRandom(seed: seed) }

    package var seed: UInt64 { random.seed }

    // MARK: Nodes

    /// Makes and starts a node.
    ///
    /// - Returns: its number.
    @discardableResult
    package mutating func add(_ settings: CoreSettings, security: GossipSecurity = GossipSecurity()) -> Int {
        let number = nodes.count
        numbers[settings.address] = number
        nodes.append(SimulatedNode(settings: settings, security: security))
        give(.start, to: number)
        return number
    }

    /// Adds `count` nodes n0, n1, … with one timing.
    ///
    /// - Parameter unixOffset: gives the offset of a node's wall clock, if it has one.
    package mutating func add(
        count: Int, timing: GossipTiming = .lan, dialect: Dialect = .plain,
        unixOffset: (Int) -> Milliseconds? = { _ in nil }
    ) {
        for _ in 0..<count {
            let number = nodes.count
            var settings = CoreSettings(
                name: NodeName("n\(number)"), address: Self.address(number), dialect: dialect, timing: timing)
            settings.unixOffset = unixOffset(number)
            add(settings)
        }
    }

    package static func address(_ number: Int) -> GossipAddress {
        GossipAddress(10, 0, UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number), port: 7_946)
    }

    package func core(_ number: Int) -> MembershipCore { nodes[number].core }

    /// Brings an event, as the application would.
    package mutating func give(_ event: CoreEvent, to number: Int) {
        guard nodes[number].condition == .running else { return }
        let effects = nodes[number].core.step(event, now: now, random: &random)
        for effect in effects { perform(effect, of: number) }
    }

    package mutating func join(_ number: Int, through other: Int) {
        give(.join([nodes[other].core.settings.address]), to: number)
    }

    /// Ends a process without a word. Its address refuses streams from then on.
    package mutating func kill(_ number: Int) { nodes[number].condition = .killed }

    /// Stops a process; what is sent to it waits.
    package mutating func pause(_ number: Int) { nodes[number].condition = .paused }

    package mutating func resume(_ number: Int) {
        guard nodes[number].condition == .paused else { return }
        nodes[number].condition = .running
        give(.timer, to: number)
        let waiting = nodes[number].inbox
        nodes[number].inbox = []
        for waiting in waiting { take(waiting, at: number) }
    }

    /// Starts a killed process anew, with nothing remembered.
    package mutating func restart(_ number: Int) {
        let old = nodes[number]
        nodes[number] = SimulatedNode(settings: old.core.settings, security: old.security)
        give(.start, to: number)
    }

    // MARK: The network

    /// Lets nothing through from one set to the other.
    package mutating func cut(from: some Sequence<Int>, to: some Sequence<Int>) {
        let to = Array(to)
        for sender in from { for receiver in to { cuts.insert(Direction(from: sender, to: receiver)) } }
    }

    /// Cuts both ways.
    package mutating func split(_ left: some Sequence<Int>, _ right: some Sequence<Int>) {
        let (left, right) = (Array(left), Array(right))
        cut(from: left, to: right)
        cut(from: right, to: left)
    }

    package mutating func mend() { cuts = [] }

    private mutating func latency() -> Milliseconds { Milliseconds.random(in: faults.latency, using: &random) }
    private mutating func happens(_ percent: Int) -> Bool { percent > 0 && random.below(100) < percent }

    private mutating func sendPacket(_ packet: OutgoingPacket, from number: Int) {
        guard
            let bytes = try? nodes[number].codec.encode(
                packet.messages, checksum: packet.hasChecksum, random: &random)
        else {
            nodes[number].unsendable += 1
            return
        }
        packets += 1
        packetBytes += bytes.count
        nodes[number].largestPacket = max(nodes[number].largestPacket, bytes.count)
        guard let target = numbers[packet.address] else { return }
        let copies = happens(faults.duplicatePercent) ? 2 : 1
        for _ in 0..<copies where !happens(faults.lossPercent) {
            let delivery = Delivery(from: number, to: target, bytes: bytes)
            heap.insert(.packet(delivery), at: now + latency())
        }
    }

    /// How long a stream's bytes take, losses included.
    private mutating func streamLatency() -> Milliseconds {
        var time = latency() * 2
        while happens(faults.lossPercent) { time += faults.retransmit }
        return time
    }

    private mutating func open(
        _ message: StreamMessage, ping: Ping?, dial: UInt64, from number: Int, to address: GossipAddress,
        deadline: Milliseconds
    ) {
        lastStream += 1
        let target = numbers[address] ?? -1
        openStreams[lastStream] = Stream(from: number, to: target, dial: dial, ping: ping)
        heap.insert(.streamFails(lastStream), at: deadline)
        guard target >= 0,
            let bytes = try? StreamEncoder(security: nodes[number].security).encode(
                message, side: .dialler, random: &random)
        else { return }
        heap.insert(.request(stream: lastStream, bytes: bytes), at: now + streamLatency())
    }

    private func isCut(_ from: Int, _ to: Int) -> Bool { cuts.contains(Direction(from: from, to: to)) }

    // MARK: Effects

    private mutating func perform(_ effect: CoreEffect, of number: Int) {
        switch effect {
        case .send(let packet): sendPacket(packet, from: number)
        case .dialPing(let dial, let address, let ping, let deadline):
            open(.ping(ping), ping: ping, dial: dial, from: number, to: address, deadline: deadline)
        case .dialPushPull(let dial, let address, let state, let deadline):
            open(.pushPull(state), ping: nil, dial: dial, from: number, to: address, deadline: deadline)
        case .answer(let stream, let message):
            guard
                let bytes = try? StreamEncoder(security: nodes[number].security).encode(
                    message, side: .answerer, random: &random)
            else { return }
            heap.insert(.reply(stream: stream, bytes: bytes), at: now + streamLatency())
        case .close(let stream): heap.insert(.streamFails(stream), at: now + latency())
        case .notify(let notice): records.append(Record(time: now, node: number, notice: notice))
        case .wake(let time):
            nodes[number].wake = time
            heap.insert(.wake(node: number, at: time), at: max(time, now))
        }
    }

    // MARK: Time

    /// Lets everything happen up to a time.
    package mutating func run(until end: Milliseconds) {
        while let next = heap.nextTime, next <= end, let (time, event) = heap.removeFirst() {
            now = max(now, time)
            happen(event)
        }
        now = max(now, end)
    }

    package mutating func run(for time: Milliseconds) { run(until: now + time) }

    /// Runs until a condition holds, which is looked at every 20 ms.
    ///
    /// - Returns: how long it took; nil when it did not hold within `limit`.
    package mutating func run(
        atMost limit: Milliseconds, until holds: (GossipNetwork) -> Bool
    ) -> Milliseconds? {
        let start = now
        while now - start <= limit {
            if holds(self) { return now - start }
            run(until: now + 20)
        }
        return nil
    }

    private mutating func happen(_ event: Happening) {
        switch event {
        case .wake(let number, let time):
            guard nodes[number].wake == time else { return }
            give(.timer, to: number)
        case .packet(let delivery): deliver(delivery)
        case .request(let id, let bytes): deliverRequest(id, bytes)
        case .reply(let id, let bytes): deliverReply(id, bytes)
        case .streamFails(let id): finish(id, with: nil)
        }
    }

    private mutating func note(_ bytes: [UInt8], _ from: Int, _ to: Int) {
        let head = [UInt8(truncatingIfNeeded: now), UInt8(truncatingIfNeeded: from), UInt8(truncatingIfNeeded: to)]
        delivered.add(head)
        delivered.add(bytes)
    }

    private mutating func deliver(_ delivery: Delivery) {
        guard !isCut(delivery.from, delivery.to) else { return }
        note(delivery.bytes, delivery.from, delivery.to)
        let event = SimulatedNode.Waiting.packet(delivery.bytes, from: nodes[delivery.from].core.settings.address)
        take(event, at: delivery.to)
    }

    private mutating func deliverRequest(_ id: UInt64, _ bytes: [UInt8]) {
        guard let stream = openStreams[id], !isCut(stream.from, stream.to), !isCut(stream.to, stream.from) else {
            return
        }
        guard nodes[stream.to].condition != .killed else {
            heap.insert(.streamFails(id), at: now + latency())
            return
        }
        note(bytes, stream.from, stream.to)
        take(.stream(bytes, id: id, from: nodes[stream.from].core.settings.address), at: stream.to)
    }

    private mutating func take(_ waiting: SimulatedNode.Waiting, at number: Int) {
        switch nodes[number].condition {
        case .killed: return
        case .paused:
            if nodes[number].inbox.count < faults.pausedInbox { nodes[number].inbox.append(waiting) }
        case .running:
            switch nodes[number].read(waiting) {
            case .event(let event): give(event, to: number)
            case .unreadable(let stream): if let stream { finish(stream, with: nil) }
            }
        }
    }

    private mutating func deliverReply(_ id: UInt64, _ bytes: [UInt8]) {
        guard let stream = openStreams[id], !isCut(stream.to, stream.from), !isCut(stream.from, stream.to) else {
            return
        }
        note(bytes, stream.to, stream.from)
        var decoder = StreamDecoder(side: .answerer, security: nodes[stream.from].security)
        finish(id, with: (try? decoder.append(bytes)) ?? nil)
    }

    /// Tells the dialler how its stream ended.
    private mutating func finish(_ id: UInt64, with answer: StreamMessage?) {
        guard let stream = openStreams.removeValue(forKey: id) else { return }
        if let ping = stream.ping {
            let isAcked = if case .ack(let ack) = answer { ack.sequence == ping.sequence } else { false }
            give(.pingAnswer(dial: stream.dial, isAcked: isAcked), to: stream.from)
        } else if case .pushPull(let state) = answer {
            give(.pushPullAnswer(dial: stream.dial, state: state), to: stream.from)
        } else {
            give(.pushPullAnswer(dial: stream.dial, state: nil), to: stream.from)
        }
    }
}
