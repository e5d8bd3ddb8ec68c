/// RDATA of the types that regdns composes itself, uncompressed.
public enum RDATA {
    /// A: an address in host byte order (RFC 1035 §3.4.1).
    public static func a(_ address: UInt32) -> [UInt8] {
        var rdata: [UInt8] = []
        rdata.append(bigEndian: address)
        return rdata
    }

    /// AAAA: an address, most significant half first (RFC 3596 §2.2).
    public static func aaaa(_ high: UInt64, _ low: UInt64) -> [UInt8] {
        var rdata: [UInt8] = []
        for half in [high, low] {
            rdata.append(bigEndian: UInt32(half >> 32))
            rdata.append(bigEndian: UInt32(truncatingIfNeeded: half))
        }
        return rdata
    }

    /// CNAME, NS, PTR, DNAME: one name.
    public static func name(_ name: some WireName) -> [UInt8] { name.wire }

    /// SRV (RFC 2782).
    public static func srv(priority: UInt16, weight: UInt16, port: UInt16, target: some WireName) -> [UInt8] {
        var rdata: [UInt8] = []
        rdata.append(bigEndian: priority)
        rdata.append(bigEndian: weight)
        rdata.append(bigEndian: port)
        return rdata + target.wire
    }

    /// MX (RFC 1035 §3.3.9).
    public static func mx(preference: UInt16, exchange: some WireName) -> [UInt8] {
        var rdata: [UInt8] = []
        rdata.append(bigEndian: preference)
        return rdata + exchange.wire
    }

    /// TXT: `text` in strings of up to 255 octets each, one empty string when there is none (RFC 1035 §3.3.14).
    public static func txt(_ text: some Collection<UInt8>) -> [UInt8] {
        var rdata: [UInt8] = []
        var left = text[...]
        repeat {
            let string = left.prefix(255)
            rdata.append(UInt8(string.count))
            rdata.append(contentsOf: string)
            left = left.dropFirst(string.count)
        } while !left.isEmpty
        return rdata
    }
}

extension RDATA {
    /// Uncompressed RDATA with the names in it in lower case: equal for equal records (RFC 4034 §6.2). RDATA that has
    /// not the form of its type is returned as it is.
    public static func canonical(type: RRType, _ rdata: [UInt8]) -> [UInt8] {
        guard let fields = RDATAForm.fields(of: type), RDATAForm.hasNames(fields),
            RDATAForm.isSound(type: type, rdata: rdata)
        else { return rdata }
        var result = rdata
        var at = 0
        for field in fields {
            // The form was checked above, so every field has its end.
            let octets = rdata.span.octets
            let end = RDATAForm.fieldEnd(field, in: octets, at: at, end: rdata.count, pointersAllowed: false) ?? at
            if field == .name || field == .compressedName {
                for index in at..<end where NameBytes.isUpper(result[index]) { result[index] |= 0x20 }
            }
            at = end
        }
        return result
    }
}

/// The RDATA of an SOA record (RFC 1035 §3.3.13).
public struct SOAData: Hashable, Sendable {
    /// The primary name server.
    public var primary: DomainName
    /// The mailbox of who is responsible, `@` written as a dot.
    public var mailbox: DomainName
    /// The zone's version.
    public var serial: UInt32
    /// Seconds between a secondary's checks.
    public var refresh: UInt32
    /// Seconds before a failed check is repeated.
    public var retry: UInt32
    /// Seconds after which an unchecked copy is no longer served.
    public var expire: UInt32
    /// Upper bound of the seconds a negative answer may be cached (RFC 2308 §4).
    public var minimum: UInt32

    /// The fields in the record's order.
    public init(
        primary: DomainName, mailbox: DomainName, serial: UInt32, refresh: UInt32, retry: UInt32, expire: UInt32,
        minimum: UInt32
    ) {
        self.primary = primary
        self.mailbox = mailbox
        self.serial = serial
        self.refresh = refresh
        self.retry = retry
        self.expire = expire
        self.minimum = minimum
    }

    /// Reads uncompressed RDATA.
    public init(rdata: [UInt8]) throws(WireError) {
        guard RDATAForm.isSound(type: .soa, rdata: rdata) else { throw .badRDATA(type: .soa, offset: 0) }
        let octets = rdata.span.octets
        let numbers = rdata.count - 20
        // The form was checked above: the first name ends before the second begins.
        let second = CompressedName.end(in: octets, at: 0, limit: numbers, pointersAllowed: false) ?? 0
        primary = DomainName(trusted: Array(rdata[..<second]))
        mailbox = DomainName(trusted: Array(rdata[second..<numbers]))
        serial = octets.uint32(at: numbers)
        refresh = octets.uint32(at: numbers + 4)
        retry = octets.uint32(at: numbers + 8)
        expire = octets.uint32(at: numbers + 12)
        minimum = octets.uint32(at: numbers + 16)
    }

    /// The record's data, uncompressed.
    public var rdata: [UInt8] {
        var rdata = primary.wire + mailbox.wire
        for number in [serial, refresh, retry, expire, minimum] { rdata.append(bigEndian: number) }
        return rdata
    }
}

/// The RDATA of an SRV record (RFC 2782).
public struct SRVData: Hashable, Sendable {
    /// Lower is asked first.
    public var priority: UInt16
    /// The share among targets of one priority.
    public var weight: UInt16
    /// The port of the service.
    public var port: UInt16
    /// The host of the service.
    public var target: DomainName

    /// Reads uncompressed RDATA.
    public init(rdata: [UInt8]) throws(WireError) {
        guard RDATAForm.isSound(type: .srv, rdata: rdata) else { throw .badRDATA(type: .srv, offset: 0) }
        let octets = rdata.span.octets
        priority = octets.uint16(at: 0)
        weight = octets.uint16(at: 2)
        port = octets.uint16(at: 4)
        target = DomainName(trusted: Array(rdata[6...]))
    }
}
