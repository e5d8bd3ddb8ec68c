import Memberlist

/// Nodes in this process.
struct Cluster: Sendable {
    var nodes: [BenchNode] = []

    static func place(_ cluster: Int, _ number: Int) -> GossipAddress {
        GossipAddress(127, 2, UInt8(cluster + 1), UInt8(number + 1), port: 0)
    }

    mutating func add(_ cluster: Int, _ number: Int, _ options: Options) async throws {
        nodes.append(
            try await BenchNode.start(
                "n\(cluster)-\(number)", at: Self.place(cluster, number),
                replicates: options.replicates))
    }

    /// Starts nodes that know each other: all join the first, twice, for only then it knows all of them.
    static func form(_ cluster: Int, _ options: Options) async throws -> Cluster {
        var formed = Cluster()
        for number in 0..<options.nodes { try await formed.add(cluster, number, options) }
        for _ in 0..<2 {
            for node in formed.nodes.dropFirst() { try await node.dial(formed.nodes[0]) }
        }
        guard try await formed.untilFull(options.nodes, within: 120) != nil else {
            throw Stuck(description: "the views of \(options.nodes) nodes did not fill within two minutes")
        }
        return formed
    }

    /// Waits until everybody sees that many.
    ///
    /// - Returns: seconds; nil when time is over.
    func untilFull(_ count: Int, within patience: Double) async throws -> Double? {
        let began = now()
        while now() - began < patience {
            if nodes.allSatisfy({ node in node.sight.see { $0.members.count } == count }) { return now() - began }
            try await pause(0.02)
        }
        return nil
    }

    /// Ends all at once, so that nobody takes the others for dead.
    func stop() async {
        await withDiscardingTaskGroup { group in
            for node in nodes { group.addTask { await node.stop() } }
        }
    }

    /// How often somebody was declared dead, by anybody.
    var deaths: Int { nodes.reduce(0) { sum, node in sum + node.sight.see { $0.deaths } } }

    /// Milliseconds that others than one needed to hear of something, sorted.
    func times(besides by: Int, since at: Double, _ heard: (Sight.Content) -> Double?) -> [Double] {
        nodes.enumerated().compactMap { number, node in
            guard number != by, let when = node.sight.see({ heard($0) }), when >= at else { return nil }
            return (when - at) * 1_000
        }.sorted()
    }
}
