import DNSWire

/// The part of an upstream server's message that answers the question. All else is thrown away unread: it could plant
/// records of other names (RFC 5452 §6, RFC 2181 §5.4.1).
///
/// The additional section is never used; clients that need addresses of targets ask for them.
struct RelevantRecords {
    /// What a message says about its question.
    enum Meaning {
        /// Records of the type asked for, perhaps at the end of CNAMEs.
        case data
        /// Response code NXDOMAIN, or NOERROR without such records, and an SOA that says for how long.
        case negative
        /// Neither: nothing that may be cached (RFC 2308 §5), but the best there is.
        case unsupported
        /// A referral, or an answer to something else: this server does not do what it is asked.
        case lame
    }

    private(set) var meaning: Meaning
    /// The records of the answer section, in upstream's order.
    private(set) var answers: [ResourceRecord]
    /// SOA of a negative answer; with DO also the proofs and their signatures.
    private(set) var authorities: [ResourceRecord]

    init(_ message: Message, question: Question, dnssecOK: Bool) {
        let chain = Chain(question: question, answers: message.answers)
        let answers = message.answers.filter {
            chain.isRelevant($0, question: question, dnssecOK: dnssecOK)
        }
        let hasData = answers.contains {
            ($0.type == question.type || question.type == .any) && $0.owner.folded == chain.last
        }
        let isFound = hasData && message.rcode == .noError
        let candidates = message.authorities.filter { $0.rrClass == question.rrClass }
        let soa = isFound ? nil : candidates.first { $0.type == .soa && chain.last.isSubdomain(of: $0.owner.folded) }
        self.answers = answers
        authorities = soa.map { [$0] } ?? []
        if dnssecOK { authorities += Self.proofs(in: candidates, chain: chain, soa: soa) }
        if isFound {
            meaning = .data
        } else if soa != nil {
            meaning = .negative
        } else if message.rcode == .noError, answers.isEmpty,
            !message.answers.isEmpty || candidates.contains(where: { $0.type == .ns })
        {
            meaning = .lame
        } else {
            meaning = .unsupported
        }
    }

    /// The signed NSEC and NSEC3 records, and all signatures, whose signer's zone holds a name of the chain.
    private static func proofs(in records: [ResourceRecord], chain: Chain, soa: ResourceRecord?) -> [ResourceRecord] {
        var signed: Set<OwnerAndType> = []
        var signatures: [ResourceRecord] = []
        for record in records where record.type == .rrsig {
            guard let signature = Signature(record.rdata) else { continue }
            let owner = record.owner.folded
            let zone = signature.signer
            guard owner.isSubdomain(of: zone), chain.names.contains(where: { $0.isSubdomain(of: zone) }) else {
                continue
            }
            switch signature.covered {
            case .nsec, .nsec3: break
            case .soa where soa?.owner.folded == owner: break
            default: continue
            }
            signed.insert(OwnerAndType(owner: owner, type: signature.covered))
            signatures.append(record)
        }
        let denials = records.filter {
            ($0.type == .nsec || $0.type == .nsec3)
                && signed.contains(OwnerAndType(owner: $0.owner.folded, type: $0.type))
        }
        return denials + signatures
    }

    private struct OwnerAndType: Hashable {
        let owner: OwnerName
        let type: RRType
    }

    /// The fields of an RRSIG that tell what it belongs to (RFC 4034 §3.1).
    private struct Signature {
        let covered: RRType
        let signer: OwnerName

        init?(_ rdata: [UInt8]) {
            guard rdata.count > 18 else { return nil }
            covered = RRType(rawValue: UInt16(rdata[0]) << 8 | UInt16(rdata[1]))
            var end = 18
            while end < rdata.count, rdata[end] != 0 { end += Int(rdata[end]) + 1 }
            guard end < rdata.count, let signer = try? OwnerName(wire: Array(rdata[18...end])) else { return nil }
            self.signer = signer
        }
    }

    /// The names from the one asked for along the CNAMEs of the answer section.
    private struct Chain {
        /// CNAMEs followed; more are an attack on whoever follows them.
        static let linksMax = 32

        private(set) var names: Set<OwnerName>
        /// The name without a further CNAME, or the last before a loop closes.
        private(set) var last: OwnerName

        init(question: Question, answers: [ResourceRecord]) {
            last = question.name.folded
            names = [last]
            guard question.type != .cname, question.type != .any else { return }
            var targets: [OwnerName: OwnerName] = [:]
            for record in answers where record.type == .cname && record.rrClass == question.rrClass {
                guard let target = try? OwnerName(wire: record.rdata) else { continue }
                if targets[record.owner.folded] == nil { targets[record.owner.folded] = target }
            }
            while names.count <= Self.linksMax, let next = targets[last], names.insert(next).inserted { last = next }
        }

        func isRelevant(_ record: ResourceRecord, question: Question, dnssecOK: Bool) -> Bool {
            guard record.rrClass == question.rrClass else { return false }
            var type = record.type
            if type == .rrsig, question.type != .rrsig, record.rdata.count > 2 {
                guard dnssecOK || question.type == .any else { return false }
                type = RRType(rawValue: UInt16(record.rdata[0]) << 8 | UInt16(record.rdata[1]))
            }
            let owner = record.owner.folded
            if type == .dname, question.type != .dname {
                return names.contains { $0 != owner && $0.isSubdomain(of: owner) }
            }
            return names.contains(owner) && (type == question.type || type == .cname || question.type == .any)
        }
    }
}
