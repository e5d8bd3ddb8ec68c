import GRPC
import NIOCore
import Synchronization

/// A call with messages both ways, passed on: one call of the cluster's for each call of a client's. Lives on the
/// stream's event loop; the messages between the two ends are carried by a task that ends with the call.
///
/// The next answer is taken from the cluster when the client takes more: what a slow client leaves waits in the
/// cluster, but for one flow-control window. Requests wait here up to a bound, beyond which the call ends.
final class ProxyStream: GRPCStreamHandler {
    private let stream: any GRPCServerStream
    private let requests: AsyncStream<ByteBuffer>.Continuation
    private let requestBytes: RequestBytes
    private let counters: StoreCounters
    private var task: Task<Void, Never>?
    /// The carrier, while the client takes nothing.
    private var carrier: CheckedContinuation<Void, Never>?
    private var isClosed = false

    /// Requests that wait for the cluster: their number, and their bytes.
    private static let requestsMax = 65_536
    private static let requestBytesMax = 8 << 20

    /// - Parameter open: opens the call to the cluster.
    init(
        _ stream: any GRPCServerStream, counters: StoreCounters,
        open: @escaping @Sendable () async throws(GRPCStatus) -> GRPCClientStream
    ) {
        self.stream = stream
        self.counters = counters
        let (waiting, requests) = AsyncStream.makeStream(
            of: ByteBuffer.self, bufferingPolicy: .bufferingOldest(Self.requestsMax))
        self.requests = requests
        requestBytes = RequestBytes()
        let carrier = ProxyCarrier(
            requests: waiting, bytes: requestBytes, open: open, loop: stream.eventLoop,
            client: NIOLoopBound(self, eventLoop: stream.eventLoop))
        // Owned by this object: cancelled when the call ends, by whichever side.
        task = Task { await carrier.run() }
    }

    // MARK: On the loop

    fileprivate func answer(_ message: ByteBuffer, _ carrier: CheckedContinuation<Void, Never>) {
        guard !isClosed else { return carrier.resume() }
        stream.send(message)
        stream.flush()
        // Sending may end the call, when memory is used up.
        if isClosed || stream.isWritable { carrier.resume() } else { self.carrier = carrier }
    }

    fileprivate func end(_ status: GRPCStatus) {
        guard !isClosed else { return }
        if status.code == .unavailable { counters.proxyFailures.count() }
        stream.finish(status)
    }

    func received(_ message: ByteBuffer) {
        guard !isClosed else { return }
        if requestBytes.add(message, bound: Self.requestBytesMax), case .enqueued = requests.yield(message) { return }
        counters.unsentRequests.count()
        stream.finish(GRPCStatus(.resourceExhausted, "regdns: the etcd cluster does not take the requests so fast"))
    }

    func endOfRequests() { requests.finish() }

    func becameWritable() { carrier.take()?.resume() }

    func closed() {
        isClosed = true
        task?.cancel()
        requests.finish()
        carrier.take()?.resume()
    }
}

/// Carries the messages of one call between the client's loop and the cluster.
private struct ProxyCarrier: Sendable {
    let requests: AsyncStream<ByteBuffer>
    let bytes: RequestBytes
    let open: @Sendable () async throws(GRPCStatus) -> GRPCClientStream
    let loop: any EventLoop
    let client: NIOLoopBound<ProxyStream>

    /// Opens the call to the cluster, and ends the client's with it.
    func run() async {
        let status: GRPCStatus
        do throws(GRPCStatus) {
            let upstream = try await open()
            status = await withDiscardingTaskGroup { group in
                group.addTask { await send(to: upstream) }
                let status = await read(upstream)
                group.cancelAll()
                return status
            }
        } catch {
            status = error
        }
        loop.execute { client.value.end(status) }
    }

    private func read(_ upstream: GRPCClientStream) async -> GRPCStatus {
        do throws(GRPCStatus) {
            while let message = try await upstream.next() {
                await withCheckedContinuation { carrier in
                    loop.execute { client.value.answer(message, carrier) }
                }
            }
            return .ok
        } catch {
            return error
        }
    }

    private func send(to upstream: GRPCClientStream) async {
        do throws(GRPCStatus) {
            for await request in requests {
                bytes.remove(request)
                try await upstream.send(request)
            }
            if !Task.isCancelled { upstream.finishSending() }
        } catch {
            // Who reads the answers hears the same, and tells the client.
            return
        }
    }
}

/// Bytes of requests that wait; each counts a little more, for its place.
private final class RequestBytes: Sendable {
    private let count = Atomic<Int>(0)
    private static let place = 64

    /// Counts a request unless that would pass the bound.
    func add(_ request: ByteBuffer, bound: Int) -> Bool {
        let bytes = request.readableBytes + Self.place
        if count.add(bytes, ordering: .relaxed).newValue <= bound { return true }
        count.subtract(bytes, ordering: .relaxed)
        return false
    }

    func remove(_ request: ByteBuffer) { count.subtract(request.readableBytes + Self.place, ordering: .relaxed) }
}
