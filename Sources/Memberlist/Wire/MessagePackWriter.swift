/// Writes msgpack exactly as go-msgpack does by default ("old spec"): text and bytes share one family, integers take
/// their shortest form. Fields must be written in the order of their names, since Go sorts them.
struct MessagePackWriter {
    private(set) var bytes: [UInt8]

    init(type: UInt8? = nil) { bytes = type.map { [$0] } ?? [] }

    private mutating func bigEndian(_ value: UInt64, octets: Int) {
        for place in (0..<octets).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(place * 8))) }
    }

    private mutating func head(_ count: Int, short: UInt8, shortMax: Int, tag16: UInt8) {
        if count <= shortMax {
            bytes.append(short | UInt8(count))
        } else if count <= 0xffff {
            bytes.append(tag16)
            bigEndian(UInt64(count), octets: 2)
        } else {
            bytes.append(tag16 + 1)
            bigEndian(UInt64(count), octets: 4)
        }
    }

    mutating func map(_ count: Int) { head(count, short: 0x80, shortMax: 15, tag16: 0xde) }
    mutating func array(_ count: Int) { head(count, short: 0x90, shortMax: 15, tag16: 0xdc) }
    mutating func null() { bytes.append(0xc0) }
    mutating func bool(_ value: Bool) { bytes.append(value ? 0xc3 : 0xc2) }

    mutating func text(_ octets: some Collection<UInt8>) {
        head(octets.count, short: 0xa0, shortMax: 31, tag16: 0xda)
        bytes += octets
    }

    mutating func number(_ value: UInt64) {
        switch value {
        case 0...0x7f: bytes.append(UInt8(value))
        case 0...0xff:
            bytes.append(0xcc)
            bigEndian(value, octets: 1)
        case 0...0xffff:
            bytes.append(0xcd)
            bigEndian(value, octets: 2)
        case 0...0xffff_ffff:
            bytes.append(0xce)
            bigEndian(value, octets: 4)
        default:
            bytes.append(0xcf)
            bigEndian(value, octets: 8)
        }
    }

    mutating func raw(_ octets: some Sequence<UInt8>) { bytes += octets }

    // MARK: Fields

    mutating func key(_ field: Field) { text(Field.octets[Int(field.rawValue)]) }

    mutating func field(_ field: Field, text octets: some Collection<UInt8>) {
        key(field)
        text(octets)
    }

    /// nil is written as nil, no bytes as no bytes; Go does both.
    mutating func field(_ field: Field, bytes octets: [UInt8]?) {
        key(field)
        if let octets { text(octets) } else { null() }
    }

    mutating func field(_ field: Field, number value: some UnsignedInteger) {
        key(field)
        number(UInt64(value))
    }

    mutating func field(_ field: Field, bool value: Bool) {
        key(field)
        bool(value)
    }
}
