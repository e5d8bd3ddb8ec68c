import RegistryStore

/// What a v2 writer tells the history of its batch: etcd's events name the operation, the store's changes do not.
///
/// The store tells its observers within the writer's call, so a task-local value reaches the history with exactly the
/// batch it belongs to. Where the write goes to a cluster and comes back with its events, the history is told before
/// (`EventHistory.expect`). Batches without a note are other doors' writes.
struct WriteNote: Sendable {
    var action: KeyspaceEvent.Action
    /// The key or directory it is about.
    var key: [UInt8]
    /// The event takes its index and wakes nobody.
    var isRefresh = false
    /// What stood at the key when the writer looked, and how it showed then.
    var existing: Entry?
    var previous: KeyspaceNode?
    /// The index of creation that the operation keeps.
    var keptCreation: Int64?
    /// The ttl that it gives, in seconds.
    var seconds: Int64?
    /// The operation is about a directory: this one, without its new indices.
    var directory: KeyspaceNode?
    /// The directories that go with it.
    var remembered: RememberedDirectory?

    @TaskLocal static var current: WriteNote?
}
