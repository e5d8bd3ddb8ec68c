import DNSWire
import RegistryStore

/// The cold path: answers a question from the tree, under the view's lock.
extension ViewState {
    /// Resolves a folded question name. `lookup.missing` says what the forwarders must be asked.
    mutating func resolve(_ lookup: inout Lookup) -> Resolution {
        let name = lookup.question
        let encloser = closestEncloser(name)
        let zone = tree[encloser].published.zone
        guard zone >= 0 else { return resolveOutside(&lookup) }
        let found = tree.index(of: name)
        if let referral = referral(from: found ?? encloser, &lookup) { return referral }
        if let local = configuration.local, name == localAlias { return resolveLocal(local.wire, &lookup) }
        let hasZoneData = found.map { tree.zoneData[$0] != nil } ?? false
        if !hasZoneData, let pattern = WildcardPattern(name) {
            return resolveWildcard(pattern, zone: Int(zone), &lookup)
        }
        if let service = VirtualName(name, domain: zones.zones[Int(zone)].isDomain ? zones.zones[Int(zone)].apex : nil)
        {
            return resolveVirtual(service, found: found, zone: Int(zone), &lookup)
        }
        if let found { return resolve(at: found, owner: name, publishAt: found, &lookup) }
        if let wildcard = coveringWildcard(name) { return resolve(at: wildcard, owner: name, publishAt: nil, &lookup) }
        return .nxdomain(zone: Int(zone))
    }

    /// `local.dns.<domain>`, the host-local alias.
    var localAlias: [UInt8]? {
        TreeName.make(labels: [Array("local".utf8), Array("dns".utf8)], under: configuration.domain.wire)
    }

    private mutating func resolveLocal(_ local: [UInt8], _ lookup: inout Lookup) -> Resolution {
        guard let index = tree.index(of: local) else { return .nxdomain(zone: zone(of: lookup.question) ?? 0) }
        return resolve(at: index, owner: lookup.question, publishAt: nil, &lookup)
    }

    /// A referral when the name is at or below a delegation; DS is answered above the cut (RFC 4035 section 3.1.4.1).
    private mutating func referral(from index: ViewTree.Index, _ lookup: inout Lookup) -> Resolution? {
        guard tree[index].published.flags & NameNode.Flag.delegated != 0 else { return nil }
        var cut = index
        while tree.zoneData[cut]?.isDelegation != true {
            cut = tree[cut].parent
            if cut == ViewTree.none { return nil }
        }
        let cutName = tree.name(of: cut)
        if lookup.type == .ds && lookup.question == cutName { return nil }
        guard let servers = tree.zoneData[cut]?[.ns] else { return nil }
        var sections = Sections()
        sections.unifiesTTL = false
        for rdata in servers.rdata {
            sections.authorities.append(.init(owner: cutName, type: .ns, ttl: servers.ttl, data: .name(rdata)))
            guard let glue = tree.index(of: TreeName.folded(rdata)), let data = tree.zoneData[glue] else { continue }
            for type in [RRType.a, .aaaa] {
                guard let rrset = data[type] else { continue }
                sections.additionals += rrset.rdata.map {
                    .init(owner: rdata, type: type, ttl: rrset.ttl, data: .bytes($0))
                }
            }
        }
        var answer = compose(sections, &lookup)
        answer.authoritative = false
        return .answer(answer, index: nil)
    }

    /// Answers from what is at and below a node.
    mutating func resolve(
        at index: ViewTree.Index, owner: [UInt8], publishAt: ViewTree.Index?, _ lookup: inout Lookup
    ) -> Resolution {
        // The serial of a domain's SOA moves with time, so that answer is not kept.
        let place = lookup.type == .soa ? nil : publishAt
        let isApex = tree.zoneData[index]?.apexOf != nil
        guard var sections = zoneSections(at: index, owner: owner, &lookup) else {
            let sections = registrationSections(at: index, owner: owner, isApex: isApex, &lookup)
            return finish(sections, publishAt: place, &lookup)
        }
        // A zone's CNAME stands alone, and its SOA and NS win at its apex; of other types both sides answer.
        let isAlone = sections.answers.first?.type == .cname || [.soa, .ns, .cname].contains(lookup.type)
        guard tree[index].members > 0, !isAlone else {
            sections.unifiesTTL = false
            return finish(sections, publishAt: place, &lookup)
        }
        let more = registrationSections(at: index, owner: owner, isApex: isApex, &lookup)
        sections.answers += more.answers
        sections.additionals += more.additionals
        return finish(sections, publishAt: place, &lookup)
    }

    /// The records of a zone file at a name; nil when it has none of this type.
    private mutating func zoneSections(at index: ViewTree.Index, owner: [UInt8], _ lookup: inout Lookup) -> Sections? {
        guard let data = tree.zoneData[index] else { return nil }
        if data.apexOf != nil && lookup.type == .soa {
            return soaSections(zone: Int(data.apexOf ?? 0), owner: owner, lookup.unixSeconds)
        }
        var sections = Sections()
        if let alias = data[.cname], let target = alias.rdata.first, lookup.type != .cname {
            let record = PlainRecord(owner: owner, type: .cname, ttl: alias.ttl, data: .name(target))
            sections.answers = chase(
                record, target: target, types: [lookup.type], chain: [], keepsDangling: true, &lookup)
            return sections
        }
        guard let rrset = data[lookup.type] else { return nil }
        for rdata in rrset.rdata {
            let record = PlainRecord(
                owner: owner, type: lookup.type, ttl: rrset.ttl, data: PlainRecord.data(lookup.type, rdata))
            sections.answers.append(record)
            guard lookup.type != .cname, lookup.type != .ptr, let target = record.target else { continue }
            let folded = TreeName.folded(target)
            if let place = place(of: folded) {
                lookup.dependsOnOthers = true
                sections.additionals += records(at: place, owner: target, types: [.a, .aaaa], chain: [folded], &lookup)
            }
        }
        return sections
    }

