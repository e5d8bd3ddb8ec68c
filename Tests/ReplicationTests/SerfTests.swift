import Foundation
import Memberlist
import NIOCore
import NIOPosix
import RegdnsTestKit
import Replication
import Testing

/// Clusters of real serf agents and of our nodes, in serf's dialect and with serf's timers, but that our
/// nodes exchange whole views more often, so that what gossip misses does not take half a minute.
@Suite("Beside serf's agents")
struct SerfTests {
    static let key = GossipKey(octets: [UInt8](0..<32))
    static let nextKey = GossipKey(octets: [UInt8](repeating: 0x5a, count: 32))

    /// Both clusters at a time, since most of it is waiting.
    @Test("Joins both ways, pauses, kills, leaves, metadata, keys: plain and sealed")
    func interoperation() async throws {
        let (key, nextKey) = (try #require(Self.key), try #require(Self.nextKey))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await Scenario(key: nil, nextKey: nil).run() }
            group.addTask { try await Scenario(key: key, nextKey: nextKey).run() }
            try await group.waitForAll()
        }
    }
}

/// serf's metadata: ff, then a map of texts (msgpack).
private func tags(_ tags: [(String, String)]) -> [UInt8] {
    func text(_ text: String) -> [UInt8] { [0xa0 | UInt8(text.utf8.count)] + text.utf8 }
    return tags.reduce(into: [0xff, 0x80 | UInt8(tags.count)]) { $0 += text($1.0) + text($1.1) }
}

private struct Scenario: Sendable {
    let key: GossipKey?
    let nextKey: GossipKey?

    struct Cluster: Sendable {
        /// Gossip misses one in a hundred here, and the agents' whole views that repair it go round every 30 s.
        static let patience = Duration.seconds(50)

        let agents: [SerfAgent]
        let nodes: [TestNode]
        /// The thread of the last node alone, which a test may stop.
        let paused: any EventLoop

        var names: [String] { agents.map(\.name) + nodes.map { "\($0.name)" } }

        /// Waits until all that are left see a member so.
        func all(see name: String, _ state: NodeState, but gone: [String] = []) async throws {
            let status = state == .dead ? "failed" : "\(state)"
            for agent in agents where !gone.contains(agent.name) { try await agent.wait(for: name, toBe: status) }
            for node in nodes where !gone.contains("\(node.name)") {
                try await node.wait(for: NodeName(name), toBe: state, within: Self.patience)
            }
        }
    }

    func run() async throws {
        let thread = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var nodes: [TestNode] = []
        do {
            let first = try await SerfAgent("s1", key: key)
            async let second = SerfAgent("s2", key: key, join: first.address)
            async let third = SerfAgent("s3", key: key, join: first.address)
            let agents = [first, try await second, try await third]
            for number in 1...3 {
                var environment = GossipEnvironment()
                if number == 3 { environment.eventLoop = thread.any() }
                nodes.append(
                    try await .start(NodeName("r\(number)"), environment: environment) { settings in
                        settings.dialect = .serf
                        settings.timing = .lan
                        settings.timing.pushPullInterval = 4_000
                        settings.meta = tags([("role", "regdns")])
                        if let key { settings.keys = KeyChain(keys: [key]) }
                    })
            }
            let cluster = Cluster(agents: agents, nodes: nodes, paused: thread.any())
            try await play(cluster)
        } catch {
            for node in nodes { await node.node.shutdown() }
            try await thread.shutdownGracefully()
            throw Waited(description: "\(key == nil ? "plain" : "sealed"): \(error)")
        }
        for node in nodes { await node.node.shutdown() }
        try await thread.shutdownGracefully()
    }

    private func play(_ cluster: Cluster) async throws {
        try await join(cluster)
        try await metadata(cluster)
        try await rotate(cluster)
        try await pause(cluster)
        try await kill(cluster)
        try await leave(cluster)
        for node in cluster.nodes where node.name == "r1" {
            let counters = try await node.node.counters()
            #expect(counters.transport.malformedPackets + counters.transport.malformedParts == 0)
            #expect(counters.core.refusedMerges == 0)
        }
    }

    /// r1 dials an agent, an agent dials r2, r3 dials r1.
    private func join(_ cluster: Cluster) async throws {
        let (agents, nodes) = (cluster.agents, cluster.nodes)
        #expect(try await nodes[0].node.join([agents[0].address]) == [agents[0].address])
        let joined = try await agents[1].run("join", "\(nodes[1].node.address)")
        #expect(joined.status == 0, "\(joined.output)\(joined.errors)")
        #expect(try await nodes[2].node.join([nodes[0].node.address]) == [nodes[0].node.address])
        for name in cluster.names { try await cluster.all(see: name, .alive) }
    }

