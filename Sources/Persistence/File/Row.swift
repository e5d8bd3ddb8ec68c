import Basics
import RegistryStore

/// One row of the table `entries`: an entry or the tombstone of one.
struct Row: Hashable, Sendable {
    /// What `flags` says.
    enum Flag {
        /// The value is a registration's form, not the bytes of an etcd door.
        static let registration: Int64 = 1
        /// The lease is of this entry alone; `length` is its own.
        static let ownLease: Int64 = 2
        static let suspended: Int64 = 4
        /// Of a tombstone: the entry had a lease.
        static let wasLeased: Int64 = 8
    }

    var namespace: String
    var key: [UInt8]
    /// `OperationKind`.
    var kind: Int64
    var flags: Int64 = 0
    /// Nil in a tombstone.
    var value: [UInt8]?
    var hlc: UInt64
    var origin: UInt64
    var sequence: UInt64
    /// Unix milliseconds of the registration or the removal.
    var time: Int64
    /// 0 for none.
    var lease: Int64 = 0
    /// Milliseconds of a lease of the entry alone.
    var length: Int64 = 0
    /// The node that counts that lease; nil for this one.
    var home: String?

    init(
        namespace: String, key: [UInt8], kind: Int64, flags: Int64, value: [UInt8]?, hlc: UInt64, origin: UInt64,
        sequence: UInt64, time: Int64, lease: Int64, length: Int64, home: String?
    ) {
        self.namespace = namespace
        self.key = key
        self.kind = kind
        self.flags = flags
        self.value = value
        self.hlc = hlc
        self.origin = origin
        self.sequence = sequence
        self.time = time
        self.lease = lease
        self.length = length
        self.home = home
    }

    init(_ entry: KeptEntry) {
        namespace = entry.namespace.name
        key = entry.key
        kind = Int64(OperationKind.write.rawValue)
        switch entry.value {
        case .bytes(let bytes): value = bytes
        case .registration(let registration):
            value = RegistrationBytes.encode(registration)
            flags |= Flag.registration
        }
        (hlc, origin, sequence) = (entry.version.hlc, entry.version.origin, entry.version.sequence)
        time = entry.registeredAt
        lease = entry.lease?.rawValue ?? 0
        guard let own = entry.ownLease else { return }
        flags |= Flag.ownLease | (own.isSuspended ? Flag.suspended : 0)
        length = own.milliseconds
        home = own.home
    }

    init(_ tombstone: KeptTombstone) {
        namespace = tombstone.namespace.name
        key = tombstone.key
        kind = Int64(tombstone.version.kind.rawValue)
        flags = tombstone.wasLeased ? Flag.wasLeased : 0
        let version = tombstone.version
        (hlc, origin, sequence) = (version.hlc, version.origin, version.sequence)
        time = tombstone.removedAt
    }

    /// What a row means.
    enum Meaning: Hashable, Sendable {
        case entry(KeptEntry)
        case tombstone(KeptTombstone)
    }

    /// Nil when the row was not written by this program.
    var meaning: Meaning? {
        guard let kind = UInt8(exactly: kind).flatMap({ OperationKind(rawValue: $0) }), !key.isEmpty else { return nil }
        let version = Version(hlc: hlc, kind: kind, origin: origin, sequence: sequence)
        guard kind == .write else {
            return .tombstone(
                KeptTombstone(
                    namespace: Namespace(namespace), key: key, version: version, removedAt: time,
                    wasLeased: has(Flag.wasLeased)))
        }
        guard let value, let put = put(value), length >= 0 else { return nil }
        let id = lease == 0 ? nil : LeaseID(lease)
        let own = has(Flag.ownLease) ? id : nil
        return .entry(
            KeptEntry(
                namespace: Namespace(namespace), key: key, value: put, version: version, registeredAt: time, lease: id,
                ownLease: own.map {
                    KeptLease(
                        id: $0, milliseconds: length, isShared: false, isSuspended: has(Flag.suspended), home: home)
                }))
    }

    private func put(_ value: [UInt8]) -> PutValue? {
        has(Flag.registration) ? RegistrationBytes.decode(value).map { .registration($0) } : .bytes(value)
    }

    private func has(_ flag: Int64) -> Bool { flags & flag != 0 }

    /// Tells a row whose bytes have changed on the disk from the one that was written.
    var checksum: Int64 {
        var sum = Checksum()
        sum.add(namespace)
        sum.add(key)
        for number in [
            kind, flags, Int64(bitPattern: hlc), Int64(bitPattern: origin), Int64(bitPattern: sequence), time, lease,
            length,
        ] {
            sum.add(number)
        }
        sum.add(value)
        sum.add(home)
        return sum.value
    }
}

/// A hash over fields, each with its length.
struct Checksum {
    private var hash = FNV1a()

    var value: Int64 { Int64(bitPattern: hash.value) }

    mutating func add(_ number: Int64) { hash.add(number: UInt64(bitPattern: number)) }

    mutating func add(_ bytes: [UInt8]?) {
        add(Int64(bytes?.count ?? -1))
        hash.add(bytes ?? [])
    }

    mutating func add(_ text: String?) {
        add(Int64(text?.utf8.count ?? -1))
        hash.add((text ?? "").utf8)
    }
}
