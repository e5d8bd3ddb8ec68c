package import RegistryStore
import Synchronization

/// The whole key space of a cluster, for v2 requests about keys that the node does not follow for its names.
///
/// It is a copy of its own, followed from the first such request until nobody has asked for it for ten minutes, waits
/// at it or has a directory there that is to end. Keys for names stay with the copy that is always followed.
package final class WideKeyspace: Sendable {
    /// A copy of all keys, and what follows it.
    package struct Source: Sendable {
        let keyspace: Keyspace
        let writer: any RegistryWriter
        let run: @Sendable () async -> Void
        /// Whether the copy has been read once.
        let hasContent: @Sendable () -> Bool
        /// Whether there is more than the copy may hold.
        let isOverLimit: @Sendable () -> Bool
        /// Waits, for a bounded time, until the copy shows a revision.
        let show: @Sendable (Int64) async -> Void

        package init(
            keyspace: Keyspace, writer: any RegistryWriter, run: @escaping @Sendable () async -> Void,
            hasContent: @escaping @Sendable () -> Bool, isOverLimit: @escaping @Sendable () -> Bool,
            show: @escaping @Sendable (Int64) async -> Void
        ) {
            self.keyspace = keyspace
            self.writer = writer
            self.run = run
            self.hasContent = hasContent
            self.isOverLimit = isOverLimit
            self.show = show
        }
    }

    package struct Counts: Sendable, Equatable {
        package init() {}

        package var starts = 0
        /// Requests that were refused: the content did not come in time, or is too much.
        package var refused = 0
        /// Times that the content was too much.
        package var overLimit = 0
        package var isFollowed = false
    }

    private struct State {
        var following: Following?
        var lastUse: Int64 = 0
        var blockedUntil: Int64 = 0
        var isStopping = false
        /// The revision of the other copy that was waited for.
        var shown: Int64 = 0
        var counts = Counts()
    }

    private let prefix: [UInt8]
    private let clock: RegistryClock
    private let idleMilliseconds: Int64
    /// The revision of the copy that is always followed: who wrote by that one reads it here.
    private let revision: @Sendable () -> Int64
    private let make: @Sendable () -> Source
    private let state = Mutex(State())

    private static let patience: Duration = .seconds(3)
    /// After too much content was met.
    private static let blockMilliseconds: Int64 = 60_000

    /// - Parameters:
    ///   - prefix: of the keys that are always followed, with its slash at the end.
    ///   - revision: of the copy of those.
    ///   - make: a copy of all keys that is not followed yet.
    package init(
        besides prefix: [UInt8], clock: RegistryClock, idleMilliseconds: Int64 = 600_000,
        revision: @escaping @Sendable () -> Int64, make: @escaping @Sendable () -> Source
    ) {
        self.prefix = prefix
        self.clock = clock
        self.idleMilliseconds = idleMilliseconds
        self.revision = revision
        self.make = make
    }

    /// Where such a copy keeps directories: those for names as the other copy has them.
    package static func places(besides prefix: [UInt8]) -> [MirrorPlace] {
        DirectoryMarker.places(below: prefix).map { place in
            // Two keys of the cluster are two keys here.
            guard place.prefix == DirectoryMarker.operationKey else { return place }
            return MirrorPlace(
                namespace: place.namespace, prefix: place.prefix + prefix, storePrefix: place.storePrefix)
        } + DirectoryMarker.places(below: Array("/".utf8))
    }

    package var counts: Counts {
        state.withLock { state in
            var counts = state.counts
            counts.isFollowed = state.following != nil
            return counts
        }
    }

    /// Whether a clean path is of the keys that are always followed.
    func isBeside(_ path: [UInt8]) -> Bool { !(path + [UInt8(ascii: "/")]).starts(with: prefix) }

    /// The whole key space, as new as the other copy. Follows it if need be.
    func keyspace() async throws(V2Error) -> Keyspace {
        do throws(V2Error) {
            let following = try take()
            try await following.waitForContent(within: Self.patience)
            let revision = revision()
            if state.withLock({ $0.shown < revision }) {
                await following.source.show(revision)
                state.withLock { $0.shown = max($0.shown, revision) }
            }
            return following.source.keyspace
        } catch {
            state.withLock { $0.counts.refused += 1 }
            throw error
        }
    }

    private func take() throws(V2Error) -> Following {
        let now = clock.monotonicMilliseconds()
        return try state.withLock { (state) throws(V2Error) in
            guard !state.isStopping else { throw V2Error(.internalError, cause: "stopping") }
            Self.giveUpTooMuch(&state, now: now)
            guard now >= state.blockedUntil else {
                throw V2Error(
                    .storeFull, cause: "keys beside \(String(decoding: prefix, as: UTF8.self)): too many to be followed"
                )
            }
            state.lastUse = now
            if let following = state.following { return following }
            let following = Following(make())
            state.following = following
            state.counts.starts += 1
            return following
        }
    }

    /// A copy that is not whole is of no use to anybody.
    private static func giveUpTooMuch(_ state: inout State, now: Int64) {
        guard let following = state.following, following.source.isOverLimit() else { return }
        following.end()
        state.following = nil
        state.blockedUntil = now &+ blockMilliseconds
        state.counts.overLimit += 1
    }

    /// Lets go of the copy when it is not needed, and of all when the task is cancelled.
    package func run() async {
        while (try? await Task.sleep(for: .seconds(1))) != nil { dropIdle() }
        let last = state.withLock { state in
            state.isStopping = true
            return state.following.take()
        }
        last?.end()
        await last?.ended()
    }

    func dropIdle() {
        let now = clock.monotonicMilliseconds()
        let idle = state.withLock { state -> Following? in
            Self.giveUpTooMuch(&state, now: now)
            guard let following = state.following, now &- state.lastUse >= idleMilliseconds else { return nil }
            guard !following.isNeeded else {
                state.lastUse = now
                return nil
            }
            state.shown = 0
            return state.following.take()
        }
        idle?.end()
    }
}

/// A copy that is being followed.
private final class Following: Sendable {
    let source: WideKeyspace.Source
    private let task: Task<Void, Never>

    init(_ source: WideKeyspace.Source) {
        self.source = source
        task = Task {
            await withDiscardingTaskGroup { group in
                group.addTask { await source.run() }
                group.addTask { await Self.expireDirectories(of: source) }
            }
        }
    }

    private static func expireDirectories(of source: WideKeyspace.Source) async {
        var pause: Duration = .milliseconds(50)
        while (try? await Task.sleep(for: pause)) != nil {
            guard source.hasContent() else { continue }
            let isDone = await source.keyspace.expireDirectories(through: source.writer)
            pause = isDone ? .milliseconds(50) : .seconds(1)
        }
    }

    /// Whether somebody waits for events, or a directory is to be ended.
    var isNeeded: Bool {
        source.keyspace.history.counts.watches > 0 || source.keyspace.remembering { $0.hasEnds }
    }

    func end() {
        task.cancel()
        source.keyspace.history.end()
    }

    func ended() async { await task.value }

    func waitForContent(within patience: Duration) async throws(V2Error) {
        if source.hasContent() { return }
        let deadline = ContinuousClock.now + patience
        while !source.hasContent() {
            guard !source.isOverLimit(), ContinuousClock.now < deadline else {
                throw V2Error(.internalError, cause: "the keys of the cluster could not be read in time")
            }
            guard (try? await Task.sleep(for: .milliseconds(10))) != nil else {
                throw V2Error(.internalError, cause: "stopping")
            }
        }
        // What ended while nobody followed is not shown again.
        _ = await source.keyspace.expireDirectories(through: source.writer)
    }
}
