/// Why bytes are no frame.
package enum FrameError: Error, Hashable, Sendable {
    /// They end where more was announced.
    case short(offset: Int)
    /// They do not start with `d0`.
    case notAFrame
    /// A version, or flags, that this node does not know: skipped and counted.
    case unknownVersion(UInt8)
    /// A value that has another, canonical encoding, or that cannot be: which field, and where it ended.
    case malformed(FrameField, offset: Int)
}

/// The part of a frame that is wrong.
package enum FrameField: String, Hashable, Sendable {
    case varint, text, table, operation, lease, registration, context, session, digest, hello, renewal, bye, extensions
}
