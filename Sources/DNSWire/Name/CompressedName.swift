/// Names inside a message, where a pointer may stand for the rest (RFC 1035 §4.1.4).
///
/// A pointer must point before the run of labels that it ends, and the name it points to must end before that run, so
/// that every walk terminates; 255 octets end it too.
enum CompressedName {
    /// The offset after the name at `at`, which must end at or before `limit`; nil when the name is broken, here or
    /// where it points to, or is compressed though `pointersAllowed` is false. O(length of the name).
    static func end(in message: RawSpan, at: Int, limit: Int, pointersAllowed: Bool = true) -> Int? {
        walk(message, at: at, limit: limit, pointersAllowed: pointersAllowed) { _, _ in }
    }

    /// Appends the whole name in wire form to `name`. Returns the offset after the name, or nil when it is broken;
    /// then `name` holds the labels before the fault.
    static func read(in message: RawSpan, at: Int, limit: Int, into name: inout [UInt8]) -> Int? {
        let end = walk(message, at: at, limit: limit, pointersAllowed: true) { start, octets in
            for offset in start..<(start &+ octets) { name.append(message.octet(at: offset)) }
        }
        if end != nil { name.append(0) }
        return end
    }

    /// Calls `label` with the offset and length of every label, its length octet included.
    @inline(__always)
    private static func walk(
        _ message: RawSpan, at: Int, limit: Int, pointersAllowed: Bool, label: (Int, Int) -> Void
    ) -> Int? {
        var here = at
        var runStart = at
        var end: Int?
        var total = 1
        var bound = min(limit, message.byteCount)
        while here < bound {
            let octet = Int(message.octet(at: here))
            if octet == 0 { return end ?? here &+ 1 }
            if octet >= 0xc0 {
                guard pointersAllowed, here &+ 1 < bound else { return nil }
                let target = (octet & 0x3f) << 8 | Int(message.octet(at: here &+ 1))
                guard target < runStart, target >= QueryParser.nameOffset else { return nil }
                if end == nil { end = here &+ 2 }
                bound = runStart
                runStart = target
                here = target
                continue
            }
            guard octet <= NameBytes.labelMax, here &+ octet < bound else { return nil }
            total &+= octet &+ 1
            guard total <= NameBytes.lengthMax else { return nil }
            label(here, octet &+ 1)
            here &+= octet &+ 1
        }
        return nil
    }
}
