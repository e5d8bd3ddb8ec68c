import RegistryStore

/// Heartbeats on their way to the nodes that count the leases: collected for a moment, sent in batches, repeated until
/// they are answered, given up in the end.
struct HeartbeatOutbox: Sendable {
    /// By target in byte order.
    private var waiting: [(target: String, heartbeats: [LeaseID: Int64])] = []
    private var flying: [Batch] = []
    private var nextBatch: UInt64 = 1
    private var nextSend: Int64 = .min

    private struct Batch: Sendable {
        let number: UInt64
        let target: String
        /// When each heartbeat came.
        let heartbeats: [(id: LeaseID, at: Int64)]
        let sentAt: Int64
        var repeats = 0
    }

    /// What a tick brought.
    struct Sending {
        var frames: [LeaseEffect] = []
        var abandoned: [LeaseID] = []
        var batches = 0
        var repeats = 0
        var unanswered = 0
    }

    /// False when too much is waiting for answers.
    mutating func add(
        _ heartbeat: ForwardedHeartbeat, for target: String, _ settings: LeaseKeeperSettings
    ) -> Bool {
        guard flying.count < settings.batchesMax else { return false }
        guard let index = waiting.firstIndex(where: { sameName($0.target, target) }) else {
            waiting.append((target, [heartbeat.id: heartbeat.at]))
            waiting.sort { precedes($0.target, $1.target) }
            return true
        }
        waiting[index].heartbeats[heartbeat.id] = heartbeat.at
        return true
    }

    /// The leases of a batch that its target does not count. An answer from anybody else says nothing.
    mutating func answered(_ number: UInt64, by sender: String, refused: [LeaseID]) -> [LeaseID] {
        guard let index = flying.firstIndex(where: { $0.number == number && sameName($0.target, sender) }) else {
            return []
        }
        let batch = flying.remove(at: index)
        return refused.filter { id in batch.heartbeats.contains { $0.id == id } }
    }

    mutating func tick(_ now: Moment, _ settings: LeaseKeeperSettings) -> Sending {
        var sending = Sending()
        repeatBatches(now, settings, &sending)
        guard now.monotonic >= nextSend else { return sending }
        nextSend = now.monotonic &+ settings.batchInterval
        for (target, heartbeats) in waiting {
            let sorted = heartbeats.sorted { $0.key < $1.key }.map { (id: $0.key, at: $0.value) }
            for start in stride(from: 0, to: sorted.count, by: settings.batchMax) {
                let part = Array(sorted[start..<min(start + settings.batchMax, sorted.count)])
                let batch = Batch(number: nextBatch, target: target, heartbeats: part, sentAt: now.monotonic)
                nextBatch += 1
                flying.append(batch)
                sending.batches += 1
                sending.frames.append(Self.send(batch, now))
            }
        }
        waiting = []
        return sending
    }

    private mutating func repeatBatches(_ now: Moment, _ settings: LeaseKeeperSettings, _ sending: inout Sending) {
        for index in flying.indices {
            let age = now.monotonic &- flying[index].sentAt
            let due = settings.repeats.prefix { $0 <= age }.count
            guard due > flying[index].repeats, age < settings.adoptAfter else { continue }
            flying[index].repeats = due
            sending.repeats += 1
            sending.frames.append(Self.send(flying[index], now))
        }
        for batch in flying where now.monotonic &- batch.sentAt >= settings.adoptAfter {
            sending.unanswered += 1
            sending.abandoned += batch.heartbeats.map(\.id)
        }
        flying.removeAll { now.monotonic &- $0.sentAt >= settings.adoptAfter }
    }

    private static func send(_ batch: Batch, _ now: Moment) -> LeaseEffect {
        let renewals = batch.heartbeats.map {
            RenewFrame.Renewal(id: $0.id, ageMilliseconds: max(0, now.monotonic &- $0.at))
        }
        let hlc = UInt64(min(max(now.unix, 0), 1 << 48 - 1)) << 16
        return .send(
            Frame(.renew(RenewFrame(batch: batch.number, hlc: hlc, renewals: renewals))), to: batch.target)
    }
}
