import Synchronization

/// One owner name of the view: immutable name bytes, and the head of its answers, which the writer swaps.
///
/// Layout: 0 answers (atomic address), 8 hash, 16 tree index (UInt32), 20 zone (Int16), 22 flags, 24 name length, 26
/// name, then at least 16 octets of slack for wide comparison.
@safe
struct NameNode: Equatable {
    let block: RawBlock

    enum Flag {
        /// Below this name another server answers (NS records below a zone's apex).
        static let delegated: UInt16 = 1
        /// A wildcard (`*`) exists directly below this name in a zone file.
        static let hasWildcard: UInt16 = 2
    }
    static let nameOffset = 26

    static func make(name: [UInt8], hash: UInt64, index: UInt32, zone: Int16) -> NameNode {
        let node = NameNode(block: .allocate(nameOffset + name.count + 16))
        node.block.store(hash, at: 8)
        node.block.store(index, at: 16)
        node.block.store(zone, at: 20)
        node.block.store(UInt16(name.count), at: 24)
        node.block.copy(name, at: nameOffset)
        return node
    }

    /// The atomic word at offset 0.
    ///
    /// SAFETY: the block is 16-aligned (malloc) and zeroed, which is a valid `Atomic<UInt>` of 0.
    @inline(__always)
    private var answersWord: UnsafeMutablePointer<Atomic<UInt>> {
        unsafe block.pointer.assumingMemoryBound(to: Atomic<UInt>.self)
    }

    /// Address of the first answer, 0 for none.
    @inline(__always)
    var answers: UInt {
        get { unsafe answersWord.pointee.load(ordering: .acquiring) }
        nonmutating set { unsafe answersWord.pointee.store(newValue, ordering: .releasing) }
    }

    @inline(__always) var hash: UInt64 { block.load(8, as: UInt64.self) }
    @inline(__always) var index: UInt32 { block.load(16, as: UInt32.self) }
    /// The zone this name belongs to: index into the view's zones, -1 for names that are not ours.
    @inline(__always) var zone: Int16 {
        get { block.load(20, as: Int16.self) }
        nonmutating set { block.store(newValue, at: 20) }
    }
    @inline(__always) var flags: UInt16 {
        get { block.load(22, as: UInt16.self) }
        nonmutating set { block.store(newValue, at: 22) }
    }
    @inline(__always) var nameLength: Int { Int(block.load(24, as: UInt16.self)) }
    var name: [UInt8] { block.bytes(Self.nameOffset, nameLength) }
}

/// A concurrent hash table from owner name (exact wire form) to `NameNode`: one writer, readers without locks.
///
/// Open addressing with linear probing over atomic words: 0 empty, 1 removed, else 16 bits of hash and 48 bits of
/// address.
/// SAFETY: growing publishes a new slot array and retires the old one through the epochs; nodes are retired likewise.
/// User-space addresses fit in 48 bits on the platforms regdns supports (x86-64 and AArch64 Linux without LVA hints).
@safe
final class NameTable: @unchecked Sendable {
    /// Slots: word 0 of the array block is the mask, words from 1 on are slots.
    private let array: Atomic<UInt>
    private let seed: UInt64
    // The writer's own.
    private var used = 0
    private var removed = 0

    private static let empty: UInt64 = 0
    private static let tombstone: UInt64 = 1
    private static let addressMask: UInt64 = 0x0000_ffff_ffff_ffff

    init(seed: UInt64) {
        self.seed = seed
        array = Atomic(Self.makeArray(slots: 1024).address)
    }

    deinit { RawBlock(address: array.load(ordering: .acquiring)).free() }

    private static func makeArray(slots: Int) -> RawBlock {
        let block = RawBlock.allocate((slots + 1) * 8)
        block.store(UInt64(slots - 1), at: 0)
        return block
    }

    @inline(__always)
    private static func slot(_ array: RawBlock, _ index: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        // SAFETY: index is masked by the array's own mask; zeroed words are valid atomics.
        unsafe (array.pointer + 8).assumingMemoryBound(to: Atomic<UInt64>.self) + Int(truncatingIfNeeded: index)
    }

