// Big-endian loads from message bytes. The standard library marks these loads unsafe because a type may have invalid
// bit patterns; integers and vectors of them have none, and every load is bounds-checked.

extension RawSpan {
    /// The octet at `offset`.
    @inlinable @inline(__always)
    public func octet(at offset: Int) -> UInt8 {
        // SAFETY: bounds-checked by the callee; any bit pattern is a UInt8.
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// The 16-bit number in network order at `offset`.
    @inlinable @inline(__always)
    public func uint16(at offset: Int) -> UInt16 {
        // SAFETY: bounds-checked by the callee; any bit pattern is a UInt16.
        unsafe UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// The 32-bit number in network order at `offset`.
    @inlinable @inline(__always)
    public func uint32(at offset: Int) -> UInt32 {
        // SAFETY: bounds-checked by the callee; any bit pattern is a UInt32.
        unsafe UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The 64-bit number in network order at `offset`.
    @inlinable @inline(__always)
    public func uint64(at offset: Int) -> UInt64 {
        // SAFETY: bounds-checked by the callee; any bit pattern is a UInt64.
        unsafe UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// Sixteen octets from `offset` on, in memory order.
    @inlinable @inline(__always)
    public func octets16(at offset: Int) -> SIMD16<UInt8> {
        // SAFETY: bounds-checked by the callee; any bit pattern is a vector of octets.
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
    }
}

extension Span where Element == UInt8 {
    /// The same octets as the raw span that the parsers take.
    @inlinable @inline(__always)
    public var octets: RawSpan {
        @_lifetime(copy self)
        get {
            // SAFETY: octets are initialised and have no padding, so every one may be read as it is.
            unsafe bytes
        }
    }
}

extension MutableSpan where Element == UInt8 {
    /// The same octets as the raw span that the writers take.
    @inlinable @inline(__always)
    public var octets: MutableRawSpan {
        @_lifetime(&self)
        mutating get {
            // SAFETY: octets have no padding and every bit pattern is one, so any bytes may be stored over them.
            unsafe mutableBytes
        }
    }
}
