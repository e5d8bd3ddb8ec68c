import Basics
import Memberlist
import RegdnsTestKit
import Replication

/// What lies between the nodes.
struct ClusterNetwork {
    /// How many cuts are between two nodes.
    private var cuts: [Direction: Int] = [:]
    /// Milliseconds more than usual.
    private var slow: [Direction: Int64] = [:]
    var lossPercent = 0
    var duplicatePercent = 0
    var flipPercent = 0
    /// Messages that went over the wire, for somebody who sends them again.
    private(set) var recorded: [(to: Int, bytes: [UInt8])] = []
    var isRecording = false

    static let recordedMax = 200

    func isCut(_ from: Int, _ to: Int) -> Bool { cuts[Direction(from: from, to: to)] != nil }

    func delay(_ from: Int, _ to: Int) -> Int64 { slow.isEmpty ? 0 : slow[Direction(from: from, to: to)] ?? 0 }

    mutating func cut(_ from: Int, _ to: Int, _ count: Int) {
        let direction = Direction(from: from, to: to)
        let left = (cuts[direction] ?? 0) + count
        cuts[direction] = left > 0 ? left : nil
    }

    mutating func slow(_ a: Int, _ b: Int, by milliseconds: Int64) {
        for direction in [Direction(from: a, to: b), Direction(from: b, to: a)] {
            let sum = (slow[direction] ?? 0) + milliseconds
            slow[direction] = sum > 0 ? sum : nil
        }
    }

    mutating func record(_ bytes: [UInt8], to node: Int) {
        guard isRecording else { return }
        if recorded.count >= Self.recordedMax { recorded.removeFirst() }
        recorded.append((node, bytes))
    }
}

/// A stream of the membership: a question and an answer.
struct ClusterStream {
    let from: Int
    let boot: Int
    let to: Int
    let dial: UInt64
    let ping: Ping?
    /// Microseconds.
    let deadline: Int64
}

extension ClusterWorld {
    private func happens(_ percent: Int) -> Bool { percent > 0 && networkRandom.below(100) < percent }

    /// Microseconds from one node to another: log-normal.
    func latency(_ from: Int, _ to: Int) -> Int64 {
        // The sum of four even numbers is near enough to a normal one: mean 2, variance 1/3.
        var sum = 0.0
        for _ in 0..<4 { sum += Double(networkRandom.below(1_024)) / 1_024 }
        let deviation = Double(scenario.jitter) / 100 * (sum - 2) * 1.732
        let factor =
            deviation >= 0 ? 1 + deviation + deviation * deviation / 2 : 1 / (1 - deviation + deviation * deviation / 2)
        return max(20, Int64(Double(scenario.latency) * factor)) + network.delay(from, to) * 1_000
    }

    /// How long a stream's bytes take, losses included.
    func streamLatency(_ from: Int, _ to: Int) -> Int64 {
        var time = latency(from, to)
        while happens(network.lossPercent) { time += 200_000 }
        return time
    }

    func note(_ bytes: [UInt8], _ from: Int, _ to: Int) {
        delivered.add(number: UInt64(now) << 16 | UInt64(from) << 8 | UInt64(to))
        delivered.add(number: UInt64(bytes.count))
        var place = 0
        while place < bytes.count {
            delivered.add(bytes[place])
            place += 13
        }
    }

    // MARK: Packets

    func send(_ packet: OutgoingPacket, from node: ClusterNode) {
        guard let process = node.process else { return }
        guard
            let bytes = try? process.member.codec.encode(
                packet.messages, checksum: packet.hasChecksum, random: &coreRandom)
        else {
            return fail(.bounds, "n\(node.number) made a packet that cannot be sent")
        }
        figures.packets += 1
        figures.packetBytes += bytes.count
        if bytes.count > 1_400 { fail(.bounds, "n\(node.number) made a packet of \(bytes.count) octets") }
        guard let target = numbers[packet.address] else { return }
        let copies = happens(network.duplicatePercent) ? 2 : 1
        for _ in 0..<copies where !happens(network.lossPercent) {
            var bytes = bytes
            if happens(network.flipPercent) {
                bytes[networkRandom.below(bytes.count)] ^= 1 << UInt8(networkRandom.below(8))
                figures.flipped += 1
            }
            heap.insert(.packet(from: node.number, to: target, bytes), at: now + latency(node.number, target))
        }
    }

