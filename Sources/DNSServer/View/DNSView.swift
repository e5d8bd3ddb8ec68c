package import DNSWire
package import RegistryStore
import Synchronization

/// What the DNS answers from: built from the registry's changes and zone files, read by the DNS threads without locks.
///
/// A composed answer is published at its name and copied out by readers inside an epoch. Only a name that nobody asked
/// for since it changed is composed, under the lock that changes take too.
package final class DNSView: RegistryObserver, Sendable {
    let table: NameTable
    let epochs: Epochs
    let configuration: ViewConfiguration
    private let state: Mutex<ViewState>
    /// Copies of the state's, for readers.
    private let changes = Atomic<UInt64>(0)
    private let zoneGeneration = Atomic<UInt64>(0)
    private let filled = Atomic<Bool>(true)
    private let vouchedUntil = Atomic<Int64>(.max)
    private let zoneTable: Mutex<ZoneTable>

    package init(configuration: ViewConfiguration, layout: KeyLayout, seed: UInt64 = .random(in: .min ... .max)) {
        self.configuration = configuration
        epochs = Epochs()
        table = NameTable(seed: seed)
        let initial = ViewState(configuration: configuration, layout: layout, table: table, epochs: epochs)
        zoneTable = Mutex(initial.zones)
        state = Mutex(initial)
    }

    // MARK: the writers

    package func registryDidChange(_ batch: ChangeBatch) {
        state.withLock { state in
            var visible = false
            for change in batch.changes { visible = state.apply(change) || visible }
            if visible {
                state.changes &+= 1
                changes.store(state.changes, ordering: .releasing)
            }
        }
    }

    /// Replaces the zone files; registrations stay.
    package func setZones(_ zones: [Zone]) {
        state.withLock { state in
            // Readers learn the zones before any name says that it belongs to a new one.
            let table = state.numberedZones(zones)
            zoneTable.withLock { $0 = table }
            zoneGeneration.add(1, ordering: .releasing)
            state.setZones(zones, table)
            changes.store(state.changes, ordering: .releasing)
        }
    }

    /// Why zones and registrations cannot stand together, if so: a zone's CNAME beside registered data of its name.
    package func conflict(of zones: [Zone]) -> OwnerName? {
        state.withLock { state in
            for zone in zones {
                for rrset in zone.rrsets where rrset.type == .cname {
                    if let index = state.tree.index(of: rrset.owner.wire), !state.tree[index].leaf.isEmpty {
                        return rrset.owner
                    }
                }
            }
            return nil
        }
    }

    /// Says until when what the registry holds may be answered, in monotonic milliseconds: whoever keeps it like that
    /// of the other nodes says so again and again. After that its domain is answered SERVFAIL, so that a process that
    /// stood still does not answer what has ended meanwhile. For ever by default. From any thread.
    package func vouch(until: Int64) { vouchedUntil.store(until, ordering: .relaxed) }

    /// Frees answers that no reader sees any more; called from time to time by the server.
    package func reclaim() { state.withLock { $0.tree.reclaim() } }

    /// Names in the tree, and blocks waiting to be freed.
    package var counts: (names: Int, retired: Int) { state.withLock { ($0.tree.nameCount, $0.tree.retired.count) } }

    /// Says whether the registry has been filled. Until then its domain is answered SERVFAIL: a node that knows nothing
    /// must not say that a name does not exist.
    package func setHasContent(_ hasContent: Bool) {
        state.withLock { $0.hasContent = hasContent }
        filled.store(hasContent, ordering: .releasing)
    }

    // MARK: readers

    /// Counts what the DNS can see.
    @inline(__always)
    var changeCount: UInt64 { changes.load(ordering: .acquiring) }

    /// Whether what the registry holds may be answered.
    @inline(__always)
    func isVouchedFor(now: Int64) -> Bool { now <= vouchedUntil.load(ordering: .relaxed) }

    /// False while the registry waits for its first content.
    @inline(__always)
    var isFilled: Bool { filled.load(ordering: .acquiring) }

    var currentZoneGeneration: UInt64 { zoneGeneration.load(ordering: .acquiring) }
    var currentZones: ZoneTable { zoneTable.withLock { $0 } }

    /// How the cold path answered.
    enum Reply {
        /// Published: valid until the caller leaves its epoch.
        case published(AnswerBlock, zone: Int)
        /// For this question alone.
        case composed(ComposedAnswer, zone: Int)
        case nxdomain(zone: Int)
        case forward
        /// The registry is not filled yet, or nobody vouches for it.
        case notReady
        case external(Set<ExternalQuestion>)
    }

    /// Answers a folded question from the tree, and publishes the answer where it may be kept.
    func resolve(
        _ question: [UInt8], _ type: RRType, now: Int64, unixSeconds: Int64,
        externals: [ExternalQuestion: ExternalAnswer] = [:]
    ) -> Reply {
        state.withLock { state in
            if !state.hasContent || !isVouchedFor(now: now), state.isOfRegistry(question) { return .notReady }
            var lookup = Lookup(
                question: question, type: type, now: now, unixSeconds: unixSeconds, externals: externals)
            switch state.resolve(&lookup) {
            case .nxdomain(let zone): return .nxdomain(zone: zone)
            case .forward: return .forward
            case .external(let missing): return .external(missing)
            case .answer(let answer, let index):
                guard let index, Self.isKept(type) else {
                    return .composed(answer, zone: state.zone(of: question) ?? 0)
                }
                let zone = Int(state.tree[index].published.zone)
                return .published(state.tree.publish(answer, at: index), zone: zone)
            }
        }
    }

    /// Types whose answers are kept at a name: the list is bounded, whatever types strangers ask for.
    private static func isKept(_ type: RRType) -> Bool {
        switch type {
        case .a, .aaaa, .srv, .txt, .mx, .cname, .ptr, .ns, .hinfo, .svcb, .https, .dnskey, .ds: true
        default: false
        }
    }
}
