import DNSServer
import EtcdAPI
import GRPC
import HTTPAdmin

/// The figures of the parts as Prometheus families.
enum ServerMetrics {
    static func dns(_ dns: DNSServerService) -> [MetricFamily] {
        let values = dns.totals.values
        func sum(_ name: String) -> Int { Int(clamping: values.first { $0.name == name }?.value ?? 0) }
        let answers = ["answered", "nodata", "nxdomain", "refused", "formerr", "servfail", "other", "dropped"]
        var families = [
            counter("regdns_dns_queries_total", "Queries received over UDP and TCP.", sum("queries")),
            MetricFamily(
                "regdns_dns_responses_total", .counter, help: "Answers by outcome.",
                samples: answers.map { MetricSample(sum($0), labels: [("outcome", $0)]) }),
            counter("regdns_dns_truncated_total", "Answers with TC.", sum("truncated")),
            counter(
                "regdns_dns_preserved_total", "Answers made only of leases that are over and preserved.",
                sum("preserved")),
            counter("regdns_dns_composed_total", "Answers composed because the name had changed.", sum("composed")),
            counter("regdns_dns_unsent_total", "Answers the kernel would not take.", sum("unsent")),
            gauge("regdns_dns_names", "Owner names in the view.", dns.view.counts.names),
            gauge("regdns_dns_retired_blocks", "Replaced answers waiting for their readers.", dns.view.counts.retired),
        ]
        for (name, value) in dns.transportCounts {
            let kind: MetricFamily.Kind = name.hasSuffix("_total") ? .counter : .gauge
            families.append(
                MetricFamily("regdns_dns_\(name)", kind, help: "DNS transport: \(name).", value: Int(clamping: value)))
        }
        return families
    }

    static func forwarder(_ counters: ForwarderCounters) -> [MetricFamily] {
        [
            counter("regdns_forward_queries_total", "Questions for the forwarders.", counters.queries),
            MetricFamily(
                "regdns_forward_cache_total", .counter, help: "Looks into the cache of forwarded answers.",
                samples: [
                    MetricSample(counters.cacheHits, labels: [("outcome", "hit")]),
                    MetricSample(counters.cacheMisses, labels: [("outcome", "miss")]),
                    MetricSample(counters.cacheStale, labels: [("outcome", "stale")]),
                ]),
            counter(
                "regdns_forward_cache_evictions_total", "Answers given up at the cache's bound.",
                counters.cacheEvictions),
            gauge("regdns_forward_cache_entries", "Answers in the cache.", counters.cacheEntries),
            counter("regdns_forward_upstream_queries_total", "Queries sent to forwarders.", counters.upstreamQueries),
            counter("regdns_forward_retries_total", "Questions asked again.", counters.retries),
            counter("regdns_forward_timeouts_total", "Queries without an answer in time.", counters.timeouts),
            counter("regdns_forward_tcp_fallbacks_total", "Questions asked again over TCP.", counters.tcpFallbacks),
            counter("regdns_forward_coalesced_total", "Questions that joined an equal one.", counters.coalesced),
            counter("regdns_forward_dropped_total", "Questions refused at a bound.", counters.dropped),
            counter(
                "regdns_forward_unsuitable_packets_total", "Packets that did not answer what was asked.",
                counters.unsuitablePackets),
            gauge("regdns_forward_in_flight", "Questions under way.", counters.inFlight),
        ]
    }

    static func etcd(_ counters: EtcdCounters) -> [MetricFamily] {
        let samples = counters.requests.sorted { $0.key < $1.key }.flatMap { method, outcomes in
            [
                ("served", outcomes.served), ("refused", outcomes.refused), ("not_available", outcomes.notAvailable),
                ("failed", outcomes.failed),
            ].map { MetricSample($0.1, labels: [("method", method), ("outcome", $0.0)]) }
        }
        return [
            MetricFamily("regdns_etcd_requests_total", .counter, help: "Requests of the etcd doors.", samples: samples),
            gauge("regdns_etcd_connections", "Open connections of the etcd port.", counters.connectionsOpen),
            counter(
                "regdns_etcd_connections_over_limit_total", "Connections closed at the bound.",
                counters.connectionsOverLimit),
            counter("regdns_etcd_http2_connections_total", "HTTP/2 connections.", counters.http2Connections),
            gauge("regdns_etcd_watches", "Watches of the v2 API open now.", counters.watches),
            counter("regdns_etcd_watches_refused_total", "Watches refused at the bound.", counters.watchesRefused),
            counter(
                "regdns_etcd_watches_cut_total", "Watches ended because their client did not keep up.",
                counters.watchesCut),
            counter("regdns_etcd_malformed_requests_total", "Requests that were no HTTP.", counters.malformedRequests),
        ] + grpc(counters.grpc) + v3(counters.v3) + (counters.wide.map(wide) ?? [])
    }

