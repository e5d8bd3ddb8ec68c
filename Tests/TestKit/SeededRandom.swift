import Basics
import Foundation

/// A generator whose whole sequence follows from its seed (SplitMix64), so that a failure can
/// be repeated.
package struct SeededRandom: RandomNumberGenerator {
    /// What the sequence began with; put it into the message of every expectation.
    package let seed: UInt64
    private var sequence: SplitMix64

    /// Starts the sequence of `seed`.
    package init(seed: UInt64) {
        self.seed = seed
        sequence = SplitMix64(seed: seed)
    }

    /// Starts the sequence named by the environment's REGDNS_SEED, or a fresh one. The seed is printed.
    package init(test: String) {
        self = .fromEnvironment()
        print("\(test): REGDNS_SEED=\(seed)")
    }

    /// The seed in `REGDNS_SEED` when it is set, else a fresh one; a failing test prints it.
    package static func fromEnvironment() -> SeededRandom {
        let given = ProcessInfo.processInfo.environment["REGDNS_SEED"].flatMap { UInt64($0) }
        return SeededRandom(seed: given ?? UInt64.random(in: .min ... .max))
    }

    /// How many times the usual number of rounds random tests make: `REGDNS_EFFORT`, usually 1.
    package static let effort = ProcessInfo.processInfo.environment["REGDNS_EFFORT"].flatMap { Int($0) } ?? 1

    package mutating func next() -> UInt64 { sequence.next() }

    /// A number below `bound`, which is at least 1.
    package mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }

    /// Bytes of every value.
    package mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    /// Between 0 and `count` octets of any value.
    package mutating func octets(upTo count: Int) -> [UInt8] { bytes(Int.random(in: 0...count, using: &self)) }

    /// True once in `times` on average.
    package mutating func oneIn(_ times: Int) -> Bool { Int.random(in: 0..<times, using: &self) == 0 }
}
