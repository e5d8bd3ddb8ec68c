import Basics

/// Writes single fields of RDATA as zone files do.
enum RecordTextFormatter {
    /// The text of one field whose octets have its form; nil when no text would be read back as these octets.
    static func format(_ field: RDATAField, _ octets: ArraySlice<UInt8>) -> String? {
        switch field {
        case .octet, .uint16, .uint32, .period: String(number(octets))
        case .time: TimeText.encode(UInt32(truncatingIfNeeded: number(octets)))
        case .type: RRType(rawValue: UInt16(truncatingIfNeeded: number(octets))).name
        case .ipv4: IPAddressText.format(ipv4: UInt32(truncatingIfNeeded: number(octets)))
        case .ipv6: IPAddressText.format(ipv6: (number(octets.prefix(8)), number(octets.dropFirst(8))))
        case .name, .compressedName: NameText.format(Array(octets))
        case .characterString, .characterStrings: strings(octets)
        case .tag:
            octets.dropFirst().allSatisfy(isAlphanumeric) ? String(decoding: octets.dropFirst(), as: UTF8.self) : nil
        case .quotedRest: quoted(octets)
        case .hexRest: octets.isEmpty ? nil : HexText.upper(octets)
        case .base64Rest: octets.isEmpty ? nil : Base64Text.encode(octets)
        case .typeBitmap: types(octets)
        case .serviceParameters: ServiceParameters.decode(octets)
        }
    }

    private static func isAlphanumeric(_ octet: UInt8) -> Bool {
        NameText.isDigit(octet) || (octet | 0x20) &- 0x61 < 26
    }

    /// Windows with superfluous zeros have no text.
    private static func types(_ octets: ArraySlice<UInt8>) -> String? {
        let types = TypeBitmap.decode(octets)
        return TypeBitmap.encode(types).elementsEqual(octets) ? types.map(\.name).joined(separator: " ") : nil
    }

    private static func number(_ octets: ArraySlice<UInt8>) -> UInt64 {
        octets.reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func strings(_ octets: ArraySlice<UInt8>) -> String {
        var parts: [String] = []
        var left = octets
        while let count = left.popFirst() {
            parts.append(quoted(left.prefix(Int(count))))
            left = left.dropFirst(Int(count))
        }
        return parts.joined(separator: " ")
    }

    private static func quoted(_ octets: ArraySlice<UInt8>) -> String { "\"\(NameText.escapedString(octets))\"" }
}