    private static func wide(_ counts: WideKeyspace.Counts) -> [MetricFamily] {
        [
            gauge(
                "regdns_etcd_wide_followed", "Whether all keys of the cluster are followed for v2 requests.",
                counts.isFollowed ? 1 : 0),
            counter("regdns_etcd_wide_starts_total", "Times that they began to be followed.", counts.starts),
            counter("regdns_etcd_wide_refused_total", "Requests refused for want of them.", counts.refused),
            counter("regdns_etcd_wide_over_limit_total", "Times that they were too many.", counts.overLimit),
        ]
    }

    private static func v3(_ counters: EtcdV3Counters) -> [MetricFamily] {
        [
            gauge("regdns_etcd_v3_watch_streams", "Streams of watches open now.", counters.watchStreams),
            gauge("regdns_etcd_v3_watches", "Watches of the v3 API open now.", counters.watchers),
            counter("regdns_etcd_v3_watch_events_total", "Events sent to watches.", counters.watchEvents),
            counter("regdns_etcd_v3_watch_responses_total", "Responses with events.", counters.watchResponses),
            counter(
                "regdns_etcd_v3_watches_over_limit_total", "Watches refused at a bound.", counters.watchersOverLimit),
            counter(
                "regdns_etcd_v3_watches_behind_total", "Times a watch had to read on from an earlier place.",
                counters.watchersBehind),
            counter(
                "regdns_etcd_v3_watches_compacted_total", "Watches cancelled since their history is gone.",
                counters.watchersCompacted),
            counter(
                "regdns_etcd_v3_streams_unread_total", "Streams ended since their answers were not read.",
                counters.streamsUnread),
            counter(
                "regdns_etcd_v3_locks_refused_total", "Transactions refused since they make a lock.",
                counters.locksRefused),
        ]
    }

    private static func grpc(_ counters: GRPCCounters) -> [MetricFamily] {
        let calls = counters.calls.sorted { $0.key.rawValue < $1.key.rawValue }.map {
            MetricSample($0.value, labels: [("code", "\($0.key)")])
        }
        let cuts = [
            ("flood", counters.connectionsFlooding), ("malformed", counters.connectionsMalformed),
            ("idle", counters.deadlinesIdle), ("no_answer_to_ping", counters.deadlinesKeepalive),
            ("unread", counters.deadlinesUnread),
        ].map { MetricSample($0.1, labels: [("reason", $0.0)]) }
        let refusals = [
            ("not_grpc", counters.notCalls), ("message_size", counters.messagesOverLimit),
            ("memory", counters.memoryOverLimit), ("slow_request", counters.deadlinesReceiving),
            ("unread_answer", counters.deadlinesSending),
        ].map { MetricSample($0.1, labels: [("reason", $0.0)]) }
        return [
            MetricFamily(
                "regdns_grpc_calls_total", .counter, help: "Calls that have ended, by status.", samples: calls),
            gauge("regdns_grpc_calls", "Calls under way.", counters.callsOpen),
            counter("regdns_grpc_messages_received_total", "Messages received.", counters.messagesReceived),
            counter("regdns_grpc_messages_sent_total", "Messages sent.", counters.messagesSent),
            MetricFamily("regdns_grpc_calls_refused_total", .counter, help: "Calls refused or cut.", samples: refusals),
            MetricFamily("regdns_grpc_connections_cut_total", .counter, help: "Connections cut.", samples: cuts),
        ]
    }

    private static func counter(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
        MetricFamily(name, .counter, help: help, value: value)
    }

    private static func gauge(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
        MetricFamily(name, .gauge, help: help, value: value)
    }
}
