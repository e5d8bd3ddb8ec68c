import DNSWire

extension ServiceHost {
    /// Reads a host as SkyDNS does (Go's `net.ParseIP`): an address when it is one, otherwise a name. IPv4-mapped IPv6
    /// counts as IPv4; `127.0.0.257`, leading zeros and zones make a name; empty text is no host.
    package init(text: String) {
        let bytes = Array(text.utf8)[...]
        if bytes.isEmpty {
            self = .none
        } else if let address = IPAddressText.ipv4(bytes) {
            self = .ipv4(address)
        } else if let (high, low) = IPAddressText.ipv6(bytes) {
            self = ServiceHost.ipv6(high, low).canonical
        } else {
            self = .name(text)
        }
    }

    /// IPv4 for an IPv4-mapped IPv6 address, none for an empty name, otherwise the same.
    package var canonical: ServiceHost {
        switch self {
        case .ipv6(0, let low) where low >> 32 == 0xffff: return .ipv4(UInt32(truncatingIfNeeded: low))
        case .name(""): return .none
        default: return self
        }
    }

    /// The host as text: dotted quad, RFC 5952, the name as stored, or nothing.
    package var text: String {
        switch self {
        case .none: return ""
        case .ipv4(let address): return IPAddressText.format(ipv4: address)
        case .ipv6(let high, let low): return IPAddressText.formatGroups(ipv6: (high, low))
        case .name(let name): return name
        }
    }
}
