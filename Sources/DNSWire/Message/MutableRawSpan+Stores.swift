extension MutableRawSpan {
    /// Stores one octet; bounds-checked.
    @inlinable @inline(__always)
    public mutating func store(octet: UInt8, at offset: Int) {
        storeBytes(of: octet, toByteOffset: offset, as: UInt8.self)
    }

    /// Stores a 16-bit number in network order; bounds-checked.
    @inlinable @inline(__always)
    public mutating func store(uint16 value: UInt16, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    /// Stores a 32-bit number in network order; bounds-checked.
    @inlinable @inline(__always)
    public mutating func store(uint32 value: UInt32, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// Stores a 64-bit number in network order; bounds-checked.
    @inlinable @inline(__always)
    public mutating func store(uint64 value: UInt64, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }

    /// Stores sixteen octets in memory order; bounds-checked.
    @inlinable @inline(__always)
    public mutating func store(octets16 value: SIMD16<UInt8>, at offset: Int) {
        storeBytes(of: value, toByteOffset: offset, as: SIMD16<UInt8>.self)
    }
}
