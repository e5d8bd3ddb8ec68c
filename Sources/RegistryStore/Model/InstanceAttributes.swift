/// What the registry dialects know of an instance beyond its DNS answer. Immutable and shared by the entry's revisions.
package final class InstanceAttributes: Hashable, Sendable {
    /// Service name as registered (not yet mapped to a DNS label).
    package let service: String
    /// Instance id, unique per namespace.
    package let id: String
    package let tags: [String]
    /// Status text as stored; empty where the dialect allows none.
    package let status: String
    /// Endpoint type: `tcp`, `udp`, `http`, `https`, `user`, or a catalog's own word.
    package let endpointType: String
    /// Endpoint value exactly as registered; opaque text for Amalgam8.
    package let endpoint: String
    /// Metadata as compact JSON text; nil when none was given, `null` is kept.
    package let metadata: [UInt8]?
    /// Fields of one dialect that no other needs, as a compact JSON object (Eureka's instance, Consul's checks).
    package let extra: [UInt8]?
    /// Which door or catalog wrote it: `amalgam8`, `eureka`, `consul`, `docker`, …
    package let origin: String

    package init(
        service: String, id: String, tags: [String] = [], status: String = "UP", endpointType: String, endpoint: String,
        metadata: [UInt8]? = nil, extra: [UInt8]? = nil, origin: String = "amalgam8"
    ) {
        self.service = service
        self.id = id
        self.tags = tags
        self.status = status
        self.endpointType = endpointType
        self.endpoint = endpoint
        self.metadata = metadata
        self.extra = extra
        self.origin = origin
    }

    /// Whether the DNS answers with this instance: `UP` in any letter case; an absent status counts as UP.
    package var isAnswering: Bool { status.isEmpty || status.lowercased() == "up" }

    package static func == (a: InstanceAttributes, b: InstanceAttributes) -> Bool {
        a === b
            || (a.service == b.service && a.id == b.id && a.tags == b.tags && a.status == b.status
                && a.endpointType == b.endpointType && a.endpoint == b.endpoint && a.metadata == b.metadata
                && a.extra == b.extra && a.origin == b.origin)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(service)
        hasher.combine(id)
    }
}
