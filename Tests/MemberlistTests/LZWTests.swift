import Foundation
import Memberlist
import RegdnsTestKit
import Testing

/// Compression octet for octet as Go's, by a table that lzw_vectors.py made.
@Suite struct LZWTests {
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        var input: String?
        var output: String?
        var seed: UInt64?
        var count: Int?
        var symbols: UInt64?
        var length: Int?
        var crc: UInt32?

        var testDescription: String { input.map { "octets \($0.prefix(40))" } ?? "rule \(seed ?? 0), \(count ?? 0)" }

        var plain: [UInt8] {
            if let input { return octets(input) }
            var value = seed ?? 0
            return (0..<(count ?? 0)).map { _ in
                value = (value * 1_103_515_245 + 12_345) % (1 << 31)
                return UInt8(truncatingIfNeeded: (value >> 16) % (symbols ?? 1))
            }
        }
    }

    struct File: Decodable { var cases: [Case] }

    static let cases: [Case] = {
        let path = TestFiles.tests.appending(path: "Conformance/gossip/lzw.json")
        return (try? JSONDecoder().decode(File.self, from: Data(contentsOf: path)).cases) ?? []
    }()

    @Test func theTableIsThere() {
        #expect(Self.cases.count > 60)
    }

    @Test(arguments: cases)
    func bothWays(example: Case) throws {
        let plain = example.plain
        let compressed = LZW.encode(plain)
        if let output = example.output {
            #expect(compressed == octets(output))
        } else {
            #expect(compressed.count == example.length)
            #expect(CRC32.of(compressed[...]) == example.crc)
        }
        #expect(try LZW.decode(compressed, limit: plain.count) == plain)
        if !plain.isEmpty {
            #expect(throws: GossipWireError.tooMuch(.plainBytes, limit: plain.count - 1)) {
                try LZW.decode(compressed, limit: plain.count - 1)
            }
        }
    }

    @Test(
        "Broken codes",
        arguments: [
            // Nothing, no end code, and an end code that is cut off.
            [], [0x00], [0x00, 0x01], [0x00, 0x03],
            // The first code is not clear but one that is not there yet (258).
            [0x02, 0x03, 0x02],
            // A literal, then 300.
            [0x61, 0x58, 0x02, 0x00],
        ] as [[UInt8]])
    func broken(input: [UInt8]) {
        #expect(throws: GossipWireError.self) { try LZW.decode(input, limit: 100) }
    }

    @Test("A first code that is no clear is taken, as Go does")
    func withoutClear() throws {
        // 'a' (9 bits), end (9 bits).
        #expect(try LZW.decode([0x61, 0x02, 0x02], limit: 10) == [0x61])
    }
}
