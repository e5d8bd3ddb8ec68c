/// The hash FNV-1a of 64 bits (Fowler, Noll, Vo; RFC 9923) of octets that come one after the other.
///
/// The same on every node, in every process and version, unlike Swift's `Hasher`, and no defence against who chooses
/// the octets. A change of one octet always shows, others all but always.
@usableFromInline
package struct FNV1a: Sendable {
    /// The hash of all octets so far.
    @usableFromInline package internal(set) var value: UInt64

    @inlinable
    package init() { value = 0xcbf2_9ce4_8422_2325 }

    @inlinable
    package init(_ octets: some Sequence<UInt8>) {
        self.init()
        add(octets)
    }

    @inlinable
    package mutating func add(_ octet: UInt8) { value = (value ^ UInt64(octet)) &* 0x0000_0100_0000_01b3 }

    @inlinable
    package mutating func add(_ octets: some Sequence<UInt8>) {
        for octet in octets { add(octet) }
    }

    /// Eight octets, the lowest first.
    @inlinable
    package mutating func add(number: UInt64) {
        for shift in stride(from: 0 as UInt64, to: 64, by: 8) { add(UInt8(truncatingIfNeeded: number >> shift)) }
    }
}
