import EtcdMessages
import GRPC
import NIOCore
import NIOPosix
import Synchronization

/// A call with messages both ways over the gateway, where it has one request and lines of JSON.
///
/// It lives on an event loop like other calls; the lines wait, up to a bound, for the task that sends them.
final class GatewayStream: GRPCServerStream {
    let eventLoop: any EventLoop
    private let lines: GatewayLines
    private let write: @Sendable (ByteBuffer) throws(GRPCStatus) -> [UInt8]
    private var handler: (any GRPCStreamHandler)?

    private init(
        eventLoop: any EventLoop, lines: GatewayLines,
        write: @escaping @Sendable (ByteBuffer) throws(GRPCStatus) -> [UInt8]
    ) {
        self.eventLoop = eventLoop
        self.lines = lines
        self.write = write
    }

    /// Starts a call with its only request; the lines are those of the answer.
    ///
    /// - Parameters:
    ///   - write: makes JSON of a message.
    ///   - make: what answers.
    static func start(
        _ request: ByteBuffer, on loop: any EventLoop = MultiThreadedEventLoopGroup.singleton.any(),
        write: @escaping @Sendable (ByteBuffer) throws(GRPCStatus) -> [UInt8],
        make: @escaping @Sendable (GatewayStream) throws(GRPCStatus) -> any GRPCStreamHandler
    ) -> EtcdEvents {
        let lines = GatewayLines()
        loop.execute { GatewayStream(eventLoop: loop, lines: lines, write: write).begin(request, make) }
        return EtcdEvents(next: { await lines.next() }, cancel: { lines.end() })
    }

    private func begin(
        _ request: ByteBuffer, _ make: (GatewayStream) throws(GRPCStatus) -> any GRPCStreamHandler
    ) {
        do throws(GRPCStatus) {
            let handler = try make(self)
            self.handler = handler
            let bound = NIOLoopBound(self, eventLoop: eventLoop)
            lines.connect { [eventLoop] event in
                eventLoop.execute {
                    switch event {
                    case .hasRoom: bound.value.handler?.becameWritable()
                    case .isGone: bound.value.close()
                    }
                }
            }
            handler.received(request)
            handler.endOfRequests()
        } catch {
            finish(error)
        }
    }

    var isWritable: Bool { lines.hasRoom }

    func send(_ message: ByteBuffer) {
        do throws(GRPCStatus) {
            lines.add(GatewayJSON.result(try write(message)))
        } catch {
            finish(error)
        }
    }

    func flush() {}

    func finish(_ status: GRPCStatus) {
        if status.code != .ok { lines.add(Array("{\"error\":".utf8) + GatewayJSON.error(status) + Array("}\n".utf8)) }
        lines.finish()
        // Not at once: the handler is in the middle of something.
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { bound.value.close() }
    }

    private func close() {
        handler?.closed()
        handler = nil
    }
}

/// Lines between the loop of a watch and the task that sends them.
final class GatewayLines: Sendable {
    enum Event { case hasRoom, isGone }

    private typealias Waiter = CheckedContinuation<[UInt8]?, Never>

    private struct State {
        var lines: [[UInt8]] = []
        var isFinished = false
        var isGone = false
        /// The watch was told that there is no room.
        var isBlocked = false
        var waiter: Waiter?
        var tell: (@Sendable (Event) -> Void)?
    }

    private let state = Mutex(State())
    /// Lines above which the watch has to wait; it adds what it is in the middle of.
    static let linesMax = 16

    /// - Parameter tell: told that there is room again, and that the client has gone.
    func connect(_ tell: @escaping @Sendable (Event) -> Void) {
        let isGone = state.withLock { state in
            state.tell = tell
            return state.isGone
        }
        if isGone { tell(.isGone) }
    }

    var hasRoom: Bool {
        state.withLock { state in
            if state.lines.count >= Self.linesMax { state.isBlocked = true }
            return !state.isBlocked
        }
    }

    func add(_ line: [UInt8]) {
        let waiter = state.withLock { state -> Waiter? in
            guard !state.isGone, !state.isFinished else { return nil }
            guard state.waiter == nil else {
                defer { state.waiter = nil }
                return state.waiter
            }
            state.lines.append(line)
            return nil
        }
        waiter?.resume(returning: line)
    }

    /// No more lines come.
    func finish() {
        let waiter = state.withLock { state in
            state.isFinished = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: nil)
    }

    /// The client has gone, or wants no more.
    func end() {
        let (waiter, tell) = state.withLock { state in
            let tell = state.isGone ? nil : state.tell
            state.isGone = true
            state.lines = []
            defer { state.waiter = nil }
            return (state.waiter, tell)
        }
        waiter?.resume(returning: nil)
        tell?(.isGone)
    }

    /// The next line; nil after the last, or when the task is cancelled. For one task.
    func next() async -> [UInt8]? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                let (ready, tell) = state.withLock { state -> ([UInt8]??, (@Sendable (Event) -> Void)?) in
                    if !state.lines.isEmpty {
                        let line = state.lines.removeFirst()
                        guard state.isBlocked, state.lines.count < Self.linesMax / 2 else { return (.some(line), nil) }
                        state.isBlocked = false
                        return (.some(line), state.tell)
                    }
                    // A cancellation before this point found no waiter to wake, so it is looked at here.
                    if state.isFinished || state.isGone || Task.isCancelled { return (.some(nil), nil) }
                    state.waiter = waiter
                    return (nil, nil)
                }
                tell?(.hasRoom)
                if let ready { waiter.resume(returning: ready) }
            }
        } onCancel: {
            end()
        }
    }
}
