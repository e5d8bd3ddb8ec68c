import DNSWire

/// The SOA of one zone as it is written into negative answers, with the places to patch.
///
/// Layout: 0 apex length UInt16, 2 body length UInt16, 4 offset of the serial (0: fixed), 6, 8 offsets of pointers to
/// the apex inside MNAME and RNAME (0: none), 16 body: owner pointer, type, class, TTL, RDLENGTH, RDATA; slack behind.
@safe
struct NegativeTemplate {
    let block: RawBlock
    static let bodyOffset = 16

    /// Names are in wire form; a `serial` of nil means the hour (SkyDNS).
    static func make(
        apex: [UInt8], mname: [UInt8], rname: [UInt8], serial: UInt32?, timers: (UInt32, UInt32, UInt32, UInt32),
        ttl: UInt32
    ) -> NegativeTemplate {
        var body: [UInt8] = [0xC0, 0, 0, 6, 0, 1]
        func put32(_ value: UInt32) {
            for shift in [24, 16, 8, 0] { body.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        put32(ttl)
        body += [0, 0]
        let start = body.count
        var pointers: [Int] = []
        for name in [mname, rname] {
            if TreeName.isSubdomain(name, of: apex) {
                body += name[..<(name.count - apex.count)]
                pointers.append(body.count)
                body += [0xC0, 0]
            } else {
                pointers.append(0)
                body += name
            }
        }
        let serialOffset = body.count
        put32(serial ?? 0)
        put32(timers.0)
        put32(timers.1)
        put32(timers.2)
        put32(timers.3)
        body[start - 2] = UInt8(truncatingIfNeeded: (body.count - start) >> 8)
        body[start - 1] = UInt8(truncatingIfNeeded: body.count - start)
        let template = NegativeTemplate(block: .allocate(bodyOffset + body.count + 32))
        template.block.store(UInt16(apex.count), at: 0)
        template.block.store(UInt16(body.count), at: 2)
        template.block.store(UInt16(serial == nil ? serialOffset : 0), at: 4)
        template.block.store(UInt16(pointers[0]), at: 6)
        template.block.store(UInt16(pointers[1]), at: 8)
        template.block.copy(body, at: bodyOffset)
        return template
    }

    @inline(__always) var apexLength: Int { Int(block.load(0, as: UInt16.self)) }
    @inline(__always) var bodyLength: Int { Int(block.load(2, as: UInt16.self)) }
    @inline(__always) var serialOffset: Int { Int(block.load(4, as: UInt16.self)) }
    @inline(__always) var mnamePointer: Int { Int(block.load(6, as: UInt16.self)) }
    @inline(__always) var rnamePointer: Int { Int(block.load(8, as: UInt16.self)) }
}

/// The zones of the view, immutable; replaced as a whole when zone files change. Readers keep a reference.
@safe
final class ZoneTable: @unchecked Sendable {
    struct Zone: Sendable {
        /// False for a zone that is gone: its number is not given to another one while readers may know it.
        var isLive = true
        let apex: [UInt8]
        let mname: [UInt8]
        let rname: [UInt8]
        /// nil: the hour, as SkyDNS counts.
        let serial: UInt32?
        let timers: (UInt32, UInt32, UInt32, UInt32)
        /// TTL of the SOA as an answer, and in the authority section.
        let ttl: UInt32
        let negativeTTL: UInt32
        /// The domain of the registrations, as opposed to a zone file.
        let isDomain: Bool
    }

    let zones: [Zone]
    /// SAFETY: written once here, freed when the last reader lets go of this object.
    private let templates: UnsafeMutablePointer<UInt>

    init(zones: [Zone]) {
        self.zones = zones
        unsafe templates = .allocate(capacity: max(zones.count, 1))
        for (index, zone) in zones.enumerated() {
            let template = NegativeTemplate.make(
                apex: zone.apex, mname: zone.mname, rname: zone.rname, serial: zone.serial, timers: zone.timers,
                ttl: zone.negativeTTL)
            // SAFETY: index < zones.count, the capacity.
            unsafe (templates + index).initialize(to: template.block.address)
        }
    }

    deinit {
        for index in zones.indices { unsafe RawBlock(address: templates[index]).free() }
        unsafe templates.deallocate()
    }

    /// The template of a zone; nil for a number that this table does not have (a node of a newer one).
    @inline(__always)
    func template(_ index: Int) -> NegativeTemplate? {
        guard index >= 0 && index < zones.count else { return nil }
        // SAFETY: checked above.
        return unsafe NegativeTemplate(block: RawBlock(address: templates[index]))
    }
}

/// What zone files store at one name.
struct ZoneNode {
    struct Set {
        let type: RRType
        let ttl: UInt32
        /// Uncompressed RDATA of every record.
        let rdata: [[UInt8]]
    }

    /// Number of the zone whose apex this name is; nil below apexes.
    var apexOf: Int16?
    /// A name has few types: a list is smaller and quicker than a dictionary.
    private var sets: [Set] = []

    subscript(type: RRType) -> Set? { sets.first { $0.type == type } }

    mutating func insert(_ set: Set) { sets.append(set) }

    /// NS records below an apex: another server answers from here on.
    var isDelegation: Bool { apexOf == nil && self[.ns] != nil }
}