    private func metadata(_ cluster: Cluster) async throws {
        try await cluster.nodes[1].node.update(meta: tags([("role", "regdns"), ("zone", "b")]))
        for agent in cluster.agents {
            try await agent.wait("tag of r2") { $0.contains { $0.name == "r2" && $0.tags["zone"] == "b" } }
        }
        try await cluster.agents[2].run("tags", "-set", "kind=changed")
        let wanted = tags([("kind", "changed")])
        for node in cluster.nodes {
            try await node.wait("tag of s3", within: Cluster.patience) {
                $0.contains { $0.name == "s3" && $0.meta.ends(with: wanted.dropFirst(2)) }
            }
        }
    }

    /// serf's commands change the agents, ours our nodes.
    private func rotate(_ cluster: Cluster) async throws {
        guard let key, let nextKey else { return }
        let steps: [(flag: String, change: KeyChain.Change)] = [
            ("-install=\(nextKey.base64)", .install(.key(nextKey))), ("-use=\(nextKey.base64)", .use(.key(nextKey))),
            ("-remove=\(key.base64)", .remove(.key(key))),
        ]
        for (number, step) in steps.enumerated() {
            // Our nodes answer no queries of serf's, so that the command waits for them and says so; its agents obey.
            let said = try await cluster.agents[0].run("keys", step.flag)
            for node in cluster.nodes { try await node.node.change(step.change) }
            #expect(said.output.contains("3/6") || said.errors.contains("3/6"), "\(said.output)\(said.errors)")
            try await cluster.nodes[0].node.update(meta: tags([("step", "\(number)")]))
            for agent in cluster.agents {
                try await agent.wait("step \(number)") {
                    $0.contains { $0.name == "r1" && $0.tags["step"] == "\(number)" }
                }
            }
        }
        for node in cluster.nodes {
            #expect(try await node.node.keys().ring.keys == [nextKey])
            // Joining again takes a stream under the new key.
            #expect(try await node.node.join([cluster.agents[1].address]) == [cluster.agents[1].address])
        }
    }

    /// An agent and one of ours stand still for three seconds; both object to what is said of them.
    private func pause(_ cluster: Cluster) async throws {
        let watchers = cluster.nodes.dropLast()
        var events: [AsyncStream<GossipEvent>] = []
        for node in watchers { events.append(try await node.node.events()) }
        let before = try await cluster.nodes[2].node.counters().core
        cluster.agents[1].process.signal(SIGSTOP)
        cluster.paused.execute { _ = Glibc.sleep(3) }
        try await Task.sleep(for: .seconds(3))
        cluster.agents[1].process.signal(SIGCONT)
        try await Task.sleep(for: .seconds(2))
        for name in ["s2", "r3"] { try await cluster.all(see: name, .alive) }
        #expect(try await cluster.nodes[2].node.counters().core.pauses > before.pauses)
        for node in watchers { try await node.node.update(meta: tags([("end", "pause")])) }
        for stream in events {
            let failed = try await within(Cluster.patience, "the end of the pause") { () -> [NodeName] in
                var failed: [NodeName] = []
                for await event in stream {
                    if case .failed(let member) = event { failed.append(member.name) }
                    if case .updated(let member) = event, member.meta == tags([("end", "pause")]) { break }
                }
                return failed
            }
            #expect(failed.isEmpty, "declared dead in a pause of three seconds")
        }
    }

    /// kill -9, of ours by closing its sockets.
    private func kill(_ cluster: Cluster) async throws {
        let gone = ["s2", "r2"]
        cluster.agents[1].process.signal(SIGKILL)
        await cluster.nodes[1].node.shutdown()
        for name in gone { try await cluster.all(see: name, .dead, but: gone) }
        // By serf's word, which our nodes follow, and by ours, which serf's follow.
        // Said until all have heard it: gossip alone may miss one.
        let told = Task {
            while !Task.isCancelled {
                try await cluster.agents[0].run("force-leave", "s2")
                try await cluster.nodes[0].node.forceLeave("r2")
                try await Task.sleep(for: .seconds(3))
            }
        }
        defer { told.cancel() }
        for name in gone { try await cluster.all(see: name, .left, but: gone) }
    }

    private func leave(_ cluster: Cluster) async throws {
        var gone = ["s2", "r2", "s3"]
        try await cluster.agents[2].run("leave")
        try await cluster.all(see: "s3", .left, but: gone)
        gone.append("r3")
        await cluster.nodes[2].node.leave()
        await cluster.nodes[2].node.shutdown()
        try await cluster.all(see: "r3", .left, but: gone)
    }
}

extension Array<UInt8> {
    fileprivate func ends(with end: ArraySlice<UInt8>) -> Bool { suffix(end.count).elementsEqual(end) }
}
