package import DNSWire

/// What shapes the answers of the view (SkyDNS's settings, contracts of its section 15).
package struct ViewConfiguration: Sendable {
    /// The authoritative domain of the default namespace.
    package var domain: OwnerName
    /// SOA rname; `@` was turned into a dot.
    package var hostmaster: OwnerName
    /// Answer TTL in seconds when nothing shorter is known.
    package var ttl: UInt32 = 3600
    /// Negative TTL in seconds, the SOA minimum.
    package var minTTL: UInt32 = 60
    /// SRV priority and MX preference of values without one.
    package var priority: Int = 10
    /// The name `local.dns.<domain>` stands for; nil: an ordinary name.
    package var local: OwnerName?
    /// Names with fewer labels are not asked at the forwarders.
    package var ndots: Int = 2
    /// A and AAAA answers start at another record each time.
    package var roundRobin = true
    /// Answers of `stub.dns.<domain>` servers.
    package var stubZones = false
    /// Whether names of others are forwarded: RA in answers.
    package var forwards = true

    package init(domain: OwnerName, hostmaster: OwnerName) {
        self.domain = domain
        self.hostmaster = hostmaster
    }
}
