import DNSWire
import RegistryStore

/// Which owner names an entry has (INTERFACE section 4), in exact wire form.
struct EntryNames {
    let layout: KeyLayout
    /// The domain of the default namespace, wire form.
    let domain: [UInt8]

    /// The names in the tree at which the entry is a leaf; empty for what the DNS does not answer.
    func names(of entry: Entry) -> [[UInt8]] {
        guard entry.namespace == .default, let registration = entry.registration, registration.isAnswered else {
            return []
        }
        var names: [[UInt8]] = []
        if let instance = registration.instance {
            let own = KeyLayout.dnsLabel(instance.id)
            let service = KeyLayout.dnsLabel(instance.service)
            for labels in [[own, service]] + instance.tags.map({ [own, service, KeyLayout.dnsLabel($0)] }) {
                if let name = TreeName.make(labels: labels, under: domain), !names.contains(name) { names.append(name) }
            }
            // The key of a registration of the dialects is the store's business; a key that an etcd door wrote has its
            // name.
            if entry.storedValue == nil { return names }
        }
        if let name = layout.ownerName(ofKey: entry.key), !names.contains(name) { names.append(name) }
        return names
    }

    /// The address whose reverse name points to this entry: registrations of the dialects and catalogs only.
    func reverseAddress(of entry: Entry) -> ServiceHost? {
        guard entry.namespace == .default, let registration = entry.registration, let instance = registration.instance,
            instance.isAnswering
        else { return nil }
        switch registration.host {
        case .ipv4, .ipv6: return registration.host
        case .none, .name: return nil
        }
    }
}

/// Reverse names and the addresses they mean.
enum ReverseName {
    private static let inAddr: [UInt8] = Array("\u{07}in-addr\u{04}arpa\u{00}".utf8)
    private static let ip6: [UInt8] = Array("\u{03}ip6\u{04}arpa\u{00}".utf8)

    /// Whether a folded name is below in-addr.arpa or ip6.arpa.
    static func isReverse(_ name: [UInt8]) -> Bool {
        TreeName.isSubdomain(name, of: inAddr) || TreeName.isSubdomain(name, of: ip6)
    }

    /// The address of a complete reverse name (RFC 1035 section 3.5, RFC 3596 section 2.5); nil for others.
    static func address(_ name: [UInt8]) -> ServiceHost? {
        let labels = TreeName.labels(of: name)
        if TreeName.isSubdomain(name, of: inAddr), labels.count == 6 {
            var value: UInt32 = 0
            for label in labels.prefix(4).reversed() {
                guard let text = String(validating: label, as: UTF8.self), let octet = UInt8(text),
                    String(octet) == text
                else { return nil }
                value = value << 8 | UInt32(octet)
            }
            return .ipv4(value)
        }
        if TreeName.isSubdomain(name, of: ip6), labels.count == 34 {
            var high: UInt64 = 0
            var low: UInt64 = 0
            for (place, label) in labels.prefix(32).reversed().enumerated() {
                guard label.count == 1, let text = String(validating: label, as: UTF8.self),
                    let nibble = UInt64(text, radix: 16)
                else { return nil }
                if place < 16 { high = high << 4 | nibble } else { low = low << 4 | nibble }
            }
            return .ipv6(high, low)
        }
        return nil
    }
}
