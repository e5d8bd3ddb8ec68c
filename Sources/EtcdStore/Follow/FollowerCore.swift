import EtcdMessages
import FoundationEssentials
import GRPC
import RegistryStore

/// Follows the keys of an etcd cluster below one prefix: connect, list, watch, and back off when something fails.
///
/// A pure state machine: what happened, the time and chance go in, what to do comes out. Inputs carry the epoch of the
/// effect that asked for them; those of an older epoch are late and ignored. What was listed stays in use across all of
/// it (contract of etcd as the store, section 5.1).
struct FollowerCore {
    enum Phase: String, Sendable {
        case idle, connecting, listing, opening, watching, backingOff
    }

    enum Input {
        case start
        case connected(epoch: Int)
        /// The connection or the watch ended, or could not be made.
        case failed(GRPCStatus, epoch: Int)
        case page(EtcdRangeResponse, isAudit: Bool, epoch: Int)
        case listFailed(GRPCStatus, isAudit: Bool, epoch: Int)
        case watched(EtcdWatchResponse, epoch: Int)
        /// Time has passed.
        case tick
    }

    enum Effect {
        /// Connects to the endpoint of this number and authenticates.
        case connect(endpoint: Int, epoch: Int)
        case disconnect
        /// The token is not taken any more.
        case forgetToken
        case list(EtcdRangeRequest, isAudit: Bool, epoch: Int)
        case watch(EtcdWatchCreateRequest, epoch: Int)
        case endWatch
        case askProgress
        /// The whole content. `restarts`: another history than before, or the first.
        case replace([MirroredValue], revision: Int64, restarts: Bool)
        case apply([Batch])
        /// A list to compare with the table: what differs was missed, but for keys that were deleted since.
        case repair([MirroredValue], revision: Int64, deletedSince: [[UInt8]: Int64])
        /// A tick is wanted after so many milliseconds.
        case wake(milliseconds: Int64)
        case note(Note)
    }

    /// The changes of one revision of the cluster.
    struct Batch {
        let revision: Int64
        let changes: [MirrorChange]
    }

    /// What is worth a log line or a count.
    enum Note: Equatable {
        case live
        case lost(String, retryMilliseconds: Int64)
        case compacted(Int64)
        case listsAnew(String)
        /// Loud: the cluster is not the one, or not in the state, that it was.
        case historyChanged(String)
        case staleList
        case auditFailed(String)
        case tooMuch
    }

    let endpoints: Int
    let range: KeyRange
    let timings: FollowerTimings
    /// Of a list.
    var keysMax = Int.max
    var bytesMax = Int.max

    private(set) var phase = Phase.idle
    private(set) var epoch = 0
    private(set) var endpoint: Int
    /// The last revision whose events are all in the table.
    private(set) var position: Int64 = 0
    private(set) var hasContent = false
    private(set) var clusterID: UInt64 = 0
    var raftTerm: UInt64 = 0

    var startedAt: Int64 = 0
    private var backoff: Int64
    private var wakeAt: Int64 = 0
    /// The content must be listed before the next watch.
    var needsList = true
    /// The next list belongs to another history than the table.
    var historyChanged = false
    var listing: Listing?
    var pageLimit: Int64 = 1000
    /// The watch begins where a list of the same connection ended, so its member knows that revision.
    private var isConfirmed = false
    private var watchSince: Int64 = 0
    private var lastMessage: Int64 = 0
    private var nextProgress: Int64 = 0
    var nextAudit: Int64 = 0
    /// Fragments of an answer that is not whole yet.
    private var fragments: [EtcdEvent] = []

    /// More events than an answer may have before the follower prefers a list.
    static let fragmentEventsMax = 200_000

    init(endpoints: Int, firstEndpoint: Int = 0, range: KeyRange, timings: FollowerTimings = .init()) {
        self.endpoints = max(1, endpoints)
        self.range = range
        self.timings = timings
        endpoint = firstEndpoint
        backoff = timings.backoffMin
    }