    /// Hash of a name in exact wire form.
    func hash(_ name: [UInt8]) -> UInt64 {
        var padded = name
        padded.append(contentsOf: repeatElement(0, count: 16))
        return unsafe padded.withUnsafeBytes {
            unsafe NameHash.hash($0.baseAddress.unsafelyUnwrapped, name.count, seed)
        }
    }

    /// Hash of `count` name octets at `name`, which has 16 readable octets of slack behind it.
    @inline(__always)
    func hash(_ name: UnsafeRawPointer, _ count: Int) -> UInt64 { unsafe NameHash.hash(name, count, seed) }

    /// The node of a name, whose bytes at `name` have 16 readable octets of slack. Readers: inside an epoch.
    @inline(__always)
    func find(_ name: UnsafeRawPointer, _ count: Int, _ hash: UInt64) -> NameNode? {
        let array = RawBlock(address: self.array.load(ordering: .acquiring))
        let mask = array.load(0, as: UInt64.self)
        var index = hash & mask
        while true {
            let word = unsafe Self.slot(array, index).pointee.load(ordering: .acquiring)
            if word == Self.empty { return nil }
            if word >> 48 == hash >> 48 && word != Self.tombstone {
                let node = NameNode(block: RawBlock(address: UInt(word & Self.addressMask)))
                guard node.hash == hash, node.nameLength == count else {
                    index = (index &+ 1) & mask
                    continue
                }
                if unsafe NameHash.same(name, node.block.pointer + NameNode.nameOffset, count) {
                    return node
                }
            }
            index = (index &+ 1) & mask
        }
    }

    func find(_ name: [UInt8]) -> NameNode? {
        var padded = name
        padded.append(contentsOf: repeatElement(0, count: 16))
        return unsafe padded.withUnsafeBytes { bytes in
            let base = unsafe bytes.baseAddress.unsafelyUnwrapped
            return unsafe find(base, name.count, hash(base, name.count))
        }
    }

    /// Asks for the cache line of a name's first slot.
    @inline(__always)
    func prefetchAddress(_ hash: UInt64) -> UnsafeRawPointer {
        let array = RawBlock(address: self.array.load(ordering: .acquiring))
        return unsafe UnsafeRawPointer(Self.slot(array, hash & array.load(0, as: UInt64.self)))
    }

    /// The address in a name's first slot, 0 when it holds none: the second step of looking ahead.
    @inline(__always)
    func firstCandidate(_ hash: UInt64) -> UInt {
        let array = RawBlock(address: self.array.load(ordering: .acquiring))
        let word = unsafe Self.slot(array, hash & array.load(0, as: UInt64.self)).pointee.load(ordering: .relaxed)
        return word > Self.tombstone ? UInt(word & Self.addressMask) : 0
    }

    // MARK: the writer, under the view's lock

    func insert(_ node: NameNode, _ retired: inout RetiredBlocks, _ epochs: Epochs) {
        var block = RawBlock(address: array.load(ordering: .acquiring))
        let slots = Int(block.load(0, as: UInt64.self)) + 1
        if (used + removed + 1) * 10 > slots * 6 {
            let grown = Self.makeArray(slots: used * 10 > slots * 3 ? slots * 2 : slots)
            for index in 0..<UInt64(slots) {
                let word = unsafe Self.slot(block, index).pointee.load(ordering: .relaxed)
                if word > Self.tombstone {
                    place(word, NameNode(block: RawBlock(address: UInt(word & Self.addressMask))).hash, grown)
                }
            }
            array.store(grown.address, ordering: .releasing)
            retired.retire(block.address, epochs)
            removed = 0
            block = grown
        }
        place((node.hash & ~Self.addressMask) | UInt64(node.block.address), node.hash, block)
        used += 1
    }

