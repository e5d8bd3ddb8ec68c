import Memberlist
import NIOCore
import Replication
import Synchronization
import Testing

/// Waits that took too long.
struct Waited: Error, CustomStringConvertible {
    let description: String
}

/// Runs `body`, but not for longer than `patience`.
func within<Value: Sendable>(
    _ patience: Duration, _ what: String, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: patience)
            return nil
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() ?? nil else {
            throw Waited(description: "\(what): not in \(patience)")
        }
        return value
    }
}

extension GossipTiming {
    /// A kill is seen within a second.
    static let quick: GossipTiming = {
        var timing = GossipTiming.fast
        timing.probeInterval = 200
        timing.probeTimeout = 100
        timing.gossipInterval = 40
        timing.suspicionMaxMultiplier = 1
        timing.streamTimeout = 3_000
        return timing
    }()
}

/// What a node's application got.
final class Inbox: GossipApplication {
    struct Content: Sendable {
        var messages: [[UInt8]] = []
        var states: [[UInt8]] = []
        var riders: [[UInt8]] = []
    }

    let content = Mutex(Content())
    private let (news, reader) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

    /// Passes on what is new.
    func receive(_ message: [UInt8], from sender: GossipAddress) -> Bool {
        defer { reader.yield() }
        return content.withLock { content in
            let isNew = !content.messages.contains(message)
            content.messages.append(message)
            return isNew
        }
    }

    func receive(state: [UInt8], isJoin: Bool) {
        content.withLock { $0.states.append(state) }
        reader.yield()
    }

    func messages(for member: NodeName?, room: Int) -> [[UInt8]] { content.withLock { $0.riders } }

    /// Says back what it hears, first message and frames, until the peer is done.
    func serve(_ stream: GossipStream) async throws {
        try await stream.answer(stream.first.reversed())
        for try await frame in stream.frames { try await stream.writer.write(frame) }
    }

    func wait(_ what: String, until isThere: @escaping @Sendable (Content) -> Bool) async throws {
        try await within(.seconds(10), what) { [self, news] in
            if content.withLock({ isThere($0) }) { return }
            for await _ in news where content.withLock({ isThere($0) }) { return }
        }
    }
}

/// A node on loopback, and what its application got.
struct TestNode: Sendable {
    let node: GossipNode
    let inbox: Inbox

    static func start(
        _ name: NodeName, environment: GossipEnvironment = GossipEnvironment(),
        _ configure: (inout GossipSettings) -> Void = { _ in }
    ) async throws -> TestNode {
        var settings = GossipSettings(name: name, bind: GossipAddress(127, 0, 0, 1, port: 0))
        settings.timing = .quick
        configure(&settings)
        let inbox = Inbox()
        let node = try await GossipNode.start(settings, application: inbox, environment: environment)
        return TestNode(node: node, inbox: inbox)
    }

    var name: NodeName { node.name }

    /// Waits until the node's view is as wanted.
    func wait(
        _ what: String, within patience: Duration = .seconds(10),
        until isThere: @escaping @Sendable ([Member]) -> Bool
    ) async throws {
        let node = node
        do {
            try await within(patience, "\(node.name): \(what)") {
                // Not by events alone: who is suspected and objects becomes alive again without one.
                while !isThere(try await node.members()) { try await Task.sleep(for: .milliseconds(10)) }
            }
        } catch {
            let members = try await node.members().map { "\($0.name) \($0.state)" }
            throw Waited(description: "\(error); members: \(members)")
        }
    }

    func wait(
        for name: NodeName, toBe state: NodeState, within patience: Duration = .seconds(10)
    ) async throws {
        try await wait("\(name) is \(state)", within: patience) { members in
            members.contains { $0.name == name && $0.state == state }
        }
    }

    func wait(forAlive count: Int, within patience: Duration = .seconds(10)) async throws {
        try await wait("\(count) alive", within: patience) { members in
            members.count { $0.state == .alive } == count
        }
    }
}

/// Starts nodes `n1`…, all joined at the first one, lets the test have them, and shuts them down.
func withCluster(
    of count: Int, _ configure: (inout GossipSettings) -> Void = { _ in },
    _ body: ([TestNode]) async throws -> Void
) async throws {
    var nodes: [TestNode] = []
    do {
        for number in 1...count { nodes.append(try await .start(NodeName("n\(number)"), configure)) }
        for node in nodes.dropFirst() {
            let merged = try await node.node.join([nodes[0].node.address])
            #expect(merged == [nodes[0].node.address])
        }
        for node in nodes { try await node.wait(forAlive: count) }
        try await body(nodes)
    } catch {
        for node in nodes { await node.node.shutdown() }
        throw error
    }
    for node in nodes { await node.node.shutdown() }
}
