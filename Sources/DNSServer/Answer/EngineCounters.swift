import DNSWire
import Synchronization

/// What one thread counted since it last flushed.
struct EngineCounters {
    var queries: UInt64 = 0
    var answered: UInt64 = 0
    var nodata: UInt64 = 0
    var nxdomain: UInt64 = 0
    var refused: UInt64 = 0
    var formErr: UInt64 = 0
    var servFail: UInt64 = 0
    var otherRcode: UInt64 = 0
    var truncated: UInt64 = 0
    var dropped: UInt64 = 0
    /// Answers composed because nobody had asked since the name changed.
    var composed: UInt64 = 0
    /// Answers made only of what is over and preserved.
    var preserved: UInt64 = 0
    /// Answers the kernel would not take.
    var unsent: UInt64 = 0

    mutating func count(_ rcode: RCODE) {
        switch rcode {
        case .refused: refused &+= 1
        case .formErr: formErr &+= 1
        case .servFail: servFail &+= 1
        default: otherRcode &+= 1
        }
    }
}

/// The sums over all threads, for metrics and status.
package final class EngineTotals: Sendable {
    private let queries = Atomic<UInt64>(0)
    private let answered = Atomic<UInt64>(0)
    private let nodata = Atomic<UInt64>(0)
    private let nxdomain = Atomic<UInt64>(0)
    private let refused = Atomic<UInt64>(0)
    private let formErr = Atomic<UInt64>(0)
    private let servFail = Atomic<UInt64>(0)
    private let otherRcode = Atomic<UInt64>(0)
    private let truncated = Atomic<UInt64>(0)
    private let dropped = Atomic<UInt64>(0)
    private let composed = Atomic<UInt64>(0)
    private let preserved = Atomic<UInt64>(0)
    private let unsent = Atomic<UInt64>(0)

    package init() {}

    func add(_ counters: EngineCounters) {
        queries.add(counters.queries, ordering: .relaxed)
        answered.add(counters.answered, ordering: .relaxed)
        if counters.nodata > 0 { nodata.add(counters.nodata, ordering: .relaxed) }
        if counters.nxdomain > 0 { nxdomain.add(counters.nxdomain, ordering: .relaxed) }
        if counters.refused > 0 { refused.add(counters.refused, ordering: .relaxed) }
        if counters.formErr > 0 { formErr.add(counters.formErr, ordering: .relaxed) }
        if counters.servFail > 0 { servFail.add(counters.servFail, ordering: .relaxed) }
        if counters.otherRcode > 0 { otherRcode.add(counters.otherRcode, ordering: .relaxed) }
        if counters.truncated > 0 { truncated.add(counters.truncated, ordering: .relaxed) }
        if counters.dropped > 0 { dropped.add(counters.dropped, ordering: .relaxed) }
        if counters.composed > 0 { composed.add(counters.composed, ordering: .relaxed) }
        if counters.preserved > 0 { preserved.add(counters.preserved, ordering: .relaxed) }
        if counters.unsent > 0 { unsent.add(counters.unsent, ordering: .relaxed) }
    }

    /// Name and value of every sum.
    package var values: [(name: String, value: UInt64)] {
        [
            ("queries", queries.load(ordering: .relaxed)), ("answered", answered.load(ordering: .relaxed)),
            ("nodata", nodata.load(ordering: .relaxed)), ("nxdomain", nxdomain.load(ordering: .relaxed)),
            ("refused", refused.load(ordering: .relaxed)), ("formerr", formErr.load(ordering: .relaxed)),
            ("servfail", servFail.load(ordering: .relaxed)), ("other", otherRcode.load(ordering: .relaxed)),
            ("truncated", truncated.load(ordering: .relaxed)), ("dropped", dropped.load(ordering: .relaxed)),
            ("composed", composed.load(ordering: .relaxed)), ("preserved", preserved.load(ordering: .relaxed)),
            ("unsent", unsent.load(ordering: .relaxed)),
        ]
    }
}
