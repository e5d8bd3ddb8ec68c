import DNSWire
import RegistryStore

/// A question that only the forwarders can answer: targets outside our zones.
struct ExternalQuestion: Hashable, Sendable {
    /// Wire form, letter case as stored.
    let name: [UInt8]
    let type: RRType

    init(name: [UInt8], type: RRType) {
        self.name = name
        self.type = type
    }
}

/// What the forwarders said to an `ExternalQuestion`.
struct ExternalAnswer: Sendable {
    struct Record: Sendable {
        /// Wire form.
        let owner: [UInt8]
        let type: RRType
        let ttl: UInt32
        /// Uncompressed RDATA.
        let rdata: [UInt8]

        init(owner: [UInt8], type: RRType, ttl: UInt32, rdata: [UInt8]) {
            self.owner = owner
            self.type = type
            self.ttl = ttl
            self.rdata = rdata
        }
    }

    /// NOERROR; false for NXDOMAIN, failure, no forwarder.
    let succeeded: Bool
    /// The CNAMEs on the way and the records of the type.
    let records: [Record]

    init(succeeded: Bool, records: [Record]) {
        self.succeeded = succeeded
        self.records = records
    }
}

/// One question being answered from the view: what it learnt on the way.
struct Lookup {
    /// Name asked, exact case of the view (folded question) in wire form.
    let question: [UInt8]
    let type: RRType
    /// Monotonic milliseconds.
    let now: Int64
    /// Unix seconds: the serial of the domain's SOA.
    let unixSeconds: Int64
    /// Answers of the forwarders, on the second try.
    let externals: [ExternalQuestion: ExternalAnswer]
    /// What the forwarders must be asked first.
    var missing: Set<ExternalQuestion> = []
    /// The answer depends on other names than the question's ancestors would tell.
    var dependsOnOthers = false
    /// The answer shows a part of a large set, until then.
    var validUntil = Int64.max
    /// Members were left out: the answer is honest about it (TC).
    var isPartial = false
    /// Chains still followed: values that point at large directories of names must not multiply the work.
    var chainBudget = 1024

    init(
        question: [UInt8], type: RRType, now: Int64, unixSeconds: Int64,
        externals: [ExternalQuestion: ExternalAnswer] = [:]
    ) {
        self.question = question
        self.type = type
        self.now = now
        self.unixSeconds = unixSeconds
        self.externals = externals
    }
}

/// How a question is answered.
enum Resolution {
    /// Records, or NODATA; kept at the name when `index` is given.
    case answer(ComposedAnswer, index: ViewTree.Index?)
    case nxdomain(zone: Int)
    /// Not ours.
    case forward
    /// Ours, but these must be asked at the forwarders first.
    case external(Set<ExternalQuestion>)
}
