/// A growing column of values, in chunks: appending never copies what is there, and leaves at most one chunk unused.
struct Column<Value> {
    private static var chunkBits: Int { 10 }
    private var chunks: [[Value]] = []
    private(set) var count = 0

    var indices: Range<Int> { 0..<count }

    mutating func append(_ value: Value) {
        if count & ((1 << Self.chunkBits) - 1) == 0 {
            var chunk: [Value] = []
            chunk.reserveCapacity(1 << Self.chunkBits)
            chunks.append(chunk)
        }
        chunks[chunks.count - 1].append(value)
        count += 1
    }

    subscript(index: Int) -> Value {
        get { chunks[index >> Self.chunkBits][index & ((1 << Self.chunkBits) - 1)] }
        set { chunks[index >> Self.chunkBits][index & ((1 << Self.chunkBits) - 1)] = newValue }
    }
}