    /// Whether the table follows the cluster right now.
    var isLive: Bool { phase == .watching }

    mutating func handle(
        _ input: Input, now: Int64, random: inout some RandomNumberGenerator
    ) -> [Effect] {
        switch input {
        case .start:
            guard phase == .idle else { return [] }
            startedAt = now
            return connect()
        case .connected(let epoch):
            guard epoch == self.epoch, phase == .connecting else { return [] }
            return needsList ? startList(now: now) : openWatch(now: now, confirmed: false)
        case .failed(let status, let epoch):
            guard epoch == self.epoch, phase != .backingOff else { return [] }
            return fail(status, now: now, random: &random)
        case .page(let page, let isAudit, let epoch):
            guard epoch == self.epoch else { return [] }
            return take(page, isAudit: isAudit, now: now, random: &random)
        case .listFailed(let status, let isAudit, let epoch):
            guard epoch == self.epoch else { return [] }
            return listFailed(status, isAudit: isAudit, now: now, random: &random)
        case .watched(let response, let epoch):
            guard epoch == self.epoch, phase == .opening || phase == .watching else { return [] }
            return take(response, now: now, random: &random)
        case .tick:
            return tick(now: now, random: &random)
        }
    }

    // MARK: Connecting

    private mutating func connect() -> [Effect] {
        epoch += 1
        phase = .connecting
        listing = nil
        fragments = []
        return [.connect(endpoint: endpoint, epoch: epoch)]
    }

    /// Gives the connection up; the next try is at the next endpoint, after a pause.
    mutating func fail(
        _ status: GRPCStatus, now: Int64, random: inout some RandomNumberGenerator
    ) -> [Effect] {
        if phase == .watching, now - watchSince >= timings.goodWatch { backoff = timings.backoffMin }
        let pause = Int64.random(in: 0...backoff, using: &random)
        backoff = min(timings.backoffMax, backoff * 8 / 5)
        epoch += 1
        phase = .backingOff
        wakeAt = now + pause
        endpoint = (endpoint + 1) % endpoints
        listing = nil
        fragments = []
        var effects: [Effect] = [.note(.lost("\(status)", retryMilliseconds: pause)), .disconnect]
        if Self.isAboutAuthentication(status) { effects.append(.forgetToken) }
        return effects + [.wake(milliseconds: pause)]
    }

    static func isAboutAuthentication(_ status: GRPCStatus) -> Bool {
        status.code == .unauthenticated || status.message.contains("invalid auth token")
            || status.message.contains("user name is empty") || status.message.contains("revision of auth store")
    }

    // MARK: Watching

    mutating func openWatch(now: Int64, confirmed: Bool) -> [Effect] {
        phase = .opening
        isConfirmed = confirmed
        watchSince = now
        lastMessage = now
        fragments = []
        var request = EtcdWatchCreateRequest()
        request.key = Data(range.requestKey)
        request.rangeEnd = Data(range.requestEnd)
        request.startRevision = position &+ 1
        request.progressNotify = true
        request.fragment = true
        return [.watch(request, epoch: epoch)]
    }

    private mutating func take(
        _ response: EtcdWatchResponse, now: Int64, random: inout some RandomNumberGenerator
    ) -> [Effect] {
        lastMessage = now
        if let doubt = doubt(about: response.header) { return listAnew(doubt, now: now) }
        if response.canceled {
            guard response.compactRevision == 0 else {
                return [.note(.compacted(response.compactRevision))] + restartList(now: now)
            }
            let reason = response.cancelReason.isEmpty ? "no reason given" : response.cancelReason
            return fail(GRPCStatus(.unavailable, "the watch was cancelled: \(reason)"), now: now, random: &random)
        }
        var effects: [Effect] = []
        if phase == .opening, response.created {
            phase = .watching
            watchSince = now
            nextProgress = now + timings.progress
            scheduleAudit(now: now, random: &random)
            effects.append(.note(.live))
        }
        fragments += response.events
        guard fragments.count <= Self.fragmentEventsMax else {
            return listAnew("more than \(Self.fragmentEventsMax) changes in one answer", now: now)
        }
        if response.fragment { return effects }
        let batches = batches(of: fragments)
        fragments = []
        if !batches.isEmpty { effects.append(.apply(batches)) }
        return effects
    }

