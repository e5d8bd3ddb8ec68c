/// Where an instance runs, as the DNS sees it.
package enum ServiceHost: Hashable, Sendable {
    /// No host: text-only values, and endpoints the DNS cannot answer.
    case none
    /// An IPv4 address in host byte order; IPv4-mapped IPv6 text counts as IPv4, as in SkyDNS.
    case ipv4(UInt32)
    /// An IPv6 address, most significant half first.
    case ipv6(UInt64, UInt64)
    /// A domain name as stored: letter case kept, trailing dot optional.
    case name(String)
}
