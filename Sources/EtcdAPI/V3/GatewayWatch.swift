import EtcdMessages
import GRPC
import NIOCore
import NIOPosix
import Synchronization

/// A watch over the gateway: what is a call with messages both ways on gRPC, with one request and lines of JSON.
///
/// It lives on an event loop like other watches; the lines wait, up to a bound, for the task that sends them.
final class GatewayWatch: GRPCServerStream {
    let eventLoop: any EventLoop
    private let lines: GatewayLines
    private var handler: (any GRPCStreamHandler)?

    private init(eventLoop: any EventLoop, lines: GatewayLines) {
        self.eventLoop = eventLoop
        self.lines = lines
    }

    /// Starts a watch; the lines are those of the answer.
    static func start(
        _ request: ByteBuffer, _ v3: EtcdV3, on loop: any EventLoop = MultiThreadedEventLoopGroup.singleton.any()
    ) -> EtcdEvents {
        let lines = GatewayLines()
        loop.execute {
            let watch = GatewayWatch(eventLoop: loop, lines: lines)
            let handler = WatchStream(stream: watch, hub: v3.watch.hub(on: loop), context: v3.context)
            watch.handler = handler
            let bound = NIOLoopBound(watch, eventLoop: loop)
            lines.connect { event in
                loop.execute {
                    switch event {
                    case .hasRoom: bound.value.handler?.becameWritable()
                    case .isGone: bound.value.close()
                    }
                }
            }
            handler.received(request)
        }
        return EtcdEvents(next: { await lines.next() }, cancel: { lines.end() })
    }

    var isWritable: Bool { lines.hasRoom }

    func send(_ message: ByteBuffer) {
        do throws(GRPCStatus) {
            let response: EtcdWatchResponse = try Messages.read(message)
            lines.add(GatewayJSON.result(try GatewayJSON.write(response)))
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
