/// Why bytes or text are no DNS name, record or message. Small: what, and the offset where it was found.
public enum WireError: Error, Hashable, Sendable {
    /// The input ends before the item does.
    case truncated(offset: Int)
    /// Octets are left where the item should end.
    case trailingOctets(offset: Int)
    /// A label of more than 63 octets.
    case labelTooLong(offset: Int)
    /// A name of more than 255 octets in wire form.
    case nameTooLong(offset: Int)
    /// Two dots in a row, or one at the start.
    case emptyLabel(offset: Int)
    /// A backslash that is followed by neither a character nor three digits up to 255.
    case badEscape(offset: Int)
    /// A label type other than 00 and 11 (RFC 6891 §5 retired 01).
    case reservedLabelType(offset: Int)
    /// A compression pointer where none may be, or one that does not point backwards.
    case badPointer(offset: Int)
    /// A name inside a message that is cut, too long, or points where it may not.
    case badName(offset: Int)
    /// RDATA that does not have the form of its type.
    case badRDATA(type: RRType, offset: Int)
    /// A message of more than 65,535 octets.
    case messageTooLong(offset: Int)
}

extension WireError: CustomStringConvertible {
    /// What is wrong and where, as half a sentence.
    public var description: String {
        switch self {
        case .truncated(let offset): "ends too early at octet \(offset)"
        case .trailingOctets(let offset): "goes on after its end at octet \(offset)"
        case .labelTooLong(let offset): "label of more than 63 octets at octet \(offset)"
        case .nameTooLong(let offset): "name of more than 255 octets at octet \(offset)"
        case .emptyLabel(let offset): "empty label at octet \(offset)"
        case .badEscape(let offset): "backslash without a character or three digits up to 255 at octet \(offset)"
        case .reservedLabelType(let offset): "reserved label type at octet \(offset)"
        case .badPointer(let offset): "compression pointer not allowed here or not backwards at octet \(offset)"
        case .badName(let offset): "broken name at octet \(offset)"
        case .badRDATA(let type, let offset): "RDATA not of type \(type) at octet \(offset)"
        case .messageTooLong(let offset): "message of more than 65535 octets at octet \(offset)"
        }
    }
}
