package import DNSWire

/// One zone as its file has it: every record in wire form, grouped into RRsets.
package struct Zone: Sendable {
    /// The records of one owner and type.
    package struct RRset: Hashable, Sendable {
        /// The owner name, perhaps with a `*` as its first label.
        package var owner: OwnerName
        /// The type; never SOA.
        package var type: RRType
        /// Seconds an answer may be cached, the smallest of the file's records (RFC 2181 §5.2).
        package var ttl: UInt32
        /// The data of each record, uncompressed, letter case as in the file; no two mean the same.
        package var rdata: [[UInt8]]

        /// An RRset from its parts.
        package init(owner: OwnerName, type: RRType, ttl: UInt32, rdata: [[UInt8]]) {
            self.owner = owner
            self.type = type
            self.ttl = ttl
            self.rdata = rdata
        }
    }

    /// The record that begins the zone (RFC 1035 §3.3.13); names in wire form, times in seconds.
    package struct SOA: Hashable, Sendable {
        /// The primary name server.
        package var mname: [UInt8]
        /// The mailbox of who is responsible.
        package var rname: [UInt8]
        /// The zone's version.
        package var serial: UInt32
        package var refresh: UInt32
        package var retry: UInt32
        package var expire: UInt32
        /// Upper bound of the TTL of negative answers (RFC 2308 §4).
        package var minimum: UInt32
        /// TTL of the record itself.
        package var ttl: UInt32

        /// The record from its data and its TTL.
        package init(_ data: SOAData, ttl: UInt32) {
            mname = data.primary.wire
            rname = data.mailbox.wire
            serial = data.serial
            refresh = data.refresh
            retry = data.retry
            expire = data.expire
            minimum = data.minimum
            self.ttl = ttl
        }
    }

    /// The apex: the owner of the SOA record.
    package var origin: OwnerName
    /// The SOA record.
    package var soa: SOA
    /// All other records, owners in the order of their first appearance.
    package var rrsets: [RRset]
    /// What is odd but served all the same, for the log; at most `ZoneFileParser.warningsMax`.
    package var warnings: [ZoneFileProblem]

    /// A zone from its parts.
    package init(origin: OwnerName, soa: SOA, rrsets: [RRset], warnings: [ZoneFileProblem] = []) {
        self.origin = origin
        self.soa = soa
        self.rrsets = rrsets
        self.warnings = warnings
    }
}

/// What is wrong with a zone file, and where.
package struct ZoneFileProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file as it was named to the parser.
    package var file: String
    /// The line on which the entry begins, from 1.
    package var line: Int
    /// What of the entry it is: `TTL`, `owner`, `A data`, …
    package var field: String
    /// What stands there, shortened.
    package var value: String
    /// What may stand there.
    package var expected: String

    /// `zones/example.zone:12: <field>: "<value>": expected <…>`
    package var description: String { "\(file):\(line): \(field): \"\(value)\": expected \(expected)" }
}
