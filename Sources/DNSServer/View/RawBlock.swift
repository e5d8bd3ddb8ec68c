import Glibc

/// An address of malloc'ed memory with typed, unaligned access at byte offsets.
///
/// SAFETY, the invariants of this file: a `RawBlock` is made by `allocate`, or from an address that `allocate` made and
/// that the epochs keep alive (see `Epochs`). Offsets come from the layouts `NameNode` and `AnswerBlock`, which compute
/// them from lengths they stored themselves; nothing from the network is used as an offset.
@safe
struct RawBlock: Equatable {
    let address: UInt

    @inline(__always)
    init(address: UInt) { self.address = address }

    /// Zeroed memory of at least `size` octets.
    static func allocate(_ size: Int) -> RawBlock {
        guard let memory = unsafe calloc(1, size) else {
            // Without memory for an answer the process cannot go on; the kernel's overcommit makes this unreachable
            // here.
            preconditionFailure("regdns: out of memory")
        }
        return RawBlock(address: UInt(bitPattern: memory))
    }

    func free() { unsafe Glibc.free(UnsafeMutableRawPointer(bitPattern: address)) }

    @inline(__always)
    var pointer: UnsafeMutableRawPointer {
        // SAFETY: never zero: see above.
        unsafe UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
    }

    @inline(__always)
    func load<T: BitwiseCopyable>(_ offset: Int, as type: T.Type) -> T {
        unsafe pointer.loadUnaligned(fromByteOffset: offset, as: type)
    }

    @inline(__always)
    func store<T: BitwiseCopyable>(_ value: T, at offset: Int) {
        unsafe pointer.storeBytes(of: value, toByteOffset: offset, as: T.self)
    }

    /// Copies bytes in. The block must have room for them.
    func copy(_ bytes: some Collection<UInt8>, at offset: Int) {
        var position = offset
        for byte in bytes {
            store(byte, at: position)
            position &+= 1
        }
    }

    func bytes(_ offset: Int, _ count: Int) -> [UInt8] {
        unsafe [UInt8](UnsafeRawBufferPointer(start: pointer + offset, count: count))
    }
}
