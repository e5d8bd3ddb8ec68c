import DNSWire

/// An engine as an object, for the threads and event loops that own one each, with an output buffer.
///
/// SAFETY, the invariants of this file: used by its owner only, one call at a time; `Sendable` because it is handed
/// over once, before its owner starts. Queries given as arrays get 64 octets of slack here; the scratch has 65,535
/// octets and 128 of slack.
@safe
final class EngineBox: @unchecked Sendable {
    private static let scratchSize = 65_535 + 128

    var value: AnswerEngine
    private let scratch = RawBlock.allocate(scratchSize)

    init(_ value: consuming AnswerEngine) { self.value = value }

    deinit { scratch.free() }

    func flush(to totals: EngineTotals) {
        totals.add(value.counters)
        value.counters = EngineCounters()
    }

    /// Answers a query, inside an epoch. Its octets are in the scratch: read them with `withAnswer`.
    /// Returns their number, 0 to stay silent, -1 when the engine's `deferral` says what to do.
    func answer(_ query: [UInt8], transport: AnswerEngine.Transport) -> Int {
        let padded = query + [UInt8](repeating: 0, count: 64)
        return unsafe padded.withUnsafeBytes { bytes in
            unsafe value.answer(
                bytes.baseAddress.unsafelyUnwrapped, length: query.count, out: scratch.pointer,
                capacity: Self.scratchSize,
                transport: transport)
        }
    }

    /// The second try of a deferred query, now that its external parts are known. Returns as `answer`.
    func answer(
        _ query: [UInt8], externals: [ExternalQuestion: ExternalAnswer], transport: AnswerEngine.Transport
    ) -> Int {
        let padded = query + [UInt8](repeating: 0, count: 64)
        return unsafe padded.withUnsafeBytes { bytes in
            unsafe value.answer(
                bytes.baseAddress.unsafelyUnwrapped, length: query.count, externals: externals, out: scratch.pointer,
                capacity: Self.scratchSize, transport: transport)
        }
    }

    /// The first `length` octets of the scratch.
    func withAnswer<R>(_ length: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        unsafe body(UnsafeRawBufferPointer(start: scratch.pointer, count: min(max(0, length), Self.scratchSize)))
    }

    func answerBytes(_ length: Int) -> [UInt8] { unsafe withAnswer(length) { unsafe [UInt8]($0) } }
}
