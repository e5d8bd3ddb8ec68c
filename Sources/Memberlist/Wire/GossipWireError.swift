/// Why bytes are no gossip message, or a message cannot be written. Small: what, and where.
package enum GossipWireError: Error, Hashable, Sendable {
    /// The input ends before the item does. A stream that is still open may bring the rest: with `needed` bytes in all
    /// it is worth another look.
    case truncated(needed: Int)
    /// A message inside of a seal or of compression that ends too early.
    case cutShort
    /// A packet, a wrapper or a part with nothing in it.
    case empty
    /// A byte that begins no msgpack value, or none that is taken here (extensions).
    case badTag(UInt8, offset: Int)
    /// A value of another kind than its field's.
    case wrongKind(Field, offset: Int)
    /// A number outside of its field's range.
    case outOfRange(Field, offset: Int)
    /// A field that is there twice.
    case duplicateField(Field)
    /// A message body that is not a map.
    case notAMap(offset: Int)
    /// A map key that is not text.
    case keyNotText(offset: Int)
    /// Values nested deeper, or wrappers inside wrappers, than taken.
    case tooDeep(limit: Int)
    /// More of something than taken.
    case tooMuch(Quantity, limit: Int)
    /// A first byte that is none of memberlist's types, or one that may not stand here.
    case unknownType(UInt8)
    /// A checksum that does not match.
    case badChecksum
    /// A compression algorithm other than 0.
    case unknownCompression(UInt64)
    /// LZW text that is broken at this byte.
    case badLZW(offset: Int)
    /// A sealed message of another version than 0 and 1.
    case unknownSealVersion(UInt8)
    /// A sealed message that is shorter than its nonce and tag.
    case sealTooShort
    /// No key of the ring opens the message.
    case noKeyOpens
    /// Padding that is not as PKCS7 makes it.
    case badPadding
    /// A plain message where only sealed ones are taken.
    case plainRefused
    /// A sealed stream at a node without keys.
    case sealedWithoutKeys
    /// A label where none, or another one, is expected; or the expected one is missing.
    case wrongLabel
    /// The input cannot be sealed: no key, or the library refused.
    case sealFailed

    /// What can be too much.
    package enum Quantity: Hashable, Sendable {
        case elements
        case messages
        case nodes
        case parts
        case partBytes
        case plainBytes
        case sealedBytes
        case streamBytes
        case userBytes
        case userStateBytes
    }
}
