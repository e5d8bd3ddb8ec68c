/// The entries of one namespace under their three orders. Every change costs O(log n).
final class NamespaceIndex {
    let namespace: Namespace
    private(set) var byKey = OrderedTree<KeyOrder>()
    private(set) var byID = OrderedTree<IDOrder>()
    private(set) var byService = OrderedTree<ServiceOrder>()
    /// Distinct service names.
    private(set) var serviceCount = 0
    /// By id, those who would be shown under it if another one were not. Few ids have any.
    private var waiting: [[UInt8]: WaitingClaims] = [:]
    /// Who wrote last is told by mod revisions, which the nodes of a mirror share, not by versions.
    let ranksByRevision: Bool

    init(namespace: Namespace, ranksByRevision: Bool = false) {
        self.namespace = namespace
        self.ranksByRevision = ranksByRevision
    }

    var isEmpty: Bool { byKey.isEmpty }

    /// Puts `current` in the place of `previous`; either may be nil. Both have the same key when both are given. The
    /// id of `current` must be free or held by `previous`.
    func replace(_ previous: Entry?, by current: Entry?) {
        if let previous, current == nil || !Self.sharesPlaces(previous, current) { unlist(previous) }
        if let previous { stopWaiting(previous) }
        if let current { wait(current) }
        if let current {
            byKey.insert(current)
            if current.isVisibleInstance { list(current) }
        } else if let previous {
            byKey.remove(previous.key)
        }
    }

    private static func sharesPlaces(_ a: Entry, _ b: Entry?) -> Bool {
        guard let b, let service = a.indexedService, let id = a.indexedID, let otherService = b.indexedService,
            let otherID = b.indexedID
        else { return false }
        return ByteOrder.same(service, otherService) && ByteOrder.same(id, otherID)
    }

    private func wait(_ entry: Entry) {
        guard entry.derivedIdentity != nil else { return }
        let order = claimOrder(key: entry.key, version: entry.version, modRevision: entry.modRevision)
        for (id, isClaim) in entry.missedIDs {
            let claims = waiting[Array(id.utf8)] ?? WaitingClaims()
            claims.insert(WaitingClaim(entry: entry, order: Self.waitingOrder(isClaim: isClaim, order)))
            waiting[Array(id.utf8)] = claims
        }
    }

    private func stopWaiting(_ entry: Entry) {
        guard entry.derivedIdentity != nil, !waiting.isEmpty else { return }
        let order = claimOrder(key: entry.key, version: entry.version, modRevision: entry.modRevision)
        for (id, isClaim) in entry.missedIDs {
            guard let claims = waiting[Array(id.utf8)] else { continue }
            claims.remove(Self.waitingOrder(isClaim: isClaim, order))
            if claims.isEmpty { waiting[Array(id.utf8)] = nil }
        }
    }

    /// Who gets an id when it is free.
    func firstWaiting(for id: String) -> Entry? {
        waiting.isEmpty ? nil : waiting[Array(id.utf8)]?.first
    }

    private func list(_ entry: Entry) {
        byID.insert(entry)
        if byService.insert(entry) == nil, neighboursOfService(of: entry) == 1 { serviceCount += 1 }
    }

    private func unlist(_ entry: Entry) {
        guard let id = entry.indexedID else { return }
        byID.remove(IDOrder.probe(id))
        if neighboursOfService(of: entry) == 1 { serviceCount -= 1 }
        byService.remove(ServiceOrder.sortBytes(of: entry).joined)
    }

    /// 1 when `entry`, which is listed, is the only one of its service, else 2.
    private func neighboursOfService(of entry: Entry) -> Int {
        guard let service = entry.indexedService else { return 0 }
        let first = byService.first(atOrAfter: ServiceOrder.start(service))
        let last = byService.last(before: ServiceOrder.end(service))
        return first === last ? 1 : 2
    }

    /// The entry that is shown under this id.
    func find(id: String) -> Entry? { byID.find(IDOrder.probe(id)) }

    /// The entries of one service in key order, or of all in the order of services.
    func instances(of service: String?) -> [Entry] {
        var result: [Entry] = []
        guard let service else {
            result.reserveCapacity(byService.count)
            byService.forEach { entry in
                result.append(entry)
                return true
            }
            return result
        }
        byService.forEach(from: ServiceOrder.start(service)) { entry in
            guard ByteOrder.same(entry.indexedService ?? "", service) else { return false }
            result.append(entry)
            return true
        }
        return result
    }

    /// Instances of a service. O(log n).
    func instanceCount(of service: String) -> Int {
        byService.rank(ServiceOrder.end(service)) - byService.rank(ServiceOrder.start(service))
    }

    /// The service names in byte order. O(services * log n).
    func serviceNames() -> [String] {
        var result: [String] = []
        result.reserveCapacity(serviceCount)
        var next = byService.first(atOrAfter: [])
        while let service = next?.indexedService {
            result.append(service)
            next = byService.first(atOrAfter: ServiceOrder.end(service))
        }
        return result
    }

    /// An entry listed next to where an instance of `service` would be, whose texts a new entry may share.
    func listedNeighbour(ofService service: String) -> Entry? {
        let probe = ServiceOrder.end(service)
        return byService.last(before: probe) ?? byService.first(atOrAfter: probe)
    }
}
