extension SeededRandom {
    /// As `fromEnvironment()`, and prints the seed under the test's name, so that a failure can be repeated.
    package init(test: String) {
        self = .fromEnvironment()
        print("\(test): REGDNS_SEED=\(seed)")
    }

    /// Between 0 and `count` bytes of any value.
    package mutating func octets(upTo count: Int) -> [UInt8] { bytes(below(count + 1)) }

    /// True once in `times` on average.
    package mutating func oneIn(_ times: Int) -> Bool { below(times) == 0 }
}
