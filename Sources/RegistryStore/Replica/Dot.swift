/// The name of one operation: which process did it, and the how manieth of that process it was, from 1.
package struct Dot: Hashable, Comparable, Sendable {
    package var origin: UInt64
    package var sequence: UInt64

    package init(origin: UInt64, sequence: UInt64) {
        self.origin = origin
        self.sequence = sequence
    }

    package static func < (a: Dot, b: Dot) -> Bool { (a.origin, a.sequence) < (b.origin, b.sequence) }

    /// The next one in the order of dots; nil after the last of all.
    var following: Dot? {
        if sequence < .max { return Dot(origin: origin, sequence: sequence + 1) }
        return origin < .max ? Dot(origin: origin + 1, sequence: 0) : nil
    }

    /// The bytes that order dots, as probe of the trees below.
    var sortBytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(origin >> shift & 255)) }
        for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(sequence >> shift & 255)) }
        return bytes
    }
}

extension Version {
    package var dot: Dot { Dot(origin: origin, sequence: sequence) }
}
