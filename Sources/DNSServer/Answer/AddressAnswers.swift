import DNSWire
import RegistryStore

/// A and AAAA answers, and the chains that lead to them (contracts of SkyDNS: its AddressRecords).
extension ViewState {
    /// CNAMEs in a chain at most.
    static let chainMax = 8

    /// The records for `owner` from the members given. `chain`: targets on the way here.
    mutating func addressRecords(
        owner: [UInt8], members: [Member], types: Set<RRType>, chain: [[UInt8]], _ lookup: inout Lookup
    ) -> [PlainRecord] {
        var records: [PlainRecord] = []
        records.reserveCapacity(members.count)
        for member in members {
            let slot = member.entry.deadlineSlot
            switch member.registration.host {
            case .ipv4(let address):
                guard types.contains(.a) else { continue }
                records.append(
                    .init(owner: owner, type: .a, ttl: ttl(of: member), deadlineSlot: slot, data: .ipv4(address)))
            case .ipv6(let high, let low):
                guard types.contains(.aaaa) else { continue }
                records.append(
                    .init(owner: owner, type: .aaaa, ttl: ttl(of: member), deadlineSlot: slot, data: .ipv6(high, low)))
            case .name(let text):
                // A host with a text and no usable name, or one that is no name, answers nothing.
                guard let target = TreeName.make(text: text) else { continue }
                let alias = PlainRecord(
                    owner: owner, type: .cname, ttl: ttl(of: member), deadlineSlot: slot, data: .name(target))
                records += chase(alias, target: target, types: types, chain: chain, keepsDangling: false, &lookup)
            case .none: continue
            }
        }
        return records
    }

    /// A CNAME with what its target has; nothing when the target leads nowhere, unless dangling ones are kept.
    mutating func chase(
        _ alias: PlainRecord, target: [UInt8], types: Set<RRType>, chain: [[UInt8]], keepsDangling: Bool,
        _ lookup: inout Lookup
    ) -> [PlainRecord] {
        let folded = TreeName.folded(target)
        let kept = keepsDangling ? [alias] : []
        guard folded != TreeName.folded(alias.owner), chain.count < Self.chainMax, !chain.contains(folded) else {
            return kept
        }
        guard lookup.chainBudget > 0 else {
            lookup.isPartial = true
            return kept
        }
        lookup.chainBudget -= 1
        lookup.dependsOnOthers = true
        if let place = place(of: folded) {
            let records = records(
                at: place, owner: target, types: types, chain: chain + [folded], &lookup)
            return records.isEmpty ? kept : [alias] + records
        }
        if zone(of: folded) != nil { return kept }
        var records: [PlainRecord] = []
        var succeeded = false
        for type in types.sorted(by: { $0.rawValue < $1.rawValue }) {
            guard let answer = external(target, type, &lookup), answer.succeeded else { continue }
            succeeded = true
            records += answer.records.map(Self.plain)
        }
        return succeeded ? [alias] + records : kept
    }

    /// Records of some types at a name of ours: registrations and zone data, CNAMEs followed.
    mutating func records(
        at index: ViewTree.Index, owner: [UInt8], types: Set<RRType>, chain: [[UInt8]], _ lookup: inout Lookup
    ) -> [PlainRecord] {
        var records: [PlainRecord] = []
        if let data = tree.zoneData[index], !data.isDelegation {
            if let alias = data[.cname], let target = alias.rdata.first, !types.contains(.cname) {
                let record = PlainRecord(owner: owner, type: .cname, ttl: alias.ttl, data: .name(target))
                return chase(record, target: target, types: types, chain: chain, keepsDangling: true, &lookup)
            }
            for type in types.sorted(by: { $0.rawValue < $1.rawValue }) {
                guard let rrset = data[type] else { continue }
                records += rrset.rdata.map {
                    .init(owner: owner, type: type, ttl: rrset.ttl, data: PlainRecord.data(type, $0))
                }
            }
        }
        if tree[index].members > 0 && !types.isDisjoint(with: [.a, .aaaa]) {
            let members = Self.grouped(members(below: index, &lookup))
            records += addressRecords(owner: owner, members: members, types: types, chain: chain, &lookup)
        }
        return records
    }

    /// The answer of the forwarders, if it is known already; otherwise it is noted as missing.
    func external(_ name: [UInt8], _ type: RRType, _ lookup: inout Lookup) -> ExternalAnswer? {
        guard configuration.forwards, TreeName.labelCount(name) >= configuration.ndots else { return nil }
        let question = ExternalQuestion(name: name, type: type)
        if let answer = lookup.externals[question] { return answer }
        lookup.missing.insert(question)
        return nil
    }

    static func plain(_ record: ExternalAnswer.Record) -> PlainRecord {
        .init(
            owner: record.owner, type: record.type, ttl: record.ttl, data: PlainRecord.data(record.type, record.rdata))
    }
}
