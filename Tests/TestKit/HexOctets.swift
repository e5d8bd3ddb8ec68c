import Basics

/// A text of a test that should be hexadecimal digits.
package struct HexError: Error, CustomStringConvertible {
    let text: String

    package var description: String { "no octets of two hexadecimal digits each: \(text.prefix(80))" }
}

/// Octets as two hexadecimal digits each; blanks between them are passed over.
package func octets(hex: String) throws(HexError) -> [UInt8] {
    guard let octets = HexText.decode(hex.utf8.filter { $0 != UInt8(ascii: " ") }) else { throw HexError(text: hex) }
    return octets
}

package func hex(_ octets: some Sequence<UInt8>) -> String { HexText.lower(octets) }
