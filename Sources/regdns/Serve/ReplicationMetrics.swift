import HTTPAdmin
import RegistryStore
import Replication

/// The figures of the replication as Prometheus families.
enum ReplicationMetrics {
    static func families(_ status: ReplicationStatus) -> [MetricFamily] {
        operations(status.counters) + repairs(status.counters) + streams(status.sync) + leases(status)
            + present(status)
    }

    private static func operations(_ counters: ReplicatorCounters) -> [MetricFamily] {
        [
            family(
                "operations_total", .counter, "Operations of other nodes' messages, by what became of them.",
                [
                    MetricSample(counters.applied, labels: [("outcome", "applied")]),
                    MetricSample(counters.known, labels: [("outcome", "known")]),
                    MetricSample(counters.refused, labels: [("outcome", "refused")]),
                ]),
            histogram(counters.staleness),
            counter("announcements_sent", "Messages of changes sent.", counters.announcementsSent),
            family(
                "announcements_dropped_total", .counter, "Changes that digests tell of instead, by reason.",
                [
                    MetricSample(counters.announcementsLate, labels: [("reason", "late")]),
                    MetricSample(counters.announcementsBeyondLimit, labels: [("reason", "limit")]),
                    MetricSample(counters.announcementsTooLong, labels: [("reason", "too_long")]),
                ]),
        ]
    }

    private static func histogram(_ staleness: StalenessHistogram) -> MetricFamily {
        var sum = 0
        var samples: [MetricSample] = []
        for (place, count) in staleness.counts.enumerated() {
            sum += count
            let bound =
                place < StalenessHistogram.bounds.count
                ? "\(Double(StalenessHistogram.bounds[place]) / 1_000)" : "+Inf"
            samples.append(MetricSample(sum, labels: [("le", bound)], suffix: "_bucket"))
        }
        samples.append(MetricSample(Double(staleness.sumMilliseconds) / 1_000, suffix: "_sum"))
        samples.append(MetricSample(sum, suffix: "_count"))
        return family(
            "staleness_seconds", .histogram, "How old an operation was when it came here first.", samples)
    }

    private static func repairs(_ counters: ReplicatorCounters) -> [MetricFamily] {
        [
            counter("digests_sent", "Digests sent.", counters.digestsSent),
            counter("digest_mismatch", "Digests of peers that had something else.", counters.digestMismatches),
            counter("packet_sessions", "Differences asked for by packets.", counters.packetSessions),
            counter("packet_sessions_failed", "Those that went over to a stream.", counters.packetSessionsFailed),
            counter("divergence", "Times that peers with one context had other entries.", counters.divergences),
            counter("repairs", "Contents taken over since they differed so.", counters.repairs),
            counter("fresh_starts", "Times that this node was alone for too long.", counters.freshStarts),
            counter("standstills", "Times that the process had stood still.", counters.standstills),
            family(
                "messages_dropped_total", .counter, "Messages that were not taken, by reason.",
                [
                    MetricSample(counters.badFrames, labels: [("reason", "malformed")]),
                    MetricSample(counters.unknownVersions, labels: [("reason", "version")]),
                    MetricSample(counters.unknownKinds, labels: [("reason", "kind")]),
                    MetricSample(counters.strangers, labels: [("reason", "stranger")]),
                ]),
        ]
    }

    private static func streams(_ sync: SyncCounters) -> [MetricFamily] {
        func sides(_ value: (SyncCounters.Side) -> Int) -> [MetricSample] {
            [
                MetricSample(value(sync.pulled), labels: [("side", "pulled")]),
                MetricSample(value(sync.served), labels: [("side", "served")]),
            ]
        }
        func seconds(_ side: SyncCounters.Side, _ name: String) -> MetricSample {
            MetricSample(side.seconds, labels: [("side", name)])
        }
        return [
            family("sync_started_total", .counter, "Sync streams begun.", sides(\.started)),
            family("sync_completed_total", .counter, "Those that came to their end.", sides(\.completed)),
            family("sync_aborted_total", .counter, "Those that did not.", sides(\.aborted)),
            family("sync_busy_total", .counter, "Those that were put off.", sides(\.busy)),
            family("sync_reset_total", .counter, "Those of everything.", sides(\.resets)),
            family("sync_operations_total", .counter, "Operations in them.", sides(\.operations)),
            family(
                "sync_seconds_total", .counter, "The time they took.",
                [seconds(sync.pulled, "pulled"), seconds(sync.served, "served")]),
            family(
                "sync_bytes_total", .counter, "Their octets.",
                [
                    MetricSample(sync.bytesIn, labels: [("way", "in")]),
                    MetricSample(sync.bytesOut, labels: [("way", "out")]),
                ]),
            family(
                "sync_failures_total", .counter, "Sync streams given up, by reason.",
                [
                    ("limit", sync.streamsBeyondLimit), ("hello", sync.badHellos),
                    ("not_authentic", sync.notAuthentic), ("malformed", sync.malformed),
                    ("too_long", sync.messagesTooLong), ("stalled", sync.stalled), ("over_time", sync.overTime),
                    ("closed", sync.closed),
                ].map { MetricSample($0.1, labels: [("reason", $0.0)]) }),
        ]
    }

    private static func leases(_ status: ReplicationStatus) -> [MetricFamily] {
        [
            counter("leases_adopted", "Leases that this node became the home of.", status.leases.adopted),
            counter("leases_preserved", "Leases that were over and kept.", status.leases.preserved),
            counter("leases_ended_as_steward", "Leases of absent homes ended here.", status.leases.endedAsSteward),
            counter("heartbeat_batches", "Batches of heartbeats sent to homes.", status.leases.batches),
            counter("heartbeat_batches_repeated", "Batches sent again.", status.leases.repeats),
            counter("heartbeat_batches_unanswered", "Batches never answered.", status.leases.unanswered),
            counter("adoptions_failed", "Leases that could not be adopted.", status.counters.adoptionsFailed),
        ]
    }

    private static func present(_ status: ReplicationStatus) -> [MetricFamily] {
        let offset: Int64 =
            switch status.clock {
            case .fine: 0
            case .warn(let offset): offset
            case .fence(let fence): fence.offsetMilliseconds
            }
        return [
            gauge("peers", "Other members that replicate.", status.peers.count),
            gauge("ready", "Whether this node has what was there when it came.", status.phase == .ready ? 1 : 0),
            gauge("preserving", "Whether leases are kept although they are over.", status.preserves ? 1 : 0),
            gauge("leases_overdue", "Leases that are over and kept by this node now.", status.preservedLeases),
            family(
                "clock_offset_seconds", .gauge, "The others' clocks minus this one's, when it is over half a second.",
                [MetricSample(Double(offset) / 1_000)]),
            gauge("queue_keys", "Changes that wait to be announced.", status.queued.count),
            gauge("queue_bytes", "What they take.", status.queued.bytes),
            counter("inbox_dropped", "Messages that came faster than they were looked at.", status.messagesDropped),
        ]
    }

    private static func family(
        _ name: String, _ kind: MetricFamily.Kind, _ help: String, _ samples: [MetricSample]
    ) -> MetricFamily {
        MetricFamily("regdns_replication_\(name)", kind, help: help, samples: samples)
    }

    private static func gauge(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
        MetricFamily("regdns_replication_\(name)", .gauge, help: help, value: value)
    }

    private static func counter(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
        MetricFamily("regdns_replication_\(name)_total", .counter, help: help, value: value)
    }
}
