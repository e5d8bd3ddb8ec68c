import RegistryStore

// Contexts, pages of sessions.

extension ByteWriter {
    /// Gaps are told by their distance from the end of the one before and by their length.
    mutating func context(_ rows: [SyncOrigin]) {
        varint(rows.count)
        for row in rows {
            fixed64(row.origin)
            varint(row.head)
            varint(row.floor)
            varint(row.idleMilliseconds.map { Int(min(max($0, 0), .max - 1)) + 1 } ?? 0)
            varint(row.gaps.count)
            var next: UInt64 = 1
            for gap in row.gaps {
                varint(gap.lowerBound &- next)
                varint(gap.upperBound &- gap.lowerBound)
                next = gap.upperBound &+ 1
            }
        }
    }

    private static let hasOpening: UInt8 = 1
    private static let isReset: UInt8 = 2
    private static let hasEnd: UInt8 = 4
    private static let isVoid: UInt8 = 8
    private static let isRepair: UInt8 = 16

    mutating func page(_ page: SyncPage) {
        varint(page.number)
        var flags: UInt8 = 0
        if page.opening != nil { flags |= Self.hasOpening }
        if page.opening?.context != nil { flags |= Self.isReset }
        if case .repair = page.opening { flags |= Self.isRepair }
        if page.end != nil { flags |= Self.hasEnd }
        if page.end == .void { flags |= Self.isVoid }
        byte(flags)
        if let rows = page.opening?.context { context(rows) }
        varint(page.live.count)
        for range in page.live {
            fixed64(range.origin)
            varint(range.sequences.lowerBound)
            varint(range.sequences.upperBound - range.sequences.lowerBound)
        }
        operations(page.operations)
        if case .complete(let rows) = page.end { context(rows) }
    }
}

extension ByteReader {
    /// Rows by ascending origin, each as `CausalContext` takes it.
    mutating func context() throws(ByteError) -> [SyncOrigin] {
        var rows: [SyncOrigin] = []
        for _ in 0..<(try count()) {
            var row = SyncOrigin(origin: try fixed64(), head: try varint(), gaps: [], floor: try varint())
            let idle = try int(.context)
            row.idleMilliseconds = idle == 0 ? nil : idle - 1
            row.gaps = try gaps()
            if let last = rows.last, row.origin <= last.origin { throw malformed(.context) }
            guard CausalContext.Origin(head: row.head, checking: row.gaps) != nil else { throw malformed(.context) }
            rows.append(row)
        }
        return rows
    }

    private mutating func gaps() throws(ByteError) -> [ClosedRange<UInt64>] {
        var gaps: [ClosedRange<UInt64>] = []
        var next: UInt64 = 1
        for _ in 0..<(try count()) {
            let lower = next.addingReportingOverflow(try varint())
            guard !lower.overflow else { throw malformed(.context) }
            let upper = lower.partialValue.addingReportingOverflow(try varint())
            guard !upper.overflow, upper.partialValue < .max else { throw malformed(.context) }
            gaps.append(lower.partialValue...upper.partialValue)
            next = upper.partialValue + 1
        }
        return gaps
    }

    mutating func page() throws(ByteError) -> SyncPage {
        var page = SyncPage(number: Int(try int(.session, max: Int64(UInt32.max))))
        let flags = try byte()
        // A reset needs an opening, a repair a reset, a void end an end; the first page alone opens.
        guard flags < 32, flags & 3 != 2, flags & 18 != 16, flags & 12 != 8, (flags & 1 == 1) == (page.number == 0)
        else { throw malformed(.session) }
        switch flags & 19 {
        case 1: page.opening = .delta
        case 3: page.opening = .reset(try context())
        case 19: page.opening = .repair(try context())
        default: break
        }
        page.live = try live()
        page.operations = try operations()
        if flags & 4 != 0 { page.end = flags & 8 == 0 ? .complete(try context()) : .void }
        return page
    }

    private mutating func live() throws(ByteError) -> [DotRange] {
        var live: [DotRange] = []
        for _ in 0..<(try count()) {
            let origin = try fixed64()
            let lower = try varint()
            let upper = lower.addingReportingOverflow(try varint())
            guard !upper.overflow else { throw malformed(.session) }
            live.append(DotRange(origin: origin, sequences: lower...upper.partialValue))
        }
        return live
    }
}
