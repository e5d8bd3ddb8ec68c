import RegistryStore
import Synchronization

/// One event as `wait` and `stream` show it. Rendered when first delivered, then shared by all who get it.
final class HistoryEvent: Sendable {
    /// A node of the event: a directory (or what is left of one), or an entry that is rendered when it is shown.
    enum Side: Sendable {
        case node(KeyspaceNode)
        case entry(Entry, KeyspaceLife?, createdIndex: Int64)
    }

    let action: KeyspaceEvent.Action
    let key: [UInt8]
    let index: Int64
    let isRefresh: Bool
    /// Whether it took a directory with all below it.
    let tookDirectory: Bool
    /// What the history keeps alive for it, about.
    let bytes: Int
    private let node: Side
    private let previous: Side?
    private let rendered = Mutex<[UInt8]?>(nil)

    init(
        action: KeyspaceEvent.Action, key: [UInt8], index: Int64, node: Side, previous: Side?, isRefresh: Bool = false
    ) {
        self.action = action
        self.key = key
        self.index = index
        self.node = node
        self.previous = previous
        self.isRefresh = isRefresh
        bytes = 256 + Self.bytes(of: node) + Self.bytes(of: previous)
        if case .node(let node) = node, case .removed(wasDirectory: true) = node.kind {
            tookDirectory = true
        } else {
            tookDirectory = false
        }
    }

    private static func bytes(of side: Side?) -> Int {
        guard case .entry(let entry, _, _) = side else { return 0 }
        return entry.key.count + (entry.storedValue?.count ?? 256)
    }

    /// The event in JSON with a line end.
    ///
    /// - Parameter keyspace: for values that are rendered.
    func json(in keyspace: Keyspace) -> [UInt8] {
        rendered.withLock { rendered in
            if let rendered { return rendered }
            let event = KeyspaceEvent(
                action: action, node: Self.node(of: node, in: keyspace),
                previous: previous.map { Self.node(of: $0, in: keyspace) }, index: index)
            let json = event.json()
            rendered = json
            return json
        }
    }

    private static func node(of side: Side, in keyspace: Keyspace) -> KeyspaceNode {
        switch side {
        case .node(let node): node
        case .entry(let entry, let life, let createdIndex):
            KeyspaceNode(
                key: entry.key, kind: .file(value: keyspace.registry.value(of: entry)), life: life,
                modifiedIndex: keyspace.index(of: entry.modRevision), createdIndex: createdIndex)
        }
    }
}