    private func soaSections(zone number: Int, owner: [UInt8], _ unixSeconds: Int64) -> Sections {
        let zone = zones.zones[number]
        var rdata = zone.mname + zone.rname
        let hour = UInt32(truncatingIfNeeded: unixSeconds / 3600 * 3600)
        for value in [zone.serial ?? hour, zone.timers.0, zone.timers.1, zone.timers.2, zone.timers.3] {
            rdata += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
        }
        var sections = Sections()
        sections.answers = [.init(owner: owner, type: .soa, ttl: zone.ttl, data: .bytes(rdata))]
        return sections
    }

    /// What registrations at and below a node answer.
    private mutating func registrationSections(
        at index: ViewTree.Index, owner: [UInt8], isApex: Bool, _ lookup: inout Lookup
    ) -> Sections {
        switch lookup.type {
        case .ns where isApex && owner == configuration.domain.wire: return nameServerRecords(owner: owner, &lookup)
        case .ns, .soa, .dnskey, .ds: return Sections()
        case .cname:
            var sections = Sections()
            sections.answers = aliasRecords(tree[index].leaf.entries, at: index, owner: owner)
            return sections
        default: break
        }
        guard tree[index].members > 0 else { return Sections() }
        let members = members(below: index, &lookup)
        let sections = sections(of: members, owner: owner, &lookup)
        if !sections.answers.isEmpty || lookup.type == .a || lookup.type == .aaaa { return sections }
        return aliasSections(at: index, owner: owner, &lookup) ?? sections
    }

    /// Answers of a set of registrations to the types they can answer.
    mutating func sections(of members: [Member], owner: [UInt8], _ lookup: inout Lookup) -> Sections {
        var sections = Sections()
        switch lookup.type {
        case .a, .aaaa:
            sections.answers = addressRecords(
                owner: owner, members: Self.grouped(members), types: [lookup.type], chain: [], &lookup)
        case .srv: sections = serviceRecords(Self.grouped(members), owner: owner, &lookup)
        case .txt: sections.answers = textRecords(Self.grouped(members), owner: owner)
        case .mx: sections = mailRecords(members, owner: owner, &lookup)
        default: break
        }
        return sections
    }

    /// CNAME records of the values at exactly this name whose host is a name.
    private func aliasRecords(_ entries: [Entry], at index: ViewTree.Index, owner: [UInt8]) -> [PlainRecord] {
        for entry in entries {
            guard let registration = entry.registration, case .name(let text) = registration.host,
                let target = TreeName.make(text: text)
            else { continue }
            let member = Member(entry: entry, registration: registration, name: owner)
            return [
                .init(
                    owner: owner, type: .cname, ttl: ttl(of: member), deadlineSlot: entry.deadlineSlot,
                    data: .name(target))
            ]
        }
        return []
    }

    /// A name with one CNAME-like value and no data of the type: the CNAME and what the target has, when the target is
    /// in one of our zones and exists (INTERFACE section 5).
    private mutating func aliasSections(at index: ViewTree.Index, owner: [UInt8], _ lookup: inout Lookup) -> Sections? {
        guard tree[index].members == 1, case .one(let entry) = tree[index].leaf,
            let alias = aliasRecords([entry], at: index, owner: owner).first, let target = alias.target
        else { return nil }
        var sections = Sections()
        sections.unifiesTTL = false
        var chain = [TreeName.folded(owner)]
        var next = target
        var record = alias
        while chain.count <= Self.chainMax {
            let folded = TreeName.folded(next)
            guard !chain.contains(folded), zone(of: folded) != nil, let place = place(of: folded) else {
                return sections.answers.isEmpty ? nil : sections
            }
            lookup.dependsOnOthers = true
            sections.answers.append(record)
            let there = registrationAnswers(at: place, owner: next, &lookup)
            if !there.isEmpty {
                sections.answers += there
                return sections
            }
            chain.append(folded)
            guard tree[place].members == 1, case .one(let entry) = tree[place].leaf,
                let more = aliasRecords([entry], at: place, owner: next).first, let target = more.target
            else { return sections }
            record = more
            next = target
        }
        return sections
    }

    private mutating func registrationAnswers(
        at place: ViewTree.Index, owner: [UInt8], _ lookup: inout Lookup
    ) -> [PlainRecord] {
        var answers = zoneSections(at: place, owner: owner, &lookup)?.answers ?? []
        if tree[place].members > 0 {
            answers += sections(of: members(below: place, &lookup), owner: owner, &lookup).answers
        }
        return answers
    }

    /// Turns sections into a resolution, unless the forwarders must be asked first.
    func finish(
        _ sections: Sections, publishAt: ViewTree.Index?, _ lookup: inout Lookup
    ) -> Resolution {
        if !lookup.missing.isEmpty { return .external(lookup.missing) }
        if sections.answers.isEmpty {
            var answer = ComposedAnswer.noData(lookup.type)
            if lookup.dependsOnOthers { answer.viewStamp = changes }
            answer.validUntil = lookup.validUntil
            return .answer(answer, index: lookup.externals.isEmpty ? publishAt : nil)
        }
        let answer = compose(sections, &lookup)
        return .answer(answer, index: lookup.externals.isEmpty ? publishAt : nil)
    }
}
