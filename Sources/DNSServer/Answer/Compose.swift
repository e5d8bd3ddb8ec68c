import DNSWire
import RegistryStore

/// Turns records into the bytes of an answer.
extension ViewState {
    /// Octets a body may have: with the longest question and OPT it still is a DNS message.
    static let bodyMax = 65_000

    func compose(_ sections: Sections, _ lookup: inout Lookup) -> ComposedAnswer {
        var answer = ComposedAnswer(type: lookup.type)
        var writer = BodyWriter(question: lookup.question)
        let answers = Self.deduplicated(sections.answers)
        // Where a target stands, its owner name in a later record may point.
        var places: [[UInt8]: Int] = [:]
        for record in answers {
            let before = writer.records.count
            writer.append(record, at: places[record.owner])
            if writer.body.count > Self.bodyMax {
                writer.rollBack(records: before)
                lookup.isPartial = true
                break
            }
            if let target = writer.lastTarget, target.offset < 0x4000 { places[target.name] = target.offset }
        }
        answer.answerCount = writer.records.count
        for record in sections.authorities { writer.append(record, at: places[record.owner]) }
        answer.authorityCount = writer.records.count - answer.answerCount
        for record in Self.deduplicated(sections.additionals) where !answers.contains(shortly: record) {
            writer.append(record, at: places[record.owner])
            if writer.body.count > Self.bodyMax {
                // Additional data is dropped as a whole when it does not fit (SkyDNS): a part would look like all.
                writer.rollBack(records: answer.answerCount + answer.authorityCount)
                break
            }
            if let target = writer.lastTarget, target.offset < 0x4000 { places[target.name] = target.offset }
        }
        answer.additionalCount = writer.records.count - answer.answerCount - answer.authorityCount
        answer.records = writer.records
        answer.body = writer.body
        if sections.unifiesTTL && answer.answerCount > 1 { answer.uniformTTLCap = configuration.ttl }
        let isAddress = lookup.type == .a || lookup.type == .aaaa
        answer.rotates =
            configuration.roundRobin && isAddress
            && answers.allSatisfy { $0.type == lookup.type && $0.owner == lookup.question }
        if lookup.dependsOnOthers { answer.viewStamp = changes }
        answer.validUntil = lookup.validUntil
        answer.isPartial = lookup.isPartial
        return answer
    }

    /// Merges equal records; of several CNAMEs of one owner the first stays (RFC 2181 section 10.1).
    static func deduplicated(_ records: [PlainRecord]) -> [PlainRecord] {
        guard records.count > 1 else { return records }
        var seen = Set<PlainRecord>()
        seen.reserveCapacity(records.count)
        var aliases = Set<[UInt8]>()
        return records.filter { record in
            guard seen.insert(record).inserted else { return false }
            return record.type != .cname || aliases.insert(TreeName.folded(record.owner)).inserted
        }
    }
}

extension [PlainRecord] {
    /// Whether a short list holds the record already; long answers hold addresses of the question's own type only.
    fileprivate func contains(shortly record: PlainRecord) -> Bool { count <= 16 && contains(record) }
}
