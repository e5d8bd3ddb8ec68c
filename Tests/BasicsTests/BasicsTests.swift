import Basics
import Testing

struct BasicsTests {
    // MARK: Hashes and random numbers

    /// The vectors of RFC 9923, appendix C.
    @Test(
        "FNV-1a is what its authors say",
        arguments: [
            ("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8),
        ] as [(String, UInt64)])
    func fnv1a(text: String, hash: UInt64) {
        #expect(FNV1a(text.utf8).value == hash)
        var parts = FNV1a()
        for octet in text.utf8 { parts.add(octet) }
        #expect(parts.value == hash)
    }

    @Test("Numbers are hashed as eight octets, lowest first")
    func number() {
        var hash = FNV1a()
        hash.add(number: 0x8877_6655_4433_2211)
        #expect(hash.value == FNV1a([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]).value)
    }

    /// The first numbers of Vigna's splitmix64.c.
    @Test(
        "SplitMix64 is what its authors say",
        arguments: [
            (0, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]),
            (1_234_567, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]),
        ] as [(UInt64, [UInt64])])
    func splitMix64(seed: UInt64, numbers: [UInt64]) {
        var random = SplitMix64(seed: seed)
        #expect(numbers.indices.map { _ in random.next() } == numbers)
    }

    // MARK: Octets as text

    @Test("Hexadecimal digits there and back")
    func hex() {
        let octets: [UInt8] = [0x00, 0x0f, 0x10, 0x9a, 0xbc, 0xff]
        #expect(HexText.lower(octets) == "000f109abcff")
        #expect(HexText.upper(octets) == "000F109ABCFF")
        for text in ["000f109abcff", "000F109ABCFF", "000f109AbCfF"] {
            #expect(HexText.decode(Array(text.utf8)) == octets)
        }
        for text in ["0", "0g", "g0", " 0", "0x"] { #expect(HexText.decode(Array(text.utf8)) == nil, "\(text)") }
        let digits = (0...255 as ClosedRange<UInt8>).filter { HexText.value($0) != nil }
        #expect(String(decoding: digits, as: UTF8.self) == "0123456789ABCDEFabcdef")
        for octet in 0..<16 as Range<UInt8> {
            #expect(
                HexText.value(HexText.lowerDigit(octet)) == octet && HexText.value(HexText.upperDigit(octet)) == octet)
        }
    }

    private struct Malformed: Error, Equatable { var place: Int }

    @Test("Percent escapes there and back")
    func percent() throws {
        let octets = Array(0...255 as ClosedRange<UInt8>)
        let text = PercentText.encode(octets, where: PercentText.isUnreserved)
        let plain = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
        #expect(String(decoding: octets.filter(PercentText.isUnreserved), as: UTF8.self) == plain)
        #expect(text.count == plain.utf8.count + 3 * (256 - plain.utf8.count))
        let decoded = try PercentText.decode(text[...]) { (place) throws(Malformed) in throw Malformed(place: place) }
        #expect(decoded == octets)
    }

    @Test(
        "What is no escape stands for itself, or is refused where it stands",
        arguments: [
            ("", "", nil), ("%41%4a%4A", "AJJ", nil), ("%", "%", 0), ("a%4", "a%4", 1), ("%zz%41", "%zzA", 0),
            ("%4%41", "%4A", 0), ("%%41", "%A", 0), ("+%2b", " +", nil),
        ] as [(String, String, Int?)])
    func escapes(text: String, decoded: String, malformed: Int?) {
        // A slice that does not begin at zero.
        let slice = Array("%41\(text)".utf8)[3...]
        var places: [Int] = []
        let octets = PercentText.decode(slice, plusIsSpace: true) { places.append($0 - 3) }
        #expect(String(decoding: octets, as: UTF8.self) == decoded)
        #expect(places.first == malformed)
    }
}
