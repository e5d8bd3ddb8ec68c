import NIOCore
import RegistryStore

/// Protocol buffers written by hand, for the messages that are sent most: no message objects, one buffer.
///
/// Fields with zero or nothing in them are left out, as proto3 has it.
extension ByteBuffer {
    mutating func writeVarint(_ value: UInt64) {
        var rest = value
        while rest > 0x7f {
            writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writeInteger(UInt8(truncatingIfNeeded: rest))
    }

    mutating func writeField(_ number: UInt64, _ value: UInt64) {
        guard value != 0 else { return }
        writeVarint(number << 3)
        writeVarint(value)
    }

    mutating func writeField(_ number: UInt64, _ value: Int64) { writeField(number, UInt64(bitPattern: value)) }

    mutating func writeField(_ number: UInt64, _ value: Bool) { writeField(number, value ? UInt64(1) : 0) }

    mutating func writeField(_ number: UInt64, _ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        writeVarint(number << 3 | 2)
        writeVarint(UInt64(bytes.count))
        writeBytes(bytes)
    }

    /// The tag and the length of a message that follows.
    mutating func writeMessageStart(_ number: UInt64, bytes: Int) {
        writeVarint(number << 3 | 2)
        writeVarint(UInt64(bytes))
    }
}

/// Lengths of what is written above.
enum WireSize {
    static func varint(_ value: UInt64) -> Int { (70 - max(1, value).leadingZeroBitCount) / 7 }

    static func field(_ number: UInt64, _ value: UInt64) -> Int {
        value == 0 ? 0 : varint(number << 3) + varint(value)
    }

    static func field(_ number: UInt64, _ value: Int64) -> Int { field(number, UInt64(bitPattern: value)) }

    static func field(_ number: UInt64, bytes count: Int) -> Int { count == 0 ? 0 : message(number, bytes: count) }

    static func message(_ number: UInt64, bytes count: Int) -> Int {
        varint(number << 3) + varint(UInt64(count)) + count
    }
}

/// etcd's `ResponseHeader` as bytes.
struct WireHeader {
    let clusterID: UInt64
    let memberID: UInt64
    let revision: Int64

    private var bytes: Int {
        WireSize.field(1, clusterID) + WireSize.field(2, memberID) + WireSize.field(3, revision)
            + WireSize.field(4, V3Context.raftTerm)
    }

    /// Writes the header as field 1, which it is in every response.
    func write(into buffer: inout ByteBuffer) {
        buffer.writeMessageStart(1, bytes: bytes)
        buffer.writeField(1, clusterID)
        buffer.writeField(2, memberID)
        buffer.writeField(3, revision)
        buffer.writeField(4, V3Context.raftTerm)
    }
}

/// etcd's `KeyValue` as bytes.
struct WireKeyValue {
    let key: [UInt8]
    var createRevision: Int64 = 0
    let modRevision: Int64
    var version: Int64 = 0
    var value: [UInt8] = []
    var lease: Int64 = 0

    var bytes: Int {
        WireSize.field(1, bytes: key.count) + WireSize.field(2, createRevision) + WireSize.field(3, modRevision)
            + WireSize.field(4, version) + WireSize.field(5, bytes: value.count) + WireSize.field(6, lease)
    }

    func write(_ number: UInt64, into buffer: inout ByteBuffer) {
        buffer.writeMessageStart(number, bytes: bytes)
        buffer.writeField(1, key)
        buffer.writeField(2, createRevision)
        buffer.writeField(3, modRevision)
        buffer.writeField(4, version)
        buffer.writeField(5, value)
        buffer.writeField(6, lease)
    }
}

extension V3Context {
    func wireHeader(_ revision: Int64) -> WireHeader {
        WireHeader(clusterID: keyspace.clusterID, memberID: memberID, revision: keyspace.index(of: revision))
    }

    /// An entry as etcd shows it, to be written.
    func wireKeyValue(_ entry: Entry, withValue: Bool = true) -> WireKeyValue {
        WireKeyValue(
            key: entry.key, createRevision: keyspace.index(of: entry.createRevision),
            modRevision: keyspace.index(of: entry.modRevision), version: entry.putCount,
            value: withValue ? registry.value(of: entry) : [], lease: entry.lease?.rawValue ?? 0)
    }
}
