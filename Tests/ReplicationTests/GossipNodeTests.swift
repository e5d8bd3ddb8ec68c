import Memberlist
import NIOCore
import Replication
import Synchronization
import Testing

@Suite("Gossip on sockets")
struct GossipNodeTests {
    static let key = GossipKey(octets: [UInt8](0..<16))
    static let otherKey = GossipKey(octets: [UInt8](repeating: 7, count: 32))

    enum Wrapping: String, CaseIterable, Sendable {
        case plain, sealed, labelled, uncompressed, serf

        func apply(_ settings: inout GossipSettings) {
            switch self {
            case .plain: break
            case .sealed: settings.keys = KeyChain(keys: [key].compactMap { $0 })
            case .labelled:
                settings.keys = KeyChain(keys: [key].compactMap { $0 })
                settings.label = Array("blue".utf8)
            case .uncompressed: settings.compresses = false
            case .serf: settings.dialect = .serf
            }
        }
    }

    @Test("Nodes find, lose and leave each other", arguments: Wrapping.allCases)
    func life(wrapping: Wrapping) async throws {
        try await withCluster(of: 4, wrapping.apply) { nodes in
            try await nodes[3].node.update(meta: [1, 2, 3])
            for node in nodes {
                try await node.wait("metadata of n4") { $0.contains { $0.name == "n4" && $0.meta == [1, 2, 3] } }
            }
            await nodes[3].node.shutdown()
            for node in nodes.dropLast() { try await node.wait(for: "n4", toBe: .dead) }
            await nodes[2].node.leave()
            for node in nodes[..<2] { try await node.wait(for: "n3", toBe: .left) }
            try await nodes[0].node.forceLeave("n4")
            // memberlist has no word for it: in the plain dialect each node gives up on its own.
            for node in nodes[..<(wrapping == .serf ? 2 : 1)] { try await node.wait(for: "n4", toBe: .left) }
            let counters = try await nodes[0].node.counters().transport
            #expect(counters.undecryptable == 0)
            #expect(counters.malformedPackets + counters.malformedParts + counters.malformedStreams == 0)
            #expect(counters.packetsIn > 0 && counters.packetsOut > 0 && counters.streamsIn > 0)
        }
    }

