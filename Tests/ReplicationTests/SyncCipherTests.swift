import Crypto
import RegdnsTestKit
import RegistryStore
import Testing

@testable import Replication

@Suite("Sync ciphers")
struct SyncCipherTests {
    private static func greeting(_ number: UInt8, isSealed: Bool = true) throws -> SyncGreeting {
        let key = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: [UInt8](repeating: number, count: 32))
        return SyncGreeting(
            node: number == 1 ? "a" : "b", origin: UInt64(number),
            digest: DigestFrame(clock: 0, summary: ReplicaSummary(context: 1, entries: 2)),
            nonce: (0..<16).map { 16 * (number - 1) + $0 }, privateKey: isSealed ? key : nil)
    }

    /// Computed by Python's `cryptography` (X25519, HKDF, AESGCM) and a bitwise CRC: the first two records that say
    /// "hello", of the dialler and of the answerer.
    static let records: [(isSealed: Bool, isDialler: Bool, records: [String])] = [
        (
            true, true,
            ["101bb0ebcaaaf58e40a8143088dcdc01bc0e245da8", "ed3a255989cffa8fbe987fd45b8f2b2f4d7cce1b87"]
        ),
        (
            true, false,
            ["4fcf8788c55debfdbb647e6f9acc49d81bf2f3673b", "3e3727915e2c34cba08ef28f2506ac7872488beafc"]
        ),
        (false, true, ["68656c6c6fa968fa88", "68656c6c6fc16bd640"]),
        (false, false, ["68656c6c6f46589191", "68656c6c6f2e5bbd59"]),
    ]

    @Test("Records are those that anybody computes", arguments: records)
    func vectors(isSealed: Bool, isDialler: Bool, records: [String]) throws {
        let dialler = try Self.greeting(1, isSealed: isSealed)
        let answerer = try Self.greeting(2, isSealed: isSealed)
        let label = Array("blue".utf8)
        let first = try dialler.agree(with: answerer.bytes, isDialler: true, label: label)
        let second = try answerer.agree(with: dialler.bytes, isDialler: false, label: label)
        var (sends, receives) = isDialler ? (first.sends, second.receives) : (second.sends, first.receives)
        for record in records {
            let octets = try octets(hex: record)
            #expect(try sends.seal(Array("hello".utf8)) == octets)
            #expect(try receives.open(octets) == Array("hello".utf8))
        }
    }

    @Test("Any bit that is flipped, any cut, any other order is refused", arguments: [true, false])
    func damage(isSealed: Bool) throws {
        let (dialler, answerer) = (try Self.greeting(1, isSealed: isSealed), try Self.greeting(2, isSealed: isSealed))
        var sends = try dialler.agree(with: answerer.bytes, isDialler: true, label: []).sends
        let receives = try answerer.agree(with: dialler.bytes, isDialler: false, label: []).receives
        let (first, second) = (try sends.seal([1, 2, 3]), try sends.seal([1, 2, 3]))
        func refused(_ record: [UInt8]) -> Bool {
            var receives = receives
            do throws(SyncFailure) {
                _ = try receives.open(record)
                return false
            } catch {
                return error == .notAuthentic(record: 0)
            }
        }
        #expect(!refused(first) && refused(second))
        for bit in 0..<first.count * 8 {
            var record = first
            record[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(refused(record), "bit \(bit)")
        }
        for count in 0..<first.count { #expect(refused(Array(first[..<count]))) }
        var again = receives
        _ = try again.open(first)
        #expect(throws: SyncFailure.notAuthentic(record: 1)) { try again.open(first) }
        // What one side sends is not what it gets.
        var own = try dialler.agree(with: answerer.bytes, isDialler: true, label: []).receives
        #expect(throws: SyncFailure.notAuthentic(record: 0)) { try own.open(first) }
    }

    @Test("A hello that is changed on the way, or another label, gives other keys")
    func binding() throws {
        let (dialler, answerer) = (try Self.greeting(1), try Self.greeting(2))
        let record = try {
            var sends = try dialler.agree(with: answerer.bytes, isDialler: true, label: []).sends
            return try sends.seal([1])
        }()
        var changed = dialler.hello
        changed.digest.summary.entries = 3
        for (bytes, label) in [(Frame(.hello(changed)).encoded(), []), (dialler.bytes, [UInt8(1)])] {
            var receives = try answerer.agree(with: bytes, isDialler: false, label: label).receives
            #expect(throws: SyncFailure.notAuthentic(record: 0)) { try receives.open(record) }
        }
    }

    @Test("Hellos that do not go together are refused")
    func pairs() throws {
        let (sealed, plain) = (try Self.greeting(1), try Self.greeting(2, isSealed: false))
        #expect(throws: SyncFailure.plainRefused) {
            try sealed.agree(with: plain.bytes, isDialler: true, label: [])
        }
        #expect(throws: SyncFailure.badKey) { try plain.agree(with: sealed.bytes, isDialler: true, label: []) }
        // A key that makes any secret zero.
        var hello = sealed.hello
        hello.publicKey = [1] + [UInt8](repeating: 0, count: 31)
        #expect(throws: SyncFailure.badKey) {
            try sealed.agree(with: Frame(.hello(hello)).encoded(), isDialler: true, label: [])
        }
        let fresh = (0..<2).map { _ in
            SyncGreeting.fresh(node: "a", origin: 1, digest: sealed.hello.digest, isSealed: true).hello
        }
        #expect(fresh[0].nonce != fresh[1].nonce && fresh[0].publicKey != fresh[1].publicKey)
    }

    @Test("The checksum is Castagnoli's", arguments: [("123456789", 0xe306_9283), ("", 0), ("a", 0xc1d0_4330)])
    func checksum(text: String, value: UInt32) {
        var sum = CRC32C()
        sum.append(Array(text.utf8)[...])
        #expect(sum.value == value)
    }
}
