/// One service instance: the one type that every door maps to and from.
///
/// The first group of properties is SkyDNS's service value and decides the DNS answers; `instance` holds what the
/// registry dialects (Amalgam8, Eureka, Consul, catalogs) know beyond it. A plain SkyDNS value has no `instance`.
/// The life of a registration is its lease, held by the `Entry`; `ttl` here is only how long an answer may be cached.
package struct Registration: Hashable, Sendable {
    package var host: ServiceHost
    /// SRV port as stored; written to the wire modulo 65,536, as SkyDNS casts it.
    package var port: Int
    /// SRV priority and MX preference; 0 means the configured default.
    package var priority: Int
    /// SRV weight; 0 counts as 100.
    package var weight: Int
    package var text: String
    /// Also answers MX questions.
    package var mail: Bool
    /// Answer TTL in seconds; 0 means not set.
    package var ttl: UInt32
    /// Labels cut from the left of an SRV or MX target.
    package var targetStrip: Int
    package var group: String
    /// The registry attributes; nil for a plain SkyDNS value.
    package var instance: InstanceAttributes?

    package init(
        host: ServiceHost, port: Int = 0, priority: Int = 0, weight: Int = 0, text: String = "", mail: Bool = false,
        ttl: UInt32 = 0, targetStrip: Int = 0, group: String = "", instance: InstanceAttributes? = nil
    ) {
        self.host = host
        self.port = port
        self.priority = priority
        self.weight = weight
        self.text = text
        self.mail = mail
        self.ttl = ttl
        self.targetStrip = targetStrip
        self.group = group
        self.instance = instance
    }

    /// Whether the DNS answers anything with it.
    package var isAnswered: Bool {
        (host != .none || !text.isEmpty) && instance?.isAnswering != false
    }
}
