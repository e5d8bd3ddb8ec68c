import DNSWire

/// Parses `message` as it lies in a receive buffer: followed by slack that must not be read as part of it.
func parseQuery(_ message: [UInt8]) -> ParsedQuery {
    let buffer = message + [UInt8](repeating: 0xa5, count: 16)
    return QueryParser.parse(buffer.span.octets, length: message.count)
}

/// The QNAME of a query that has one.
func questionName(_ query: ParsedQuery, in message: [UInt8]) throws -> OwnerName {
    try OwnerName(wire: Array(message[QueryParser.nameOffset..<QueryParser.nameOffset + query.nameLength]))
}
