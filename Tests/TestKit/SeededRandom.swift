import Foundation

/// A generator whose whole sequence follows from its seed (SplitMix64), so that a failure can be repeated.
package struct SeededRandom: RandomNumberGenerator {
    /// What the sequence began with; put it into the message of every expectation.
    package let seed: UInt64
    private var state: UInt64

    /// Starts the sequence of `seed`.
    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// Starts the sequence named by the environment's REGDNS_SEED, or a fresh one. The seed is printed.
    package init(test: String) {
        let given = ProcessInfo.processInfo.environment["REGDNS_SEED"].flatMap { UInt64($0) }
        self.init(seed: given ?? UInt64.random(in: .min ... .max))
        print("\(test): REGDNS_SEED=\(seed)")
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// Between 0 and `count` octets of any value.
    package mutating func octets(upTo count: Int) -> [UInt8] {
        (0..<Int.random(in: 0...count, using: &self)).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }

    /// True once in `times` on average.
    package mutating func oneIn(_ times: Int) -> Bool { Int.random(in: 0..<times, using: &self) == 0 }
}
