/// How the elements of an `OrderedTree` are ordered: by bytes.
protocol TreeOrder {
    associatedtype Element: AnyObject
    /// The bytes of an element. They never change while the element is in a tree.
    static func sortBytes(of element: Element) -> SortBytes
}

/// The bytes by which an element is ordered: a text, a byte string, or a text without zero octets, a zero octet, and a
/// byte string, which orders by the text first.
struct SortBytes {
    let head: String?
    let tail: [UInt8]?

    init(_ text: String) {
        head = text
        tail = nil
    }

    init(_ bytes: [UInt8]) {
        head = nil
        tail = bytes
    }

    init(_ text: String, then bytes: [UInt8]) {
        head = text
        tail = bytes
    }

    /// All bytes in one array; allocates unless there is only a byte string.
    var joined: [UInt8] {
        guard let head else { return tail ?? [] }
        guard let tail else { return Array(head.utf8) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(head.utf8.count + 1 + tail.count)
        bytes.append(contentsOf: head.utf8)
        bytes.append(0)
        bytes.append(contentsOf: tail)
        return bytes
    }

    /// Compares a probe with these bytes, of which the first `skipped` are known to be equal.
    func compare(probe: [UInt8], skipping skipped: Int) -> Int {
        guard let head else {
            let bytes = tail ?? []
            return ByteOrder.compare(probe.span, bytes.span, skipping: skipped)
        }
        let headCount = head.utf8.count
        guard let tail else { return ByteOrder.compare(probe.span, head.utf8Span.span, skipping: skipped) }
        if skipped < headCount {
            let order = ByteOrder.compare(
                probe.span.extracting(first: headCount), head.utf8Span.span, skipping: skipped)
            if order != 0 { return order }
        }
        guard probe.count > headCount else { return -1 }
        if probe[headCount] != 0 { return 1 }
        return ByteOrder.compare(
            probe.span.extracting(droppingFirst: headCount + 1), tail.span,
            skipping: max(0, skipped - headCount - 1))
    }

    /// Four bytes from an offset as a number in the order of the bytes; missing ones count as 0.
    func digest(at offset: Int) -> UInt32 {
        var digest: UInt32 = 0
        for index in offset..<(offset + 4) { digest = digest << 8 | UInt32(byte(at: index)) }
        return digest
    }

    private func byte(at index: Int) -> UInt8 {
        var index = index
        if let head {
            let count = head.utf8.count
            if index < count { return head.utf8Span.span[index] }
            index -= count + 1
        }
        guard index >= 0, let tail, index < tail.count else { return 0 }
        return tail[index]
    }
}

extension ByteOrder {
    /// The digest of a probe, as `SortBytes.digest`.
    static func digest(_ probe: [UInt8], at offset: Int) -> UInt32 {
        var digest: UInt32 = 0
        for index in offset..<(offset + 4) { digest = digest << 8 | UInt32(index < probe.count ? probe[index] : 0) }
        return digest
    }

    /// Compares what follows the first `skipped` bytes, which both have if either has them.
    static func compare(_ a: Span<UInt8>, _ b: Span<UInt8>, skipping skipped: Int) -> Int {
        compare(a.extracting(droppingFirst: skipped), b.extracting(droppingFirst: skipped))
    }
}
