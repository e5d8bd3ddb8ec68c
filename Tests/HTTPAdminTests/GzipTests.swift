import RegdnsTestKit
import Testing

@testable import HTTPAdmin

struct GzipTests {
    @Test(arguments: [
        "", "a", "abc", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", #"{"instances":[]}"#, "éàü日本 ÿ",
        String(repeating: #"{"id":"0123456789abcdef","endpoint":{"type":"tcp","value":"10.0.0.1:80"}},"#, count: 2000),
    ])
    func textComesBack(text: String) throws {
        let input = Array(text.utf8)
        let packed = Gzip.compress(input)
        #expect(try Inflater.gunzip(packed) == input)
        if input.count > 1000 { #expect(packed.count < input.count / 10) }
    }

    @Test func randomBytesComeBack() throws {
        var generator = SeededRandom.fromEnvironment()
        for _ in 0..<200 {
            // Few different bytes make long matches, many make none; lengths pass the window now and then.
            let alphabet = UInt8.random(in: 1...255, using: &generator)
            let count =
                Int.random(in: 0...2000, using: &generator) * (Int.random(in: 0...20, using: &generator) == 0 ? 40 : 1)
            let input = (0..<count).map { _ in UInt8.random(in: 0...alphabet, using: &generator) }
            #expect(try Inflater.gunzip(Gzip.compress(input)) == input, "seed \(generator.seed)")
        }
    }

    @Test func checksumOfRFC() {
        #expect(Gzip.checksum(Array("123456789".utf8)) == 0xcbf4_3926)
    }
}

/// Decodes RFC 1952 with blocks of the fixed code only, written from the RFC and not from the encoder.
struct Inflater {
    enum Fault: Error { case malformed(String) }

    private let bytes: [UInt8]
    private var bit: Int

    static func gunzip(_ bytes: [UInt8]) throws -> [UInt8] {
        guard bytes.count >= 18, Array(bytes[0..<4]) == [0x1f, 0x8b, 8, 0] else { throw Fault.malformed("header") }
        var inflater = Inflater(bytes: bytes, bit: 80)
        let out = try inflater.block()
        let trailer = bytes.suffix(8).map(UInt32.init)
        let sum = trailer[0] | trailer[1] << 8 | trailer[2] << 16 | trailer[3] << 24
        let size = trailer[4] | trailer[5] << 8 | trailer[6] << 16 | trailer[7] << 24
        guard (inflater.bit + 7) / 8 == bytes.count - 8 else { throw Fault.malformed("length") }
        guard Int(size) == out.count, sum == Gzip.checksum(out) else { throw Fault.malformed("trailer") }
        return out
    }

    private mutating func take(_ count: Int) throws -> Int {
        var value = 0
        for place in 0..<count {
            guard bit / 8 < bytes.count else { throw Fault.malformed("end") }
            value |= Int(bytes[bit / 8] >> UInt8(bit % 8) & 1) << place
            bit += 1
        }
        return value
    }

    private mutating func code(_ count: Int) throws -> Int {
        var value = 0
        for _ in 0..<count { value = value << 1 | (try take(1)) }
        return value
    }

    private mutating func symbol() throws -> Int {
        let seven = try code(7)
        if seven <= 0b0010111 { return 256 + seven }
        let eight = seven << 1 | (try take(1))
        if (0b00110000...0b10111111).contains(eight) { return eight - 0b00110000 }
        if (0b11000000...0b11000111).contains(eight) { return 280 + eight - 0b11000000 }
        return 144 + (eight << 1 | (try take(1))) - 0b110010000
    }

    private mutating func block() throws -> [UInt8] {
        guard try take(1) == 1, try take(2) == 1 else { throw Fault.malformed("block") }
        let lengthBase = [
            3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
            227, 258,
        ]
        let lengthExtra = [
            0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
        ]
        let distanceBase = [
            1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
            4097, 6145, 8193, 12289, 16385, 24577,
        ]
        var out: [UInt8] = []
        while true {
            let symbol = try symbol()
            if symbol == 256 { return out }
            if symbol < 256 {
                out.append(UInt8(symbol))
                continue
            }
            let length = lengthBase[symbol - 257] + (try take(lengthExtra[symbol - 257]))
            let step = try code(5)
            let distance = distanceBase[step] + (try take(max(0, step / 2 - 1)))
            guard distance <= out.count else { throw Fault.malformed("distance") }
            for _ in 0..<length { out.append(out[out.count - distance]) }
        }
    }
}
