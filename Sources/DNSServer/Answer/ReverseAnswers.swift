import DNSWire
import RegistryStore

/// Names outside every zone: reverse names of registrations and SkyDNS's arpa keys; everything else is forwarded.
extension ViewState {
    mutating func resolveOutside(_ lookup: inout Lookup) -> Resolution {
        guard lookup.type == .ptr, ReverseName.isReverse(lookup.question) else { return .forward }
        var records: [PlainRecord] = []
        var authoritative = false
        if let address = ReverseName.address(lookup.question) {
            for entry in reverse[address]?.entries ?? [] {
                guard let registration = entry.registration, let target = names.names(of: entry).first else { continue }
                let member = Member(entry: entry, registration: registration, name: target)
                authoritative = true
                records.append(
                    .init(
                        owner: lookup.question, type: .ptr, ttl: ttl(of: member), deadlineSlot: entry.deadlineSlot,
                        data: .name(target)))
            }
        }
        if let index = tree.index(of: lookup.question), tree[index].firstChild == ViewTree.none {
            for entry in tree[index].leaf.entries {
                guard let registration = entry.registration, let target = Self.hostName(registration.host) else {
                    continue
                }
                let member = Member(entry: entry, registration: registration, name: lookup.question)
                records.append(
                    .init(
                        owner: lookup.question, type: .ptr, ttl: ttl(of: member), deadlineSlot: entry.deadlineSlot,
                        data: .name(target)))
            }
        }
        guard !records.isEmpty else { return .forward }
        var sections = Sections()
        sections.answers = records
        var answer = compose(sections, &lookup)
        answer.authoritative = authoritative
        return .answer(answer, index: nil)
    }

    /// The host of an arpa key as a name, even when it is an address (SkyDNS).
    private static func hostName(_ host: ServiceHost) -> [UInt8]? {
        switch host {
        case .name(let text): TreeName.make(text: text)
        case .ipv4(let address):
            TreeName.make(
                text: [24, 16, 8, 0].map { String(UInt8(truncatingIfNeeded: address >> $0)) }.joined(separator: "."))
        case .ipv6, .none: nil
        }
    }
}
