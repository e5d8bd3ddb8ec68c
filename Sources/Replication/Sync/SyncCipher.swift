import Crypto
import FoundationEssentials

/// Protects the records of one direction of a sync stream: AES-256-GCM with a counter as nonce, or, in a cluster
/// without keys, a checksum of counter, direction and octets. Either way a record that is changed, cut, repeated, left
/// out or from elsewhere is refused.
struct SyncCipher: Sendable {
    enum Direction: UInt8, Sendable {
        case fromDialler = 0
        case fromAnswerer = 1
    }

    private enum Protection: Sendable {
        case seal(SymmetricKey)
        case checksum(Direction)
    }

    private let protection: Protection
    /// Records so far, in both ways of use: the number of the next one.
    private var counter: UInt64 = 0

    init(key: SymmetricKey) { protection = .seal(key) }

    init(checking direction: Direction) { protection = .checksum(direction) }

    private static let tagBytes = 16
    private static let checksumBytes = 4

    /// Protects the next record.
    mutating func seal(_ text: [UInt8]) throws(SyncFailure) -> [UInt8] {
        let number = try next()
        switch protection {
        case .seal(let key):
            do {
                let box = try AES.GCM.seal(text, using: key, nonce: Self.nonce(number))
                var record: [UInt8] = []
                record.reserveCapacity(text.count + Self.tagBytes)
                record += box.ciphertext
                record += box.tag
                return record
            } catch {
                throw .unsealable("\(error)")
            }
        case .checksum(let direction):
            return text + Self.checksum(of: text[...], number, direction).octets
        }
    }

    /// Gives what the next record protects.
    mutating func open(_ record: [UInt8]) throws(SyncFailure) -> [UInt8] {
        let number = try next()
        switch protection {
        case .seal(let key):
            guard record.count >= Self.tagBytes else { throw .notAuthentic(record: number) }
            do {
                let box = try AES.GCM.SealedBox(
                    nonce: Self.nonce(number), ciphertext: record.dropLast(Self.tagBytes),
                    tag: record.suffix(Self.tagBytes))
                return Array(try AES.GCM.open(box, using: key))
            } catch {
                throw .notAuthentic(record: number)
            }
        case .checksum(let direction):
            let text = record.dropLast(Self.checksumBytes)
            guard record.count >= Self.checksumBytes,
                Self.checksum(of: text, number, direction).octets == Array(record.suffix(Self.checksumBytes))
            else { throw .notAuthentic(record: number) }
            return Array(text)
        }
    }

    private mutating func next() throws(SyncFailure) -> UInt64 {
        guard counter < .max else { throw .unsealable("too many records") }
        counter += 1
        return counter - 1
    }

    private static func nonce(_ number: UInt64) throws -> AES.GCM.Nonce {
        try AES.GCM.Nonce(data: [0, 0, 0, 0] + number.octets)
    }

    private static func checksum(of text: ArraySlice<UInt8>, _ number: UInt64, _ direction: Direction) -> UInt32 {
        var sum = CRC32C()
        sum.append((number.octets + [direction.rawValue])[...])
        sum.append(text)
        return sum.value
    }
}

/// CRC-32C (Castagnoli; RFC 3720 §12.1).
struct CRC32C {
    private var state: UInt32 = .max

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82f6_3b78 }
    }

    mutating func append(_ bytes: ArraySlice<UInt8>) {
        let table = Self.table
        var state = state
        for byte in bytes { state = state >> 8 ^ table[Int(UInt8(truncatingIfNeeded: state) ^ byte)] }
        self.state = state
    }

    var value: UInt32 { ~state }
}
