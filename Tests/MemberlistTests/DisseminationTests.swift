import RegdnsTestKit
import Testing

@testable import Memberlist

/// The order of what waits to be gossiped, its copies, its bounds, and what packets hold.
@Suite struct DisseminationTests {
    static func take(_ queue: inout BroadcastQueue, room: Int = 1_000, limit: Int = 10, count: Int = 127) -> [[UInt8]] {
        var room = room
        return queue.take(room: &room, overhead: 2, limit: limit, count: count)
    }

    // MARK: The queue

    @Test("Fewest transmissions first, then the longest, then the newest")
    func order() {
        var queue = BroadcastQueue(maxBytes: 1_000)
        queue.insert([1, 1, 1], about: nil)
        #expect(Self.take(&queue) == [[1, 1, 1]])
        queue.insert([2, 2], about: nil)
        queue.insert([3, 3, 3], about: nil)
        queue.insert([4, 4], about: nil)
        #expect(Self.take(&queue) == [[3, 3, 3], [4, 4], [2, 2], [1, 1, 1]])
    }

    @Test("A message that does not fit lets shorter ones by")
    func room() {
        var queue = BroadcastQueue(maxBytes: 1_000)
        queue.insert([UInt8](repeating: 1, count: 50), about: nil)
        queue.insert([2, 2, 2], about: nil)
        var room = 10
        #expect(queue.take(room: &room, overhead: 2, limit: 4, count: 127) == [[2, 2, 2]])
        #expect(room == 5)
        #expect(Self.take(&queue, count: 1) == [[UInt8](repeating: 1, count: 50)])
    }

    @Test("A newer message about the same node takes the place of the older", arguments: [true, false])
    func replaces(wasSent: Bool) {
        var queue = BroadcastQueue(maxBytes: 1_000)
        queue.insert([1, 1], about: "a")
        queue.insert([9, 9], about: "b")
        if wasSent { _ = Self.take(&queue) }
        queue.insert([2, 2, 2], about: "a")
        #expect(queue.count == 2 && queue.bytes == 5)
        #expect(Self.take(&queue).first == [2, 2, 2])
    }

    @Test("Each message is sent as often as it should be", arguments: [1, 4, 8])
    func copies(limit: Int) {
        var queue = BroadcastQueue(maxBytes: 1_000)
        queue.insert([1, 1], about: "a")
        queue.insert([2, 2], about: nil)
        var copies = 0
        while !queue.isEmpty, copies < 100 { copies += Self.take(&queue, limit: limit).count }
        #expect(copies == 2 * limit)
        #expect(!queue.contains("a") && queue.bytes == 0)
    }

    @Test("At the bound those sent most often go")
    func bound() {
        var queue = BroadcastQueue(maxBytes: 10)
        queue.insert([1, 1, 1, 1], about: "a")
        _ = Self.take(&queue)
        queue.insert([2, 2, 2, 2], about: "b")
        queue.insert([3, 3, 3, 3], about: "c")
        #expect(!queue.contains("a") && queue.contains("b") && queue.contains("c"))
        #expect(queue.dropped == 1 && queue.bytes == 8)
        queue.insert([UInt8](repeating: 0, count: 11), about: "d")
        #expect(queue.dropped == 2 && queue.count == 2)
    }

