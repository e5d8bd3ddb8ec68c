package import RegistryStore

/// What a node has, and its clock, by which others estimate how far theirs is off.
package struct DigestFrame: Hashable, Sendable {
    /// Unix milliseconds when it was sent.
    package var clock: Int64
    package var summary: ReplicaSummary
    /// By ascending origin; nil in the short form.
    package var origins: [ReplicaDigest.Origin]?
    /// Whether further origins are told by other frames.
    package var isPart: Bool

    package init(
        clock: Int64, summary: ReplicaSummary, origins: [ReplicaDigest.Origin]? = nil, isPart: Bool = false
    ) {
        self.clock = clock
        self.summary = summary
        self.origins = origins
        self.isPart = isPart && origins != nil
    }
}

/// Asks for a session: what the asker has.
package struct WantFrame: Hashable, Sendable {
    /// Chosen by the asker; on every page of the answer.
    package var session: UInt64
    package var context: [SyncOrigin]

    package init(session: UInt64, context: [SyncOrigin]) {
        self.session = session
        self.context = context
    }
}

/// Heartbeats of leases that the receiver counts.
package struct RenewFrame: Hashable, Sendable {
    /// Of the sender; the answer names it.
    package var batch: UInt64
    /// Hybrid time of the sender when it was sent, so that an old recording is worth nothing.
    package var hlc: UInt64
    package var renewals: [Renewal]

    package struct Renewal: Hashable, Sendable {
        package var id: LeaseID
        /// How long ago the heartbeat came.
        package var ageMilliseconds: Int64

        package init(id: LeaseID, ageMilliseconds: Int64) {
            self.id = id
            self.ageMilliseconds = ageMilliseconds
        }
    }

    package init(batch: UInt64, hlc: UInt64, renewals: [Renewal]) {
        self.batch = batch
        self.hlc = hlc
        self.renewals = renewals
    }
}

/// Acknowledges a batch of heartbeats, but for leases that this node does not count.
package struct RenewAnswerFrame: Hashable, Sendable {
    package var batch: UInt64
    package var refused: [LeaseID]

    package init(batch: UInt64, refused: [LeaseID]) {
        self.batch = batch
        self.refused = refused
    }
}

/// A lease whose home is leaving, for its steward.
package struct Handover: Hashable, Sendable {
    package var id: LeaseID
    package var remainingMilliseconds: Int64

    package init(id: LeaseID, remainingMilliseconds: Int64) {
        self.id = id
        self.remainingMilliseconds = remainingMilliseconds
    }
}

/// The first frame of a stream, in either direction.
package struct HelloFrame: Hashable, Sendable {
    /// Versions of frames that the node reads.
    package var versions: ClosedRange<UInt8>
    package var node: String
    package var origin: UInt64
    /// 16 bytes.
    package var nonce: [UInt8]
    /// X25519, 32 bytes; empty without encryption.
    package var publicKey: [UInt8]
    package var digest: DigestFrame

    package static let nonceBytes = 16
    package static let publicKeyBytes = 32

    package init(
        versions: ClosedRange<UInt8>, node: String, origin: UInt64, nonce: [UInt8], publicKey: [UInt8],
        digest: DigestFrame
    ) {
        self.versions = versions
        self.node = node
        self.origin = origin
        self.nonce = nonce
        self.publicKey = publicKey
        self.digest = digest
    }
}

/// The last frame of a side that ends a stream before it has given what it was asked for.
package struct ByeFrame: Hashable, Sendable {
    package var reason: Reason
    /// When to come back; 0 for no advice.
    package var retryMilliseconds: Int64

    /// Later versions may have more.
    package struct Reason: RawRepresentable, Hashable, Sendable {
        package var rawValue: UInt8

        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// As many sessions as there may be.
        package static let busy = Reason(rawValue: 1)
        /// The node is being shut down.
        package static let stopping = Reason(rawValue: 2)
    }

    package init(reason: Reason, retryMilliseconds: Int64 = 0) {
        self.reason = reason
        self.retryMilliseconds = retryMilliseconds
    }
}

// MARK: Bytes

extension ByteWriter {
    mutating func digest(_ digest: DigestFrame) {
        varint(Int(digest.clock))
        fixed64(digest.summary.context)
        fixed64(digest.summary.entries)
        guard let origins = digest.origins else { return byte(0) }
        byte(digest.isPart ? 2 : 1)
        varint(origins.count)
        for origin in origins {
            fixed64(origin.origin)
            varint(origin.head)
            varint(origin.floor)
            varint(origin.missing)
            fixed64(origin.hash)
        }
    }

    mutating func renew(_ renew: RenewFrame) {
        varint(renew.batch)
        fixed64(renew.hlc)
        varint(renew.renewals.count)
        for renewal in renew.renewals {
            fixed64(UInt64(bitPattern: renewal.id.rawValue))
            varint(Int(renewal.ageMilliseconds))
        }
    }

    mutating func hello(_ hello: HelloFrame) {
        byte(hello.versions.lowerBound)
        byte(hello.versions.upperBound)
        text(hello.node)
        fixed64(hello.origin)
        raw(hello.nonce)
        string(hello.publicKey)
        digest(hello.digest)
    }
}

extension ByteReader {
    mutating func digest() throws(ByteError) -> DigestFrame {
        let clock = try int(.digest)
        let summary = ReplicaSummary(context: try fixed64(), entries: try fixed64())
        let form = try byte()
        guard form <= 2 else { throw malformed(.digest) }
        guard form > 0 else { return DigestFrame(clock: clock, summary: summary) }
        var origins: [ReplicaDigest.Origin] = []
        for _ in 0..<(try count()) {
            let origin = ReplicaDigest.Origin(
                origin: try fixed64(), head: try varint(), floor: try varint(),
                missing: Int(try int(.digest, max: Int64(UInt32.max))), hash: try fixed64())
            if let last = origins.last, origin.origin <= last.origin { throw malformed(.digest) }
            origins.append(origin)
        }
        return DigestFrame(clock: clock, summary: summary, origins: origins, isPart: form == 2)
    }

    mutating func renew() throws(ByteError) -> RenewFrame {
        var renew = RenewFrame(batch: try varint(), hlc: try fixed64(), renewals: [])
        for _ in 0..<(try count()) {
            renew.renewals.append(RenewFrame.Renewal(id: try leaseID(), ageMilliseconds: try int(.renewal)))
        }
        return renew
    }

    mutating func hello() throws(ByteError) -> HelloFrame {
        let (low, high) = (try byte(), try byte())
        guard low <= high else { throw malformed(.hello) }
        let node = try text()
        let origin = try fixed64()
        let nonce = try raw(HelloFrame.nonceBytes)
        let key = try string()
        guard key.isEmpty || key.count == HelloFrame.publicKeyBytes else { throw malformed(.hello) }
        return HelloFrame(
            versions: low...high, node: node, origin: origin, nonce: nonce, publicKey: key, digest: try digest())
    }
}