    private func place(_ word: UInt64, _ hash: UInt64, _ block: RawBlock) {
        let mask = block.load(0, as: UInt64.self)
        var index = hash & mask
        while unsafe Self.slot(block, index).pointee.load(ordering: .relaxed) != Self.empty {
            index = (index &+ 1) & mask
        }
        unsafe Self.slot(block, index).pointee.store(word, ordering: .releasing)
    }

    /// Unlinks a node; the caller retires it.
    func remove(_ node: NameNode) {
        let block = RawBlock(address: array.load(ordering: .acquiring))
        let mask = block.load(0, as: UInt64.self)
        var index = node.hash & mask
        while true {
            let word = unsafe Self.slot(block, index).pointee.load(ordering: .relaxed)
            if word == Self.empty { return }
            if word > Self.tombstone && UInt(word & Self.addressMask) == node.block.address {
                unsafe Self.slot(block, index).pointee.store(Self.tombstone, ordering: .releasing)
                used -= 1
                removed += 1
                return
            }
            index = (index &+ 1) & mask
        }
    }
}

/// Hashing and comparing wire names 16 octets at a time.
///
/// SAFETY: the callers guarantee 16 readable octets behind the name (receive buffers and nodes are allocated so).
enum NameHash {
    typealias Lane = SIMD16<UInt8>

    @inline(__always)
    private static func words(_ lane: Lane) -> SIMD2<UInt64> { unsafe unsafeBitCast(lane, to: SIMD2<UInt64>.self) }

    /// ASCII capitals to small letters; other octets, label lengths (at most 63) included, stay.
    @inline(__always)
    static func fold(_ lane: Lane) -> Lane {
        lane
            | Lane(repeating: 0x20).replacing(
                with: Lane.zero, where: (lane &- Lane(repeating: 65)) .>= Lane(repeating: 26))
    }

    /// The lane at `pointer`, octets from `count` on zeroed.
    @inline(__always)
    private static func tail(_ pointer: UnsafeRawPointer, _ count: Int) -> Lane {
        let lane = unsafe pointer.loadUnaligned(as: Lane.self)
        let positions = Lane(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        return lane.replacing(with: Lane.zero, where: positions .>= Lane(repeating: UInt8(truncatingIfNeeded: count)))
    }

    @inline(__always)
    private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    @inline(__always)
    static func hash(_ name: UnsafeRawPointer, _ count: Int, _ seed: UInt64) -> UInt64 {
        var hash = seed ^ UInt64(truncatingIfNeeded: count)
        var offset = 0
        while offset &+ 16 <= count {
            let pair = words(unsafe (name + offset).loadUnaligned(as: Lane.self))
            hash = mix(hash ^ pair.x, pair.y ^ 0x9e37_79b9_7f4a_7c15)
            offset &+= 16
        }
        if offset < count {
            let pair = words(unsafe tail(name + offset, count &- offset))
            hash = mix(hash ^ pair.x, pair.y ^ 0xd6e8_feb8_6659_fd93)
        }
        return hash ^ (hash &>> 29)
    }

    @inline(__always)
    static func same(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
        var offset = 0
        var difference = SIMD2<UInt64>.zero
        while offset &+ 16 <= count {
            difference |=
                words(unsafe (a + offset).loadUnaligned(as: Lane.self))
                ^ words(unsafe (b + offset).loadUnaligned(as: Lane.self))
            offset &+= 16
        }
        if offset < count {
            difference |=
                words(unsafe tail(a + offset, count &- offset)) ^ words(unsafe tail(b + offset, count &- offset))
        }
        return difference.x | difference.y == 0
    }

    /// Writes the folded name to `target`, whole lanes: both sides have 16 octets of slack.
    @inline(__always)
    static func fold(_ source: UnsafeRawPointer, _ count: Int, to target: UnsafeMutableRawPointer) {
        var offset = 0
        while offset < count {
            unsafe (target + offset).storeBytes(
                of: fold((source + offset).loadUnaligned(as: Lane.self)), as: Lane.self)
            offset &+= 16
        }
    }
}
