import HTTPAdmin
import Memberlist
import Replication

/// The figures of the gossip as Prometheus families.
enum GossipMetrics {
    static func families(_ view: GossipView) -> [MetricFamily] {
        members(view) + traffic(view.transport) + drops(view.core, view.transport) + protocolCounts(view.core)
            + queues(view)
    }

    private static func members(_ view: GossipView) -> [MetricFamily] {
        let states = NodeState.allCases.map { state in
            MetricSample(view.members.count { $0.state == state }, labels: [("state", "\(state)")])
        }
        let trips = view.roundTrips.sorted { $0.key < $1.key }.map { name, microseconds in
            MetricSample(Double(microseconds) / 1_000_000, labels: [("node", "\(name)")])
        }
        return [
            family("members", .gauge, "Members by state, this node included.", states),
            family("probe_rtt_seconds", .gauge, "Round trip of the last ping.", trips),
            gauge("health_score", "Of this node: 0 is well, 7 is worst.", view.health),
            gauge("keys", "Keys that open; 0 when nothing is encrypted.", view.keys.ring.keys.count),
            gauge("key_epoch", "Number of the passphrase's key.", Int(view.keys.epoch)),
        ]
    }

    private static func protocolCounts(_ core: CoreCounters) -> [MetricFamily] {
        [
            counter("probes", "Members probed.", core.probes),
            counter("failed_probes", "Probes without an answer.", core.failedProbes),
            counter("suspects", "Members taken for suspect.", core.suspicions),
            counter("deaths", "Members taken for dead.", core.deaths),
            counter("false_deaths", "Members taken for dead that were not.", core.falseDeaths),
            counter("refutations", "Times that this node was accused and objected.", core.refutations),
            counter("conflicts", "Claims of a name that is another's.", core.conflicts),
            counter("push_pulls", "Views exchanged.", core.pushPulls),
            counter("failed_push_pulls", "Views that a peer did not answer.", core.failedPushPulls),
            counter("view_repairs", "Views asked for since an ack told of another one.", core.viewRepairs),
            counter("refused_merges", "Views refused for their versions.", core.refusedMerges),
            counter("pauses", "Times that the process stood still.", core.pauses),
            counter("relayed_messages", "Messages of serf's passed on.", core.relayedUserMessages),
        ]
    }

    private static func traffic(_ transport: TransportCounters) -> [MetricFamily] {
        func ways(_ received: Int, _ sent: Int) -> [MetricSample] {
            [MetricSample(received, labels: [("way", "in")]), MetricSample(sent, labels: [("way", "out")])]
        }
        return [
            family("packets_total", .counter, "Packets.", ways(transport.packetsIn, transport.packetsOut)),
            family(
                "packet_bytes_total", .counter, "Their octets.",
                ways(transport.packetBytesIn, transport.packetBytesOut)),
            family("streams_total", .counter, "Streams.", ways(transport.streamsIn, transport.streamsOut)),
            family(
                "stream_bytes_total", .counter, "Their octets.",
                ways(transport.streamBytesIn, transport.streamBytesOut)),
            family(
                "decrypt_failures_total", .counter, "What no key opens.",
                [
                    MetricSample(transport.undecryptable, labels: [("kind", "packet")]),
                    MetricSample(transport.undecryptableStreams, labels: [("kind", "stream")]),
                ]),
        ]
    }

    private static func drops(_ core: CoreCounters, _ transport: TransportCounters) -> [MetricFamily] {
        let reasons: [(String, Int)] = [
            ("wrong_label", transport.wrongLabel), ("malformed_packet", transport.malformedPackets),
            ("malformed_part", transport.malformedParts), ("stranger_packet", transport.strangersPackets),
            ("unsent_packet", transport.unsentPackets), ("unsendable_packet", transport.unsendablePackets),
            ("socket_error", transport.socketErrors), ("stranger_stream", transport.strangersStreams),
            ("streams_limit", transport.streamsBeyondLimit), ("silent_stream", transport.silentStreamsEvicted),
            ("stream_bytes_limit", transport.streamBytesBeyondLimit), ("stream_timeout", transport.streamsTimedOut),
            ("malformed_stream", transport.malformedStreams), ("unknown_stream", transport.unknownStreams),
            ("own_streams_limit", transport.ownStreamsBeyondLimit), ("failed_dial", transport.failedDials),
            ("event", transport.eventsDropped), ("readers_limit", transport.readersBeyondLimit),
            ("invalid_member", core.invalidMembers), ("members_limit", core.membersBeyondLimit),
            ("relays_limit", core.relaysBeyondLimit), ("dials_limit", core.dialsBeyondLimit),
            ("seeds_limit", core.seedsBeyondLimit), ("foreign_message", core.foreignUserMessages),
            ("message_too_long", core.messagesTooLong),
        ]
        return [
            family(
                "dropped_total", .counter, "What was not taken, sent, or kept, by reason.",
                reasons.map { MetricSample($0.1, labels: [("reason", $0.0)]) })
        ]
    }

    private static func queues(_ view: GossipView) -> [MetricFamily] {
        func kinds(_ own: Int, _ user: Int) -> [MetricSample] {
            [MetricSample(own, labels: [("kind", "membership")]), MetricSample(user, labels: [("kind", "user")])]
        }
        return [
            family(
                "queue_messages", .gauge, "Messages that wait to be gossiped.",
                kinds(view.queue.messages, view.userQueue.messages)),
            family("queue_bytes", .gauge, "Their octets.", kinds(view.queue.bytes, view.userQueue.bytes)),
            counter("queue_dropped", "Messages dropped at the queues' bounds.", view.queueDropped),
        ]
    }

    private static func family(
        _ name: String, _ kind: MetricFamily.Kind, _ help: String, _ samples: [MetricSample]
    ) -> MetricFamily {
        MetricFamily("regdns_gossip_\(name)", kind, help: help, samples: samples)
    }

    private static func gauge(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
        MetricFamily("regdns_gossip_\(name)", .gauge, help: help, value: value)
    }

    private static func counter(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
        MetricFamily("regdns_gossip_\(name)_total", .counter, help: help, value: value)
    }
}