    func deliver(from: Int, to: Int, _ bytes: [UInt8]) {
        guard !network.isCut(from, to) else { return }
        let node = nodes[to]
        guard let process = node.process else { return }
        guard !node.isPaused else {
            if node.inbox.count < 200 { node.inbox.append(.packet(from: from, to: to, bytes)) }
            return
        }
        note(bytes, from, to)
        switch process.member.read(.packet(bytes, from: nodes[from].address)) {
        case .event(let event): give(event, to: node)
        case .unreadable: figures.unreadable += 1
        }
    }

    // MARK: Streams of the membership

    func open(
        _ message: StreamMessage, ping: Ping?, dial: UInt64, from node: ClusterNode, to address: GossipAddress,
        deadline: Milliseconds
    ) {
        guard let process = node.process else { return }
        lastStream += 1
        let target = numbers[address] ?? -1
        let end = now + max(1, deadline - node.clock.now) * 1_000
        streams[lastStream] = ClusterStream(
            from: node.number, boot: process.boot, to: target, dial: dial, ping: ping, deadline: end)
        heap.insert(.streamFails(lastStream), at: end)
        guard target >= 0,
            let bytes = try? StreamEncoder(security: process.member.security).encode(
                message, side: .dialler, random: &coreRandom)
        else { return }
        let time = latency(node.number, target) + latency(target, node.number) + streamLatency(node.number, target)
        heap.insert(.request(stream: lastStream, bytes), at: now + time)
    }

    func answer(_ stream: UInt64, _ message: StreamMessage, from node: ClusterNode) {
        guard let open = streams[stream], let process = node.process,
            let bytes = try? StreamEncoder(security: process.member.security).encode(
                message, side: .answerer, random: &coreRandom)
        else { return }
        heap.insert(.reply(stream: stream, bytes), at: now + streamLatency(open.to, open.from))
    }

    /// Whether bytes of a stream pass now; if not they come again later.
    func passes(_ a: Int, _ b: Int) -> Bool { !network.isCut(a, b) && !network.isCut(b, a) }

    static let retransmit: Int64 = 300_000

    func deliverRequest(_ id: UInt64, _ bytes: [UInt8]) {
        guard let stream = streams[id] else { return }
        guard passes(stream.from, stream.to) else {
            return heap.insert(.request(stream: id, bytes), at: now + Self.retransmit)
        }
        let node = nodes[stream.to]
        guard let process = node.process else {
            return heap.insert(.streamFails(id), at: now + latency(stream.to, stream.from))
        }
        guard !node.isPaused else {
            if node.inbox.count < 200 { node.inbox.append(.request(stream: id, bytes)) }
            return
        }
        note(bytes, stream.from, stream.to)
        switch process.member.read(.stream(bytes, id: id, from: nodes[stream.from].address)) {
        case .event(let event): give(event, to: node)
        case .unreadable: finish(id, with: nil)
        }
    }

    func deliverReply(_ id: UInt64, _ bytes: [UInt8]) {
        guard let stream = streams[id] else { return }
        guard passes(stream.to, stream.from) else {
            return heap.insert(.reply(stream: id, bytes), at: now + Self.retransmit)
        }
        guard let process = nodes[stream.from].process, process.boot == stream.boot else {
            streams[id] = nil
            return
        }
        guard !nodes[stream.from].isPaused else { return nodes[stream.from].inbox.append(.reply(stream: id, bytes)) }
        note(bytes, stream.to, stream.from)
        var decoder = StreamDecoder(side: .answerer, security: process.member.security)
        finish(id, with: (try? decoder.append(bytes)) ?? nil)
    }

    /// Tells the dialler how its stream ended.
    func finish(_ id: UInt64, with answer: StreamMessage?) {
        guard let stream = streams[id] else { return }
        let node = nodes[stream.from]
        guard let process = node.process, process.boot == stream.boot else {
            streams[id] = nil
            return
        }
        guard !node.isPaused else { return node.inbox.append(.streamFails(id)) }
        streams[id] = nil
        if let ping = stream.ping {
            let isAcked = if case .ack(let ack) = answer { ack.sequence == ping.sequence } else { false }
            give(.pingAnswer(dial: stream.dial, isAcked: isAcked), to: node)
        } else if case .pushPull(let state) = answer {
            give(.pushPullAnswer(dial: stream.dial, state: state), to: node)
        } else {
            give(.pushPullAnswer(dial: stream.dial, state: nil), to: node)
        }
    }
}
