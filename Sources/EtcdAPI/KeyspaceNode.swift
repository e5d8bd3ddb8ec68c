/// One node of etcd's v2 tree: a key with its value, or a directory.
struct KeyspaceNode: Sendable {
    enum Kind: Sendable {
        case file(value: [UInt8])
        /// `nodes` is nil where the children were not asked for.
        case directory(nodes: [KeyspaceNode]?)
        /// A node that a deletion took: no value any more, and of a directory only that it was one.
        case removed(wasDirectory: Bool)
    }

    /// The whole path; empty for the root, which has no indices either.
    var key: [UInt8]
    var kind: Kind
    var life: KeyspaceLife?
    var modifiedIndex: Int64
    var createdIndex: Int64

    /// What is left of the node when it is removed.
    var removed: KeyspaceNode {
        var wasDirectory = false
        if case .directory = kind { wasDirectory = true }
        return KeyspaceNode(
            key: key, kind: .removed(wasDirectory: wasDirectory), modifiedIndex: modifiedIndex,
            createdIndex: createdIndex)
    }

    /// Whether listings leave the node out: its last path part starts with `_`.
    static func isHidden(_ name: ArraySlice<UInt8>) -> Bool { name.first == UInt8(ascii: "_") }
}

/// When a node ends.
struct KeyspaceLife: Sendable, Equatable {
    /// Unix milliseconds of the end, if nobody renews it.
    let expiration: Int64
    /// Whole seconds left, rounded up; 0 when it is over.
    let secondsLeft: Int64

    /// - Parameters:
    ///   - endsAt: Unix milliseconds.
    ///   - millisecondsLeft: of the monotonic clock; negative when it is over.
    init(endsAt: Int64, millisecondsLeft: Int64) {
        expiration = endsAt
        secondsLeft = millisecondsLeft > 0 ? (millisecondsLeft &+ 999) / 1000 : 0
    }
}

/// What an operation did, or what a read found.
struct KeyspaceEvent: Sendable {
    enum Action: String, Sendable, CaseIterable {
        case get, set, create, update, compareAndSwap, delete, compareAndDelete, expire
    }

    var action: Action
    var node: KeyspaceNode
    var previous: KeyspaceNode?
    /// The index of the store after the operation.
    var index: Int64

    /// etcd answers 201 for these.
    var isCreation: Bool { action == .create || (action == .set && previous == nil) }
}
