package import RegistryStore

/// Why bytes are no frame.
package enum FrameError: Error, Hashable, Sendable {
    /// They end where more was announced.
    case short(offset: Int)
    /// They do not start with `d0`.
    case notAFrame
    /// A version, or flags, that this node does not know: skipped and counted.
    case unknownVersion(UInt8)
    /// A value that has another, canonical encoding, or that cannot be: which field, and where it ended.
    case malformed(ByteField, offset: Int)

    init(_ error: ByteError) {
        self =
            switch error {
            case .short(let offset): .short(offset: offset)
            case .malformed(let field, let offset): .malformed(field, offset: offset)
            }
    }
}

extension ByteField {
    static let table = ByteField("table")
    static let operation = ByteField("operation")
    static let lease = ByteField("lease")
    static let context = ByteField("context")
    static let session = ByteField("session")
    static let digest = ByteField("digest")
    static let hello = ByteField("hello")
    static let renewal = ByteField("renewal")
    static let bye = ByteField("bye")
    static let extensions = ByteField("extensions")
}