    @Test("The queue keeps its sums, whatever is done to it")
    func sums() {
        var random = SeededRandom(test: #function)
        var queue = BroadcastQueue(maxBytes: 2_000)
        var named: Set<NodeName> = []
        for round in 0..<3_000 * SeededRandom.effort {
            if random.oneIn(2) {
                let name = NodeName("n\(random.below(20))")
                let isNamed = random.oneIn(2)
                queue.insert([UInt8](repeating: 0, count: 2 + random.below(100)), about: isNamed ? name : nil)
                if isNamed { named.insert(name) }
            } else {
                var room = random.below(400)
                let before = room
                let taken = queue.take(room: &room, overhead: 2, limit: 3, count: 1 + random.below(20))
                #expect(before - room == taken.reduce(0) { $0 + $1.count + 2 }, "seed \(random.seed), \(round)")
            }
            #expect(queue.bytes <= 2_000, "seed \(random.seed), \(round)")
            #expect(queue.isEmpty == (queue.bytes == 0), "seed \(random.seed), \(round)")
            #expect(named.count { queue.contains($0) } <= queue.count, "seed \(random.seed), \(round)")
        }
    }

    // MARK: The members

    @Test("A round of probing has everybody once, whoever comes and goes")
    func table() {
        var random = SeededRandom(test: #function)
        var table = MemberTable()
        for round in 0..<500 * SeededRandom.effort {
            let name = NodeName("n\(random.below(60))")
            if table[name] == nil {
                table.insert(
                    Member(
                        name: name, address: CoreBench.address(name), meta: [], versions: .plain, incarnation: 1,
                        state: .alive, since: 0), &random)
            }
            table.update(name) { $0.incarnation += 1 }
            if random.oneIn(20) {
                let limit = UInt32(random.below(8))
                let dropped = table.renew(&random) { $0.incarnation < limit }
                #expect(dropped.allSatisfy { table[$0.name] == nil })
            }
            #expect(table.members.allSatisfy { table[$0.name] == $0 }, "seed \(random.seed), \(round)")
            #expect(Set(table.members.map(\.name)).count == table.count, "seed \(random.seed), \(round)")
        }
        let picked = table.pick(5, &random) { $0.incarnation > 0 }
        #expect(Set(picked.map(\.name)).count == min(5, table.count))
    }

    // MARK: Packets

    /// The octets of a packet as it goes out.
    static func size(_ packet: OutgoingPacket, overhead: Int = 0) throws -> Int {
        var random = SeededRandom(seed: 1)
        let codec = PacketCodec(compresses: false)
        return try codec.encode(packet.messages, checksum: packet.hasChecksum, random: &random).count + overhead
    }

    @Test("Packets are filled up, never beyond their size", arguments: [0, 29, 100])
    func sizes(overhead: Int) throws {
        var bench = CoreBench { $0.packetOverhead = overhead }
        for number in 0..<150 {
            bench.hear(
                .alive(CoreBench.alive(NodeName("node-\(number)"), 1, meta: [UInt8](repeating: 1, count: number))))
        }
        for number in 0..<20 { bench.give(.broadcast([UInt8](repeating: 2, count: 30 * number))) }
        let packets = bench.run(for: 10_000).packets
        let sizes = try packets.map { try Self.size($0, overhead: overhead) }
        #expect((sizes.max() ?? 0) <= 1_400 && (sizes.max() ?? 0) > 1_300)
        for (packet, size) in zip(packets, sizes) {
            // A single message needs no compound around it.
            let saved = packet.messages.count == 1 ? Compound.overhead + Compound.partOverhead : 0
            #expect(packet.room == 1_400 - size - saved)
            #expect(packet.messages.count <= Compound.maxPartsWritten)
        }
    }

    @Test("Many small messages stay below 128 parts")
    func parts() {
        var bench = CoreBench()
        bench.know("a", "b")
        for number in 0..<300 { bench.give(.broadcast([UInt8(number & 0xff), UInt8(number >> 8)])) }
        let packets = bench.run(for: 3_000).packets
        #expect(packets.map(\.messages.count).max() == Compound.maxPartsWritten)
    }

    @Test("The protocol's own messages go before the application's")
    func ownFirst() throws {
        var bench = CoreBench()
        bench.give(.broadcast([UInt8](repeating: 1, count: 600)))
        bench.know("a")
        let packet = try #require(bench.run(atMost: 500) { [$0].packets.first })
        let kinds = packet.decoded.map { if case .user = $0 { "user" } else { "own" } }
        #expect(kinds == ["own", "own", "user"])
    }

    @Test("What fits no packet is refused, what just fits goes out")
    func tooLong() {
        var bench = CoreBench()
        bench.know("a", "b")
        bench.run(for: 5_000)
        let most = 1_400 - Checksum.overhead - Compound.overhead - 3
        for count in [most, most + 1] {
            bench.give(.broadcast([UInt8](repeating: 1, count: count)))
            bench.give(.send([UInt8](repeating: 2, count: count), to: "a"))
        }
        #expect(bench.core.counters.messagesTooLong == 2)
        #expect(bench.run(for: 5_000).packets.contains { $0.messages.first?.count == most + 1 })
        #expect(bench.core.queues.userMessages == 0)
    }

    @Test("Checksums where the receiver's record is at hand and says that it understands them")
    func checksums() {
        var bench = CoreBench()
        bench.hear(.alive(CoreBench.alive("new", 1)))
        bench.hear(.alive(CoreBench.alive("old", 1, versions: ProtocolVersions(protocolMax: 4))))
        let packets = bench.run(for: 1_000).packets
        #expect(packets.contains { $0.node == "new" } && packets.contains { $0.node == "old" })
        for packet in packets { #expect(packet.hasChecksum == (packet.node == "new")) }
        let direct = bench.give(.send([1, 2], to: "new")).packets.first
        #expect(direct?.hasChecksum == true && direct?.decoded.first == .user([1, 2]))
        #expect(bench.give(.send([1, 2], to: "nobody")).packets.isEmpty)
        #expect(bench.give(.send([1, 2], to: "me")).packets.isEmpty)
    }

    @Test("Gossip rides on acks")
    func piggyback() {
        var bench = CoreBench()
        bench.know("a")
        let packet = bench.hear(.ping(Ping(sequence: 1, node: "me"))).packets.first
        #expect(packet?.decoded.count == 3 && packet?.decoded.first == .ack(Ack(sequence: 1)))
    }

    @Test("Gossip reaches the alive, the suspect and the recently dead, never who left")
    func targets() {
        var bench = CoreBench()
        bench.know("alive", "suspect", "dead", "left")
        bench.hear(
            MergeTests.suspect("suspect", 1), MergeTests.dead("dead", 1), MergeTests.dead("left", 1, from: "left"))
        func receivers() -> Set<NodeName> {
            bench.give(.updateMeta([UInt8(bench.core.incarnation & 0xff)]))
            return Set(bench.run(for: 2_500).packets.compactMap { $0.decoded.isEmpty ? nil : $0.node })
        }
        #expect(receivers() == ["alive", "suspect", "dead"])
        bench.runAnsweringProbes(for: 30_000)
        #expect(!receivers().contains("dead"))
    }

    @Test("The dead and those who left are forgotten when the list is walked", arguments: ["me", "x"] as [NodeName])
    func reaping(from: NodeName) {
        var bench = CoreBench()
        bench.know("a", "b", "c")
        bench.hear(MergeTests.dead("a", 1, from: from == "me" ? "a" : from))
        bench.runAnsweringProbes(for: 29_000)
        #expect(bench.core.member("a") != nil)
        bench.runAnsweringProbes(for: 6_000)
        #expect(bench.core.member("a") == nil)
        // It is unknown now, so any incarnation will do.
        bench.hear(.alive(CoreBench.alive("a", 1)))
        #expect(bench.state("a") == .alive)
    }

    @Test("The table is bounded")
    func members() {
        var bench = CoreBench { $0.limits.members = 4 }
        bench.know("a", "b", "c", "d", "e")
        #expect(bench.core.members.count == 4 && bench.core.counters.membersBeyondLimit == 2)
    }

    @Test("Dials and seeds are bounded")
    func dials() {
        var bench = CoreBench {
            $0.limits.dials = 3
            $0.limits.seeds = 5
        }
        let addresses = (0..<8).map { GossipAddress(10, 4, 4, UInt8($0), port: 1) }
        #expect(bench.give(.join(addresses)).pushPulls.count == 3)
        #expect(bench.core.counters.dialsBeyondLimit == 5)
        #expect(bench.core.candidates.seeds.count == 5 && bench.core.counters.seedsBeyondLimit == 3)
    }

    @Test("Known peers are bounded: the last ones heard of stay")
    func candidates() {
        var bench = CoreBench { $0.limits.candidates = 3 }
        bench.know("a", "b", "c", "d")
        #expect(bench.core.candidates.peers.map(\.name) == ["b", "c", "d"])
        bench.hear(MergeTests.dead("b", 1))
        #expect(bench.core.candidates.peers.map(\.name) == ["c", "d", "b"])
        bench.hear(MergeTests.dead("c", 1, from: "c"))
        #expect(bench.core.candidates.peers.map(\.name) == ["d", "b"])
    }

    @Test("The greatest number of peers is that of the last hour")
    func peak() {
        var peak = PeerPeak()
        peak.note(5, now: 0)
        peak.note(3, now: 1_000)
        #expect(peak.count == 5)
        peak.note(2, now: 3_500_000)
        #expect(peak.count == 5)
        peak.note(2, now: 3_900_001)
        #expect(peak.count == 2)
        peak.leave()
        #expect(peak.count == 1)
    }
}
