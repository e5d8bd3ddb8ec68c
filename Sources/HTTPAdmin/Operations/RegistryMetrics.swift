package import RegistryStore

/// The store's figures for `/metrics` and `/api/v1/status`.
package enum RegistryMetrics {
    /// A provider that reads one store.
    package static func provider(_ registry: Registry) -> MetricProvider {
        { families(registry.counts()) }
    }

    /// What a person asks first, in order.
    package static func figures(_ counts: RegistryCounts) -> [(name: String, value: Int)] {
        [
            ("services", counts.services), ("instances", counts.instances), ("entries", counts.entries),
            ("namespaces", counts.namespaces), ("leases", counts.leases), ("expirations", counts.expirations),
            ("tombstones", counts.tombstones), ("skipped_values", counts.skippedValues),
        ]
    }

    package static func families(_ counts: RegistryCounts) -> [MetricFamily] {
        func gauge(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
            MetricFamily("regdns_registry_\(name)", .gauge, help: help, value: value)
        }
        func counter(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
            MetricFamily("regdns_registry_\(name)_total", .counter, help: help, value: value)
        }
        return [
            gauge("revision", "Node-local revision of the store.", Int(clamping: counts.revision)),
            gauge("namespaces", "Namespaces with entries.", counts.namespaces),
            gauge("entries", "Keys over all namespaces.", counts.entries),
            gauge("entry_bytes", "Estimated bytes of the entries.", counts.entryBytes),
            gauge("instances", "Entries that the HTTP dialects show.", counts.instances),
            gauge("services", "Distinct service names, per namespace.", counts.services),
            gauge("leases", "Leases alive.", counts.leases),
            gauge("tombstones", "Remembered removals.", counts.tombstones),
            gauge("tombstone_bytes", "Estimated bytes of the remembered removals.", counts.tombstoneBytes),
            gauge("feed_events", "Changes kept for watches that resume.", counts.feedEvents),
            gauge("feed_bytes", "Estimated bytes of the changes kept.", counts.feedBytes),
            gauge("waiters", "Tasks that wait for a change.", counts.waiters),
            gauge("skipped_values", "Values below the domain that do not decode.", counts.skippedValues),
            counter("skipped_values", "Values put that did not decode.", counts.skippedValuesTotal),
            counter("puts", "Keys written.", counts.puts),
            counter("deletes", "Keys deleted.", counts.deletes),
            counter("renewals", "Leases renewed.", counts.renewals),
            counter("expirations", "Entries that ran out.", counts.expirations),
            counter("refusals", "Writes refused.", counts.refusals),
            counter("tombstones_evicted", "Removals forgotten early, for memory.", counts.tombstonesEvicted),
            counter("feed_events_dropped", "Changes dropped from the feed by its bounds.", counts.feedEventsDropped),
        ]
    }
}
