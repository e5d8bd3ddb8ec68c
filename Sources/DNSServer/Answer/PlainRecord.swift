import DNSWire
import RegistryStore

/// A record on its way into an answer; names are wire form in the case they are stored in.
struct PlainRecord: Hashable {
    enum Data: Hashable {
        case ipv4(UInt32)
        case ipv6(UInt64, UInt64)
        /// CNAME, NS and PTR: one name that may be compressed.
        case name([UInt8])
        case mx(UInt16, [UInt8])
        /// The target is never compressed (RFC 3597 section 4).
        case srv(UInt16, UInt16, UInt16, [UInt8])
        /// RDATA as it is.
        case bytes([UInt8])
    }

    var owner: [UInt8]
    var type: RRType
    var ttl: UInt32
    /// Slot of the lease that bounds the TTL.
    var deadlineSlot: UInt32
    var data: Data

    init(owner: [UInt8], type: RRType, ttl: UInt32, deadlineSlot: UInt32 = LeaseDeadlines.none, data: Data) {
        self.owner = owner
        self.type = type
        self.ttl = ttl
        self.deadlineSlot = deadlineSlot
        self.data = data
    }

    /// Equal records of an answer are merged: TTL and lease do not count (RFC 2181 section 5).
    static func == (a: PlainRecord, b: PlainRecord) -> Bool {
        a.type == b.type && a.data == b.data && a.owner == b.owner
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(type)
        hasher.combine(data)
    }

    /// The target name, where the record has one.
    var target: [UInt8]? {
        switch data {
        case .name(let name), .mx(_, let name), .srv(_, _, _, let name): name
        case .ipv4, .ipv6, .bytes: nil
        }
    }

    /// RDATA of a zone file or a forwarder, in the form that lets it be compressed and followed.
    static func data(_ type: RRType, _ rdata: [UInt8]) -> Data {
        switch type {
        case .cname, .ns, .ptr: return .name(rdata)
        case .mx where rdata.count > 2: return .mx(UInt16(rdata[0]) << 8 | UInt16(rdata[1]), Array(rdata[2...]))
        case .srv where rdata.count > 6:
            func word(_ at: Int) -> UInt16 { UInt16(rdata[at]) << 8 | UInt16(rdata[at + 1]) }
            return .srv(word(0), word(2), word(4), Array(rdata[6...]))
        default: return .bytes(rdata)
        }
    }
}

extension BodyWriter {
    /// Appends a record. `at`: where its owner name stands already.
    mutating func append(_ record: PlainRecord, at known: Int? = nil) {
        let start = begin(
            owner: record.owner, at: known, type: record.type, ttl: record.ttl, deadlineSlot: record.deadlineSlot)
        switch record.data {
        case .ipv4(let address): put32(address)
        case .ipv6(let high, let low):
            for half in [high, low] {
                put32(UInt32(truncatingIfNeeded: half >> 32))
                put32(UInt32(truncatingIfNeeded: half))
            }
        case .name(let name): putTarget(name, compress: true)
        case .mx(let preference, let name):
            put16(preference)
            putTarget(name, compress: true)
        case .srv(let priority, let weight, let port, let name):
            put16(priority)
            put16(weight)
            put16(port)
            putTarget(name, compress: false)
        case .bytes(let bytes): put(bytes)
        }
        end(rdata: start)
    }
}