    @Test("Messages reach the application: gossiped, sent, ridden along, in push/pulls")
    func messages() async throws {
        // Of four, each gossip goes to all; the sender hears it too, for the receivers pass it on.
        try await withCluster(of: 4) { nodes in
            try await nodes[1].node.broadcast([0xd0, 1, 2])
            for node in nodes {
                try await node.inbox.wait("gossip at \(node.name)") { $0.messages.contains([0xd0, 1, 2]) }
            }
            try await nodes[1].node.send([0xd0, 9], to: "n4")
            try await nodes[3].inbox.wait("sent") { $0.messages.contains([0xd0, 9]) }
            nodes[2].inbox.content.withLock { $0.riders = [[0xd0, 7], [UInt8](repeating: 0xd0, count: 1_400)] }
            try await nodes[0].inbox.wait("ridden") { $0.messages.contains([0xd0, 7]) }
            #expect(try await nodes[2].node.counters().transport.unsendablePackets > 0)
            try await nodes[2].node.setState([5, 5])
            try await nodes[3].node.join([nodes[2].node.address])
            try await nodes[3].inbox.wait("state") { $0.states.contains([5, 5]) }
            await #expect(throws: GossipNodeError.unknownMember("nobody")) {
                try await nodes[0].node.send([1], to: "nobody")
            }
        }
    }

    @Test(
        "Who has another key or label stays outside",
        arguments: [
            ("no key", nil, ""), ("another key", otherKey, ""), ("another label", key, "green"), ("no label", key, nil),
        ] as [(String, GossipKey?, String?)])
    func strangers(what: String, key: GossipKey?, label: String?) async throws {
        let own = Self.key
        let inside = try await TestNode.start("inside") { settings in
            settings.keys = KeyChain(keys: [own].compactMap { $0 })
            settings.label = label == "" ? [] : Array("blue".utf8)
        }
        let outside = try await TestNode.start("outside") { settings in
            settings.keys = KeyChain(keys: [key].compactMap { $0 })
            settings.label = Array((label ?? "").utf8)
        }
        #expect(try await outside.node.join([inside.node.address]).isEmpty)
        #expect(try await inside.node.join([outside.node.address]).isEmpty)
        for node in [inside, outside] {
            #expect(try await node.node.members().map(\.name) == [node.name])
        }
        let counters = try await inside.node.counters().transport
        #expect(counters.undecryptableStreams + counters.wrongLabel + counters.malformedStreams > 0)
        await inside.node.shutdown()
        await outside.node.shutdown()
        await #expect(throws: GossipNodeError.stopped) { try await inside.node.members() }
    }

    @Test("A name that is taken at another address is a conflict, not a member")
    func conflict() async throws {
        try await withCluster(of: 2) { nodes in
            let events = try await nodes[0].node.events()
            let twin = try await TestNode.start("n2")
            _ = try await twin.node.join([nodes[0].node.address])
            let other = try await within(.seconds(5), "conflict") {
                for await case .conflict(let member, let other) in events where member.name == "n2" { return other }
                throw Waited(description: "the events ended")
            }
            #expect(other == twin.node.address)
            let address = nodes[1].node.address
            #expect(try await nodes[0].node.members().first { $0.name == "n2" }?.address == address)
            await twin.node.shutdown()
        }
    }

    @Test("Keys change step by step while all keep talking")
    func rotation() async throws {
        let (first, second) = (try #require(Self.key), try #require(Self.otherKey))
        try await withCluster(of: 3) {
            $0.keys = KeyChain(keys: [first])
        } _: { nodes in
            for node in nodes {
                await #expect(throws: GossipNodeError.keys(.unknownKey)) {
                    try await node.node.change(.use(.key(second)))
                }
            }
            let steps: [KeyChain.Change] = [.install(.key(second)), .use(.key(second)), .remove(.key(first))]
            for (number, step) in steps.enumerated() {
                for node in nodes {
                    try await node.node.change(step)
                    try await node.node.update(meta: [UInt8(number), node.name.octets.last ?? 0])
                    for other in nodes {
                        try await other.wait("step \(number) of \(node.name)") { members in
                            members.contains { $0.name == node.name && $0.meta.first == UInt8(number) }
                        }
                    }
                }
            }
            for node in nodes {
                #expect(try await node.node.keys().ring.keys == [second])
                #expect(try await node.node.counters().transport.undecryptable == 0)
                #expect(try await node.node.members().allSatisfy { $0.state == .alive })
            }
        }
    }

    @Test("A public address needs a key")
    func exposure() async throws {
        var settings = GossipSettings(name: "open", bind: GossipAddress(192, 0, 2, 1, port: 0))
        await #expect(throws: GossipNodeError.publicWithoutKey(settings.bind)) { try await GossipNode.start(settings) }
        settings.bind = GossipAddress(127, 0, 0, 1, port: 0)
        settings.advertise = GossipAddress(192, 0, 2, 1, port: 7_946)
        await #expect(throws: GossipNodeError.publicWithoutKey(GossipAddress(192, 0, 2, 1, port: 0))) {
            try await GossipNode.start(settings)
        }
        settings.isInsecure = true
        let node = try await GossipNode.start(settings)
        #expect(node.address == GossipAddress(192, 0, 2, 1, port: 7_946))
        await node.shutdown()
    }

    @Test("A taken port is told")
    func taken() async throws {
        let first = try await TestNode.start("first")
        var settings = GossipSettings(name: "second", bind: first.node.bound)
        settings.timing = .quick
        do {
            _ = try await GossipNode.start(settings)
            Issue.record("started on a port that is taken")
        } catch .cannotBind(let address, _) {
            #expect(address == first.node.bound)
        }
        await first.node.shutdown()
    }

    @Test("A socket for both families: IPv4 peers of a node on [::]")
    func dualStack() async throws {
        let every = try #require(GossipAddress(ip: [UInt8](repeating: 0, count: 16), port: 0))
        let four = try await TestNode.start("four")
        let both = try await TestNode.start("both") {
            $0.bind = every
            $0.advertise = GossipAddress(127, 0, 0, 1, port: 0)
            $0.isInsecure = true
        }
        #expect(both.node.address == GossipAddress(127, 0, 0, 1, port: both.node.bound.port))
        #expect(try await both.node.join([four.node.address]) == [four.node.address])
        for node in [four, both] {
            try await node.wait(forAlive: 2)
            try await node.node.update(meta: Array("\(node.name)".utf8))
        }
        // By packets, which alone carry metadata so soon.
        try await four.wait("metadata") { $0.contains { $0.name == "both" && $0.meta == Array("both".utf8) } }
        try await both.wait("metadata") { $0.contains { $0.name == "four" && $0.meta == Array("four".utf8) } }
        for node in [four, both] { await node.node.shutdown() }
    }

    @Test("IPv6")
    func ipv6() async throws {
        let bind = try #require(GossipAddress(ip: [UInt8](repeating: 0, count: 15) + [1], port: 0))
        try await withCluster(of: 2) {
            $0.bind = bind
        } _: { nodes in
            #expect(nodes[0].node.address.ip.count == 16)
            await nodes[1].node.shutdown()
            try await nodes[0].wait(for: "n2", toBe: .dead)
        }
    }
}
