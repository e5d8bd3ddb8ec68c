package import RegistryStore

/// A message between regdns nodes: `d0`, version and flags, kind, body, extensions. It travels as a user message of the
/// membership layer, or on a stream.
package struct Frame: Hashable, Sendable {
    package var body: Body
    /// Fields that a later version added, as it wrote them.
    package var extensions: [FrameExtension]

    package enum Body: Hashable, Sendable {
        /// Operations in any order. They claim nothing but themselves.
        case delta([RemoteOperation])
        case digest(DigestFrame)
        case want(WantFrame)
        case renew(RenewFrame)
        case renewAnswer(RenewAnswerFrame)
        case handover([Handover])
        case hello(HelloFrame)
        case page(session: UInt64, SyncPage)
        case bye(ByeFrame)
        /// A kind of a later version: skipped. The bytes after the kind.
        case unknown(kind: UInt8, [UInt8])
    }

    package init(_ body: Body, extensions: [FrameExtension] = []) {
        self.body = body
        self.extensions = extensions
    }

    static let firstByte: UInt8 = 0xd0
    package static let version: UInt8 = 1

    private enum Kind: UInt8 {
        case delta = 1
        case digest, want, renew, renewAnswer, handover, hello, page, bye
    }

    // MARK: Composing

    /// The bytes of the frame: one encoding per value.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.byte(Self.firstByte)
        writer.byte(Self.version << 4)
        writer.byte(kind)
        switch body {
        case .delta(let operations): writer.operations(operations)
        case .digest(let digest): writer.digest(digest)
        case .want(let want):
            writer.fixed64(want.session)
            writer.context(want.context)
        case .renew(let renew): writer.renew(renew)
        case .renewAnswer(let answer):
            writer.varint(answer.batch)
            writer.varint(answer.refused.count)
            for id in answer.refused { writer.fixed64(UInt64(bitPattern: id.rawValue)) }
        case .handover(let leases):
            writer.varint(leases.count)
            for lease in leases {
                writer.fixed64(UInt64(bitPattern: lease.id.rawValue))
                writer.varint(Int(lease.remainingMilliseconds))
            }
        case .hello(let hello): writer.hello(hello)
        case .page(let session, let page):
            writer.fixed64(session)
            writer.page(page)
        case .bye(let bye):
            writer.byte(bye.reason.rawValue)
            writer.varint(Int(bye.retryMilliseconds))
        case .unknown(_, let bytes):
            writer.raw(bytes)
            return writer.bytes
        }
        for item in extensions {
            writer.varint(item.type)
            writer.string(item.bytes)
        }
        return writer.bytes
    }

    private var kind: UInt8 {
        let kind: Kind
        switch body {
        case .delta: kind = .delta
        case .digest: kind = .digest
        case .want: kind = .want
        case .renew: kind = .renew
        case .renewAnswer: kind = .renewAnswer
        case .handover: kind = .handover
        case .hello: kind = .hello
        case .page: kind = .page
        case .bye: kind = .bye
        case .unknown(let kind, _): return kind
        }
        return kind.rawValue
    }

    // MARK: Parsing

    /// Reads a frame; whatever the bytes, it ends soon and takes memory in proportion to their number.
    package init(decoding bytes: [UInt8]) throws(FrameError) {
        guard let first = bytes.first else { throw .short(offset: 0) }
        guard first == Self.firstByte else { throw .notAFrame }
        guard bytes.count > 1 else { throw .short(offset: 1) }
        guard bytes[1] == Self.version << 4 else { throw .unknownVersion(bytes[1]) }
        do throws(ByteError) {
            var reader = ByteReader(bytes)
            _ = try reader.raw(2)
            self = try Self(&reader)
        } catch {
            throw FrameError(error)
        }
    }

    /// Reads what follows the version.
    private init(_ reader: inout ByteReader) throws(ByteError) {
        let code = try reader.byte()
        guard let kind = Kind(rawValue: code) else {
            self.init(.unknown(kind: code, try reader.raw(reader.remaining)))
            return
        }
        let body = try Self.body(kind, &reader)
        self.init(body, extensions: try reader.extensions())
    }

    private static func body(_ kind: Kind, _ reader: inout ByteReader) throws(ByteError) -> Body {
        switch kind {
        case .delta: return .delta(try reader.operations())
        case .digest: return .digest(try reader.digest())
        case .want: return .want(WantFrame(session: try reader.fixed64(), context: try reader.context()))
        case .renew: return .renew(try reader.renew())
        case .renewAnswer:
            let batch = try reader.varint()
            var refused: [LeaseID] = []
            for _ in 0..<(try reader.count()) { refused.append(try reader.leaseID()) }
            return .renewAnswer(RenewAnswerFrame(batch: batch, refused: refused))
        case .handover:
            var leases: [Handover] = []
            for _ in 0..<(try reader.count()) {
                let id = try reader.leaseID()
                leases.append(Handover(id: id, remainingMilliseconds: try reader.int(.lease)))
            }
            return .handover(leases)
        case .hello: return .hello(try reader.hello())
        case .page: return .page(session: try reader.fixed64(), try reader.page())
        case .bye:
            let reason = ByeFrame.Reason(rawValue: try reader.byte())
            return .bye(ByeFrame(reason: reason, retryMilliseconds: try reader.int(.bye)))
        }
    }
}

/// A field that this version does not know. Types ascend within a frame.
package struct FrameExtension: Hashable, Sendable {
    package var type: UInt64
    package var bytes: [UInt8]

    package init(type: UInt64, bytes: [UInt8]) {
        self.type = type
        self.bytes = bytes
    }

    /// Of a want: a repair is asked for. Who does not know it sends an ordinary session.
    package static let repair = FrameExtension(type: 1, bytes: [])
}

extension ByteReader {
    fileprivate mutating func extensions() throws(ByteError) -> [FrameExtension] {
        var result: [FrameExtension] = []
        while !isAtEnd {
            let type = try varint()
            if let last = result.last, type <= last.type { throw malformed(.extensions) }
            result.append(FrameExtension(type: type, bytes: try string()))
        }
        return result
    }

    mutating func leaseID() throws(ByteError) -> LeaseID {
        let id = LeaseID(Int64(bitPattern: try fixed64()))
        guard id.rawValue != 0 else { throw malformed(.lease) }
        return id
    }
}
