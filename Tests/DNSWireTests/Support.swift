import DNSWire
import Foundation
import Testing

/// Files beside the tests' sources, so that tests need no resources in the bundle.
enum TestFiles {
    static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

    static func json<Value: Decodable>(_ path: String, as type: Value.Type) throws -> Value {
        try JSONDecoder().decode(type, from: Data(contentsOf: tests.appendingPathComponent(path)))
    }
}

/// Octets as two hexadecimal digits each.
func octets(hex: String) throws -> [UInt8] {
    let digits = Array(hex.utf8)
    try #require(digits.count % 2 == 0)
    return try stride(from: 0, to: digits.count, by: 2).map { index in
        try #require(UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16))
    }
}

func hex(_ octets: [UInt8]) -> String {
    octets.map { String(format: "%02x", $0) }.joined()
}

/// Parses `message` as it lies in a receive buffer: followed by slack that must not be read as part of it.
func parseQuery(_ message: [UInt8]) -> ParsedQuery {
    let buffer = message + [UInt8](repeating: 0xa5, count: 16)
    return QueryParser.parse(buffer.span.octets, length: message.count)
}

/// The QNAME of a query that has one.
func questionName(_ query: ParsedQuery, in message: [UInt8]) throws -> OwnerName {
    try OwnerName(wire: Array(message[QueryParser.nameOffset..<QueryParser.nameOffset + query.nameLength]))
}
