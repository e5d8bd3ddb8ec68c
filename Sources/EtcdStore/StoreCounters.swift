import Synchronization

/// What the store has done since the start.
package final class StoreCounters: Sendable {
    let connects = Atomic<Int>(0)
    let losses = Atomic<Int>(0)
    let lists = Atomic<Int>(0)
    let compactions = Atomic<Int>(0)
    let historyChanges = Atomic<Int>(0)
    let audits = Atomic<Int>(0)
    let repairs = Atomic<Int>(0)
    let events = Atomic<Int>(0)
    let refusedKeys = Atomic<Int>(0)
    let overLimit = Atomic<Int>(0)
    let writes = Atomic<Int>(0)
    let failedWrites = Atomic<Int>(0)
    let lateWrites = Atomic<Int>(0)
    let renewals = Atomic<Int>(0)
    let leaseQuestions = Atomic<Int>(0)
    let droppedRevocations = Atomic<Int>(0)
    let proxiedCalls = Atomic<Int>(0)
    let proxiedStreams = Atomic<Int>(0)
    let proxyFailures = Atomic<Int>(0)
    let proxyConnects = Atomic<Int>(0)
    let unsentRequests = Atomic<Int>(0)

    /// By name, for metrics.
    package var values: [(name: String, value: Int)] {
        func read(_ counter: borrowing Atomic<Int>) -> Int { counter.load(ordering: .relaxed) }
        return [
            ("connects", read(connects)), ("losses", read(losses)), ("lists", read(lists)),
            ("compactions", read(compactions)), ("history_changes", read(historyChanges)), ("audits", read(audits)),
            ("repairs", read(repairs)), ("events", read(events)), ("refused_keys", read(refusedKeys)),
            ("contents_over_limit", read(overLimit)),
            ("writes", read(writes)), ("failed_writes", read(failedWrites)), ("late_writes", read(lateWrites)),
            ("renewals", read(renewals)), ("lease_questions", read(leaseQuestions)),
            ("dropped_revocations", read(droppedRevocations)),
            ("proxied_calls", read(proxiedCalls)), ("proxied_streams", read(proxiedStreams)),
            ("proxy_failures", read(proxyFailures)), ("proxy_connects", read(proxyConnects)),
            ("proxy_streams_over_limit", read(unsentRequests)),
        ]
    }
}

extension Atomic<Int> {
    borrowing func count(_ number: Int = 1) { add(number, ordering: .relaxed) }
}