    /// Why the cluster may not be in the state it was; nil when it may. Numbers that went back may also be those of a
    /// member that is behind, which a list tells apart.
    private mutating func doubt(about header: EtcdResponseHeader) -> String? {
        if clusterID != 0, header.clusterID != clusterID {
            historyChanged = true
            return "the cluster's id changed from \(clusterID) to \(header.clusterID)"
        }
        guard phase == .opening, !isConfirmed else {
            raftTerm = max(raftTerm, header.raftTerm)
            return nil
        }
        if header.revision < position { return "the revision went back from \(position) to \(header.revision)" }
        if header.raftTerm < raftTerm { return "the term went back from \(raftTerm) to \(header.raftTerm)" }
        raftTerm = header.raftTerm
        return nil
    }

    private mutating func listAnew(_ reason: String, now: Int64) -> [Effect] {
        [.note(historyChanged ? .historyChanged(reason) : .listsAnew(reason))] + restartList(now: now)
    }

    /// Lists on the connection there is, and watches from there.
    mutating func restartList(now: Int64) -> [Effect] {
        epoch += 1
        needsList = true
        fragments = []
        return [.endWatch] + startList(now: now)
    }

    /// The events by revision, without those that are in the table already.
    private mutating func batches(of events: [EtcdEvent]) -> [Batch] {
        var batches: [Batch] = []
        var changes: [MirrorChange] = []
        var revision = position
        func close() {
            if !changes.isEmpty { batches.append(Batch(revision: revision, changes: changes)) }
            changes = []
        }
        for event in events where event.kv.modRevision > position {
            if event.kv.modRevision != revision {
                // Revisions never go back within a watch; what does is a repetition.
                guard event.kv.modRevision > revision else { continue }
                close()
                revision = event.kv.modRevision
            }
            let key = Array(event.kv.key)
            switch event.type {
            case .delete:
                listing?.deletions[key] = revision
                changes.append(.delete(key: key))
            case .put, .UNRECOGNIZED: changes.append(.put(MirroredValue(event.kv)))
            }
        }
        close()
        position = revision
        return batches
    }

    // MARK: Content

    mutating func adopt(_ header: EtcdResponseHeader, position: Int64) {
        clusterID = header.clusterID
        raftTerm = header.raftTerm
        self.position = position
        hasContent = true
        needsList = false
        historyChanged = false
    }

    /// Whether a header comes from another cluster than the one that was followed.
    func isForeign(_ header: EtcdResponseHeader) -> Bool { clusterID != 0 && header.clusterID != clusterID }

    mutating func enterListing() { phase = .listing }

    // MARK: Time

    private mutating func tick(now: Int64, random: inout some RandomNumberGenerator) -> [Effect] {
        switch phase {
        case .backingOff:
            return now >= wakeAt ? connect() : []
        case .opening:
            guard now - lastMessage > timings.watchCreation else { return [] }
            return fail(GRPCStatus(.unavailable, "the watch was not created in time"), now: now, random: &random)
        case .watching:
            guard now - lastMessage <= timings.silence else {
                return fail(GRPCStatus(.unavailable, "the watch is silent"), now: now, random: &random)
            }
            var effects = audit(now: now, random: &random)
            if now >= nextProgress {
                nextProgress = now + timings.progress
                effects.append(.askProgress)
            }
            return effects
        case .idle, .connecting, .listing:
            return []
        }
    }
}
