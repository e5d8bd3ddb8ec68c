import DNSWire
import RegistryStore

/// SRV, MX and NS answers: targets with their addresses in the additional section.
extension ViewState {
    /// Answers and additionals of one question.
    struct Sections {
        var answers: [PlainRecord] = []
        var authorities: [PlainRecord] = []
        var additionals: [PlainRecord] = []
        /// Several answers get one TTL, capped by the configured one (SkyDNS); not zone data, nor chains it does not
        /// know.
        var unifiesTTL = true
    }

    /// TTL in seconds of addresses that forwarders gave for targets (SkyDNS's rcache_ttl).
    private static let externalTargetTTL: UInt32 = 60

    mutating func serviceRecords(_ members: [Member], owner: [UInt8], _ lookup: inout Lookup) -> Sections {
        // What has text alone is no target, and so has no share.
        let members = members.filter { $0.registration.host != .none }
        var weights: [Int: Int] = [:]
        for member in members { weights[priority(of: member), default: 0] += weight(of: member) }
        var sections = Sections()
        var seen = Set<[UInt8]>()
        for member in members {
            let registration = member.registration
            // SkyDNS's order of operations, in floating point: 100 / sum x own, rounded down.
            let share = 100.0 / Double(weights[priority(of: member)] ?? 100) * Double(weight(of: member))
            guard let target = target(of: member) else { continue }
            let data = PlainRecord.Data.srv(
                UInt16(truncatingIfNeeded: priority(of: member)), UInt16(truncatingIfNeeded: Int(share.rounded(.down))),
                UInt16(truncatingIfNeeded: registration.port), target)
            sections.answers.append(
                .init(
                    owner: owner, type: .srv, ttl: ttl(of: member), deadlineSlot: member.entry.deadlineSlot, data: data)
            )
            addAddresses(of: member, target: target, seen: &seen, to: &sections, &lookup)
        }
        return sections
    }

    mutating func mailRecords(_ members: [Member], owner: [UInt8], _ lookup: inout Lookup) -> Sections {
        var sections = Sections()
        var seen = Set<[UInt8]>()
        for member in members where member.registration.mail {
            guard let target = target(of: member) else { continue }
            sections.answers.append(
                .init(
                    owner: owner, type: .mx, ttl: ttl(of: member), deadlineSlot: member.entry.deadlineSlot,
                    data: .mx(UInt16(truncatingIfNeeded: priority(of: member)), target)))
            addAddresses(of: member, target: target, seen: &seen, to: &sections, &lookup)
        }
        return sections
    }

    /// The name servers of the domain: the entries below `ns.dns.<domain>`; one that is no address is passed over.
    mutating func nameServerRecords(owner: [UInt8], _ lookup: inout Lookup) -> Sections {
        guard let name = TreeName.make(labels: [Array("ns".utf8), Array("dns".utf8)], under: owner),
            let index = tree.index(of: name)
        else { return Sections() }
        var sections = Sections()
        for member in Self.grouped(members(below: index, &lookup)) {
            guard let address = addressRecord(of: member, owner: member.name) else { continue }
            sections.answers.append(
                .init(
                    owner: owner, type: .ns, ttl: ttl(of: member), deadlineSlot: member.entry.deadlineSlot,
                    data: .name(member.name)))
            sections.additionals.append(address)
        }
        return sections
    }

    /// Addresses of a target for the additional section: the member's own, or what its name leads to, once per name.
    private mutating func addAddresses(
        of member: Member, target: [UInt8], seen: inout Set<[UInt8]>, to sections: inout Sections,
        _ lookup: inout Lookup
    ) {
        if let address = addressRecord(of: member, owner: target) {
            sections.additionals.append(address)
            return
        }
        guard seen.insert(TreeName.folded(target)).inserted else { return }
        lookup.dependsOnOthers = true
        let folded = TreeName.folded(target)
        if let place = place(of: folded) {
            sections.additionals += records(at: place, owner: target, types: [.a, .aaaa], chain: [folded], &lookup)
        } else if zone(of: folded) == nil {
            if let answer = external(target, .a, &lookup), answer.succeeded {
                sections.additionals += answer.records.map(Self.targetRecord)
            }
            if let answer = external(target, .aaaa, &lookup), answer.succeeded {
                sections.additionals += answer.records.filter { $0.type != .cname }.map(Self.targetRecord)
            }
        }
    }

    private static func targetRecord(_ record: ExternalAnswer.Record) -> PlainRecord {
        var plain = plain(record)
        plain.ttl = externalTargetTTL
        return plain
    }

    /// The A or AAAA record of a member with an address host.
    func addressRecord(of member: Member, owner: [UInt8]) -> PlainRecord? {
        let slot = member.entry.deadlineSlot
        switch member.registration.host {
        case .ipv4(let address):
            return .init(owner: owner, type: .a, ttl: ttl(of: member), deadlineSlot: slot, data: .ipv4(address))
        case .ipv6(let high, let low):
            return .init(owner: owner, type: .aaaa, ttl: ttl(of: member), deadlineSlot: slot, data: .ipv6(high, low))
        case .name, .none: return nil
        }
    }

    /// SRV and MX target: the member's own name for an address host, else the host; stripped as the value says.
    private func target(of member: Member) -> [UInt8]? {
        switch member.registration.host {
        case .ipv4, .ipv6: return TreeName.stripped(member.name, member.registration.targetStrip)
        case .name(let text):
            return TreeName.make(text: text).map { TreeName.stripped($0, member.registration.targetStrip) }
        case .none: return nil
        }
    }

    private func priority(of member: Member) -> Int {
        member.registration.priority == 0 ? configuration.priority : member.registration.priority
    }

    /// Weights outside what SRV holds cannot be summed safely, so they are clamped to its range.
    private func weight(of member: Member) -> Int {
        member.registration.weight == 0 ? 100 : max(0, min(member.registration.weight, 65_535))
    }
}
