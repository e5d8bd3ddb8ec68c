import Synchronization

/// Messages that came and were not looked at yet. At its bounds new ones are dropped: they are repeated, or found by
/// digests.
final class MessageInbox: Sendable {
    static let messagesMax = 4_096
    static let bytesMax = 4 << 20

    private struct State {
        var messages: [[UInt8]] = []
        var bytes = 0
        var dropped = 0
    }

    private let state = Mutex(State())
    /// Yields when there is something to take.
    let arrivals: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation

    init() { (arrivals, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    var dropped: Int { state.withLock { $0.dropped } }

    func add(_ message: [UInt8]) {
        let isKept = state.withLock { state in
            guard state.messages.count < Self.messagesMax, state.bytes + message.count <= Self.bytesMax else {
                state.dropped += 1
                return false
            }
            state.messages.append(message)
            state.bytes += message.count
            return true
        }
        if isKept { bell.yield() }
    }

    func takeAll() -> [[UInt8]] {
        state.withLock { state in
            defer { (state.messages, state.bytes) = ([], 0) }
            return state.messages
        }
    }
}
