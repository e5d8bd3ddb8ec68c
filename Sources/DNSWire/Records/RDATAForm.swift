/// One field of RDATA: how it lies in a message and how a zone file writes it.
enum RDATAField: Sendable {
    case octet
    case uint16
    case uint32
    /// Seconds in 32 bits; text may use the units of `1h30m`.
    case period
    /// Seconds since 1970 in 32 bits, written YYYYMMDDHHmmSS (RFC 4034 §3.2).
    case time
    /// A record type, written as its mnemonic.
    case type
    case ipv4
    case ipv6
    /// A domain name that is compressed when it is sent: only in the types of RFC 1035 (RFC 3597 §4).
    case compressedName
    /// A domain name that is never compressed when it is sent.
    case name
    /// Up to 255 octets behind their count.
    case characterString
    /// One or more character strings up to the end.
    case characterStrings
    /// A property tag of CAA: as a character string, written bare (RFC 8659 §4.1).
    case tag
    /// All octets up to the end, written as one quoted string.
    case quotedRest
    /// All octets up to the end, written in hexadecimal.
    case hexRest
    /// All octets up to the end, written in base 64.
    case base64Rest
    /// Windows of type bits up to the end (RFC 4034 §4.1.2).
    case typeBitmap
    /// Parameters of a service binding up to the end (RFC 9460 §2.2).
    case serviceParameters
}

/// The fields of each type's RDATA. The one table behind checking, decompression, compression and text.
enum RDATAForm {
    /// The fields, or nil for a type that is carried as opaque octets (RFC 3597).
    static func fields(of type: RRType) -> [RDATAField]? {
        switch type {
        case .a: address4
        case .aaaa: address6
        case .ns, .cname, .ptr: oneCompressedName
        case .soa: soa
        case .mx: mx
        case .txt, .spf: text
        case .srv: srv
        case .hinfo: hinfo
        case .naptr: naptr
        case .dname: oneName
        case .ds, .cds: ds
        case .sshfp: sshfp
        case .tlsa: tlsa
        case .rrsig: rrsig
        case .nsec: nsec
        case .dnskey, .cdnskey: dnskey
        case .caa: caa
        case .svcb, .https: serviceBinding
        default: nil
        }
    }

    /// Whether domain names are among the fields.
    static func hasNames(_ fields: [RDATAField]) -> Bool { fields.contains { $0 == .name || $0 == .compressedName } }

    private static let address4: [RDATAField] = [.ipv4]
    private static let address6: [RDATAField] = [.ipv6]
    private static let oneCompressedName: [RDATAField] = [.compressedName]
    private static let oneName: [RDATAField] = [.name]
    private static let soa: [RDATAField] = [
        .compressedName, .compressedName, .uint32, .period, .period, .period, .period,
    ]
    private static let mx: [RDATAField] = [.uint16, .compressedName]
    private static let text: [RDATAField] = [.characterStrings]
    private static let srv: [RDATAField] = [.uint16, .uint16, .uint16, .name]
    private static let hinfo: [RDATAField] = [.characterString, .characterString]
    private static let naptr: [RDATAField] = [
        .uint16, .uint16, .characterString, .characterString, .characterString, .name,
    ]
    private static let ds: [RDATAField] = [.uint16, .octet, .octet, .hexRest]
    private static let sshfp: [RDATAField] = [.octet, .octet, .hexRest]
    private static let tlsa: [RDATAField] = [.octet, .octet, .octet, .hexRest]
    private static let rrsig: [RDATAField] = [
        .type, .octet, .octet, .uint32, .time, .time, .uint16, .name, .base64Rest,
    ]
    private static let nsec: [RDATAField] = [.name, .typeBitmap]
    private static let dnskey: [RDATAField] = [.uint16, .octet, .octet, .base64Rest]
    private static let serviceBinding: [RDATAField] = [.uint16, .name, .serviceParameters]
    private static let caa: [RDATAField] = [.octet, .tag, .quotedRest]

    /// Whether the octets from `at` to `end` have the form of `type`. O(length).
    static func isSound(
        type: RRType, in message: RawSpan, at: Int, end: Int, pointersAllowed: Bool = true
    ) -> Bool {
        guard let fields = fields(of: type) else { return true }
        var here = at
        for field in fields {
            guard let next = fieldEnd(field, in: message, at: here, end: end, pointersAllowed: pointersAllowed) else {
                return false
            }
            here = next
        }
        return here == end
    }

    /// Whether `rdata`, standing alone, has the form of `type` without any compression. O(length).
    static func isSound(type: RRType, rdata: [UInt8]) -> Bool {
        isSound(type: type, in: rdata.span.octets, at: 0, end: rdata.count, pointersAllowed: false)
    }

    /// The RDATA from `at` to `end` with its names written out, or nil when it has not the form of `type`.
    static func selfContained(type: RRType, in message: RawSpan, at: Int, end: Int) -> [UInt8]? {
        var rdata: [UInt8] = []
        rdata.reserveCapacity(end &- at)
        var here = at
        for field in fields(of: type) ?? [] {
            let next: Int?
            switch field {
            case .name, .compressedName:
                next = CompressedName.read(in: message, at: here, limit: end, into: &rdata)
            default:
                next = fieldEnd(field, in: message, at: here, end: end, pointersAllowed: false)
                for offset in here..<(next ?? here) { rdata.append(message.octet(at: offset)) }
            }
            guard let next else { return nil }
            here = next
        }
        if fields(of: type) == nil {
            for offset in here..<end { rdata.append(message.octet(at: offset)) }
            return rdata
        }
        return here == end ? rdata : nil
    }

    /// The offset after `field`, which begins at `at` and must not pass `end`; nil when it is broken.
    static func fieldEnd(
        _ field: RDATAField, in message: RawSpan, at: Int, end: Int, pointersAllowed: Bool
    ) -> Int? {
        switch field {
        case .octet: return bounded(at &+ 1, end)
        case .uint16, .type: return bounded(at &+ 2, end)
        case .uint32, .period, .time, .ipv4: return bounded(at &+ 4, end)
        case .ipv6: return bounded(at &+ 16, end)
        case .name, .compressedName:
            return CompressedName.end(in: message, at: at, limit: end, pointersAllowed: pointersAllowed)
        case .characterString: return stringEnd(in: message, at: at, end: end)
        case .tag:
            guard let next = stringEnd(in: message, at: at, end: end), next > at &+ 1 else { return nil }
            return next
        case .characterStrings:
            var here = at
            repeat {
                guard let next = stringEnd(in: message, at: here, end: end) else { return nil }
                here = next
            } while here < end
            return end
        case .quotedRest, .hexRest, .base64Rest: return end
        case .typeBitmap: return TypeBitmap.isSound(in: message, at: at, end: end) ? end : nil
        case .serviceParameters: return ServiceParameters.isSound(in: message, at: at, end: end) ? end : nil
        }
    }

    private static func stringEnd(in message: RawSpan, at: Int, end: Int) -> Int? {
        guard at < end else { return nil }
        return bounded(at &+ 1 &+ Int(message.octet(at: at)), end)
    }

    private static func bounded(_ next: Int, _ end: Int) -> Int? { next <= end ? next : nil }
}
