/// A record or query type: any 16-bit number, with names for those in use (RFC 6895 §3.1, RFC 3597).
@frozen
public struct RRType: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    /// The number on the wire.
    public let rawValue: UInt16

    /// Takes any number; unknown ones are kept.
    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }
}

extension RRType {
    /// IPv4 address (RFC 1035 §3.4.1).
    public static let a = RRType(rawValue: 1)
    /// Name server of a zone (RFC 1035 §3.3.11).
    public static let ns = RRType(rawValue: 2)
    /// Alias (RFC 1035 §3.3.1).
    public static let cname = RRType(rawValue: 5)
    /// Start of a zone (RFC 1035 §3.3.13).
    public static let soa = RRType(rawValue: 6)
    /// Pointer to another name (RFC 1035 §3.3.12).
    public static let ptr = RRType(rawValue: 12)
    /// Host information (RFC 1035 §3.3.2, RFC 8482).
    public static let hinfo = RRType(rawValue: 13)
    /// Mail exchange (RFC 1035 §3.3.9).
    public static let mx = RRType(rawValue: 15)
    /// Text (RFC 1035 §3.3.14).
    public static let txt = RRType(rawValue: 16)
    /// Signatures over a transaction are of this type with type covered 0: SIG(0) (RFC 2931).
    public static let sig0 = RRType(rawValue: 24)
    /// IPv6 address (RFC 3596).
    public static let aaaa = RRType(rawValue: 28)
    /// Service location (RFC 2782).
    public static let srv = RRType(rawValue: 33)
    /// Naming authority pointer (RFC 3403).
    public static let naptr = RRType(rawValue: 35)
    /// Alias of a subtree (RFC 6672).
    public static let dname = RRType(rawValue: 39)
    /// EDNS pseudo-record (RFC 6891).
    public static let opt = RRType(rawValue: 41)
    /// Delegation signer (RFC 4034 §5).
    public static let ds = RRType(rawValue: 43)
    /// SSH fingerprint (RFC 4255).
    public static let sshfp = RRType(rawValue: 44)
    /// Signature of an RRset (RFC 4034 §3).
    public static let rrsig = RRType(rawValue: 46)
    /// Next name and types (RFC 4034 §4).
    public static let nsec = RRType(rawValue: 47)
    /// Zone key (RFC 4034 §2).
    public static let dnskey = RRType(rawValue: 48)
    /// Hashed next name (RFC 5155 §3).
    public static let nsec3 = RRType(rawValue: 50)
    /// Parameters of hashed names (RFC 5155 §4).
    public static let nsec3param = RRType(rawValue: 51)
    /// TLS certificate association (RFC 6698).
    public static let tlsa = RRType(rawValue: 52)
    /// DS wanted by the child (RFC 7344).
    public static let cds = RRType(rawValue: 59)
    /// DNSKEY wanted by the child (RFC 7344).
    public static let cdnskey = RRType(rawValue: 60)
    /// Service binding (RFC 9460).
    public static let svcb = RRType(rawValue: 64)
    /// Service binding of HTTPS (RFC 9460).
    public static let https = RRType(rawValue: 65)
    /// Sender policy, obsolete, as TXT (RFC 7208 §3.1).
    public static let spf = RRType(rawValue: 99)
    /// Marks a missing name in compact denial (RFC 9824).
    public static let nxname = RRType(rawValue: 128)
    /// Transaction key (RFC 2930).
    public static let tkey = RRType(rawValue: 249)
    /// Transaction signature (RFC 8945).
    public static let tsig = RRType(rawValue: 250)
    /// Query for the changes of a zone (RFC 1995).
    public static let ixfr = RRType(rawValue: 251)
    /// Query for a whole zone (RFC 5936).
    public static let axfr = RRType(rawValue: 252)
    /// Query for mailbox records, obsolete (RFC 1035 §3.2.3).
    public static let mailb = RRType(rawValue: 253)
    /// Query for mail agents, obsolete (RFC 1035 §3.2.3).
    public static let maila = RRType(rawValue: 254)
    /// Query for all types (RFC 8482).
    public static let any = RRType(rawValue: 255)
    /// Who may issue certificates (RFC 8659).
    public static let caa = RRType(rawValue: 257)
}

extension RRType: CustomStringConvertible {
    /// The types with a mnemonic of their own; every other one is written TYPEnnn.
    private static let mnemonics: [(RRType, String)] = [
        (.a, "A"), (.ns, "NS"), (.cname, "CNAME"), (.soa, "SOA"), (.ptr, "PTR"), (.hinfo, "HINFO"), (.mx, "MX"),
        (.txt, "TXT"), (.sig0, "SIG"), (.aaaa, "AAAA"), (.srv, "SRV"), (.naptr, "NAPTR"), (.dname, "DNAME"),
        (.opt, "OPT"), (.ds, "DS"), (.sshfp, "SSHFP"), (.rrsig, "RRSIG"), (.nsec, "NSEC"), (.dnskey, "DNSKEY"),
        (.nsec3, "NSEC3"), (.nsec3param, "NSEC3PARAM"), (.tlsa, "TLSA"), (.cds, "CDS"), (.cdnskey, "CDNSKEY"),
        (.svcb, "SVCB"), (.https, "HTTPS"), (.spf, "SPF"), (.nxname, "NXNAME"), (.tkey, "TKEY"), (.tsig, "TSIG"),
        (.ixfr, "IXFR"), (.axfr, "AXFR"), (.mailb, "MAILB"), (.maila, "MAILA"), (.any, "ANY"), (.caa, "CAA"),
    ]
    private static let byName = Dictionary(
        uniqueKeysWithValues: (mnemonics + [(.any, "*")]).map { (Mnemonic($1), $0) })
    private static let names = Dictionary(uniqueKeysWithValues: mnemonics)

    /// Reads a mnemonic in any letter case, `*` for ANY, or `TYPE65400` (RFC 3597 §5); nil for anything else.
    public init?(name: String) {
        self.init(octets: Array(name.utf8)[...])
    }

    /// Reads a type as `init(name:)` does, from octets.
    public init?(octets: ArraySlice<UInt8>) {
        guard let name = Mnemonic(octets: octets) else { return nil }
        if let known = Self.byName[name] {
            self = known
        } else if let number = Mnemonic.number(octets, prefix: "TYPE") {
            self.init(rawValue: number)
        } else {
            return nil
        }
    }

    /// The mnemonic, or `TYPE65400` (RFC 3597 §5).
    public var name: String { Self.names[self] ?? "TYPE\(rawValue)" }
    /// The same as `name`.
    public var description: String { name }

    /// True for types that are asked for or carried along but never stored in a zone (RFC 6895 §3.1).
    public var isMeta: Bool { self == .opt || (128...255).contains(rawValue) || rawValue == 0 }
}
