import EtcdMessages
import FoundationEssentials
import GRPC
import RegistryStore

extension FollowerCore {
    /// A list that comes in pages, all at the revision of the first.
    struct Listing {
        var values: [MirroredValue] = []
        var bytes = 0
        /// 0 until the first page.
        var revision: Int64 = 0
        var isSerializable = false
        var isAudit = false
        /// The key that the next page begins with.
        var next: Data
        /// When the last page came; nil before.
        var completedAt: Int64?
        /// Keys that were deleted while an audit went on, with the revision.
        var deletions: [[UInt8]: Int64] = [:]
    }

    mutating func startList(now: Int64) -> [Effect] {
        enterListing()
        var listing = Listing(next: Data(range.requestKey))
        listing.isSerializable = !hasContent && now - startedAt >= timings.coldSerializable
        self.listing = listing
        return [.list(request(for: listing), isAudit: false, epoch: epoch)]
    }

    private func request(for listing: Listing) -> EtcdRangeRequest {
        var request = EtcdRangeRequest()
        request.key = listing.next
        request.rangeEnd = Data(range.requestEnd)
        request.limit = pageLimit
        request.revision = listing.revision
        request.serializable = listing.isSerializable
        return request
    }

    mutating func take(
        _ page: EtcdRangeResponse, isAudit: Bool, now: Int64, random: inout some RandomNumberGenerator
    ) -> [Effect] {
        guard var listing, listing.isAudit == isAudit, listing.completedAt == nil else { return [] }
        // A member of another cluster may answer a later page, or the first of an audit.
        if listing.revision != 0 || isAudit, isForeign(page.header) {
            historyChanged = true
            return [.note(.historyChanged("the cluster's id changed to \(page.header.clusterID)"))]
                + restartList(now: now)
        }
        if listing.revision == 0 { listing.revision = page.header.revision }
        listing.values += page.kvs.map { MirroredValue($0) }
        listing.bytes += page.kvs.reduce(0) { $0 + $1.key.count + $1.value.count }
        if page.count > keysMax || listing.values.count > keysMax || listing.bytes > bytesMax {
            let status = GRPCStatus(.resourceExhausted, "more than \(keysMax) keys or \(bytesMax) bytes")
            return [.note(.tooMuch)] + fail(status, now: now, random: &random)
        }
        if page.more, let last = page.kvs.last {
            listing.next = last.key + [0]
            self.listing = listing
            return [.list(request(for: listing), isAudit: isAudit, epoch: epoch)]
        }
        guard !isAudit else {
            listing.completedAt = now
            self.listing = listing
            return [.wake(milliseconds: timings.auditGrace)]
        }
        self.listing = nil
        return finish(listing, page.header, now: now)
    }

    private mutating func finish(_ listing: Listing, _ header: EtcdResponseHeader, now: Int64) -> [Effect] {
        var effects: [Effect] = []
        if isForeign(header), !historyChanged {
            effects.append(.note(.historyChanged("the cluster's id changed from \(clusterID) to \(header.clusterID)")))
            historyChanged = true
        } else if hasContent, listing.revision < position {
            // A linearizable list is not behind: this is another history, say a restored backup.
            let text = "the revision went back from \(position) to \(listing.revision)"
            effects.append(.note(.historyChanged(text)))
            historyChanged = true
        }
        if listing.isSerializable { effects.append(.note(.staleList)) }
        effects.append(
            .replace(listing.values, revision: listing.revision, restarts: historyChanged || !hasContent))
        adopt(header, position: listing.revision)
        return effects + openWatch(now: now, confirmed: true)
    }

    mutating func listFailed(
        _ status: GRPCStatus, isAudit: Bool, now: Int64, random: inout some RandomNumberGenerator
    ) -> [Effect] {
        guard let listing, listing.isAudit == isAudit else { return [] }
        if status.code == .resourceExhausted, pageLimit > 1 {
            // The page was too long for one message.
            pageLimit /= 2
            return [.list(request(for: listing), isAudit: isAudit, epoch: epoch)]
        }
        if isAudit {
            self.listing = nil
            nextAudit = now + timings.audit / 10
            return [.note(.auditFailed("\(status)"))]
        }
        if status.code == .outOfRange {
            // The revision of the first page was compacted meanwhile.
            return [.note(.listsAnew("\(status)"))] + startList(now: now)
        }
        return fail(status, now: now, random: &random)
    }

    // MARK: Audit

    mutating func scheduleAudit(now: Int64, random: inout some RandomNumberGenerator) {
        let tenth = timings.audit / 10
        nextAudit = now + timings.audit + Int64.random(in: -tenth...tenth, using: &random)
    }

    /// Lists everything again from time to time, beside the watch: some versions of etcd lose events on compaction.
    mutating func audit(now: Int64, random: inout some RandomNumberGenerator) -> [Effect] {
        guard let listing else {
            guard now >= nextAudit else { return [] }
            var audit = Listing(next: Data(range.requestKey))
            audit.isAudit = true
            self.listing = audit
            return [.list(request(for: audit), isAudit: true, epoch: epoch)]
        }
        guard let completedAt = listing.completedAt, now - completedAt >= timings.auditGrace else { return [] }
        self.listing = nil
        scheduleAudit(now: now, random: &random)
        return [.repair(listing.values, revision: listing.revision, deletedSince: listing.deletions)]
    }
}

extension MirroredValue {
    init(_ kv: EtcdKeyValue) {
        self.init(
            key: Array(kv.key), value: Array(kv.value), lease: kv.lease == 0 ? nil : LeaseID(kv.lease),
            createRevision: kv.createRevision, modRevision: kv.modRevision, putCount: kv.version)
    }
}
