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

    mutating func count(_ rcode: RCODE) {
        switch rcode {
        case .refused: refused &+= 1
        case .formErr: formErr &+= 1
        case .servFail: servFail &+= 1
        default: otherRcode &+= 1
        }
    }
}

/// The sum over all threads, for metrics and status.
package final class EngineTotals: Sendable {
    private static let fields = 11
    private let sums: Mutex<[UInt64]> = Mutex(Array(repeating: 0, count: fields))

    package init() {}

    func add(_ counters: EngineCounters) {
        let values = [
            counters.queries, counters.answered, counters.nodata, counters.nxdomain, counters.refused, counters.formErr,
            counters.servFail, counters.otherRcode, counters.truncated, counters.dropped, counters.composed,
        ]
        sums.withLock { sums in for index in values.indices { sums[index] &+= values[index] } }
    }

    /// Name and value of every sum.
    package var values: [(name: String, value: UInt64)] {
        let names = [
            "queries", "answered", "nodata", "nxdomain", "refused", "formerr", "servfail", "other", "truncated", "dropped",
            "composed",
        ]
        return sums.withLock { Array(zip(names, $0)) }
    }
}
