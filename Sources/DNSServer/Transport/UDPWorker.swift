import CDatagram
import Glibc
import Logging
import RegistryStore
import Synchronization

/// One thread with one socket: batches of datagrams in, batches of answers out.
///
/// SAFETY: the invariants of this file: `run` is the only user of the engine and of the socket's batch; the object
/// outlives
/// its thread, which holds a strong reference until it ends.
@safe
final class UDPWorker: @unchecked Sendable {
    private let socket: DatagramSocket
    private let engine: EngineBox
    private let deferred: DeferredAnswers
    private let totals: EngineTotals
    private let clock: RegistryClock
    private let logger: Logger
    private let stopping = Atomic<Bool>(false)
    private let finished = Atomic<Bool>(false)

    init(
        socket: DatagramSocket, engine: EngineBox, deferred: DeferredAnswers, totals: EngineTotals,
        clock: RegistryClock,
        logger: Logger
    ) {
        self.socket = socket
        self.engine = engine
        self.deferred = deferred
        self.totals = totals
        self.clock = clock
        self.logger = logger
    }

    var hasFinished: Bool { finished.load(ordering: .acquiring) }

    /// Tells the thread to end after its current wait, at most 200 ms.
    func stop() { stopping.store(true, ordering: .releasing) }

    /// Starts the thread.
    func start() throws(SystemCallError) {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        // SAFETY: the retain above is taken over by the thread's entry point.
        let result = unsafe pthread_create(&thread, nil, udpWorkerMain, context)
        guard result == 0 else {
            unsafe Unmanaged<UDPWorker>.fromOpaque(context).release()
            throw SystemCallError(call: "pthread_create", code: result)
        }
        pthread_detach(thread)
    }

    fileprivate func run() {
        while !stopping.load(ordering: .acquiring) {
            do throws(SystemCallError) {
                let count = try socket.receive()
                if count > 0 { serve(count) }
            } catch {
                logger.error("UDP socket failed, thread ends", metadata: ["error": "\(error)"])
                break
            }
        }
        finished.store(true, ordering: .releasing)
    }

    private func serve(_ count: Int) {
        var staged = 0
        engine.value.enter(now: clock.monotonicMilliseconds(), unixSeconds: clock.unixMilliseconds() / 1000)
        for slot in 0..<count {
            let (bytes, length) = unsafe socket.received(slot)
            unsafe engine.value.prepare(slot, bytes, length: length)
        }
        engine.value.lookAhead(count)
        for slot in 0..<count {
            let (bytes, length) = unsafe socket.received(slot)
            let result = unsafe engine.value.answerPrepared(
                slot, bytes, length: length, out: socket.sendBytes(staged), capacity: DatagramSocket.sendSize,
                transport: .udp)
            if result > 0 {
                socket.stage(staged, answering: slot, length: result)
                staged &+= 1
            } else if result < 0, let deferral = engine.value.deferral {
                let query = unsafe [UInt8](UnsafeRawBufferPointer(start: bytes, count: length))
                deferred.submit(
                    DeferredQuery(
                        bytes: query, deferral: deferral, transport: .udp, path: .udp(socket.returnPath(slot))))
            }
        }
        engine.value.leave()
        if staged > 0 {
            let refused = socket.flush(staged)
            if refused > 0 { engine.value.counters.unsent &+= UInt64(refused) }
        }
        engine.flush(to: totals)
    }
}

private func udpWorkerMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { return nil }
    // SAFETY: `start` retained the worker for this thread.
    let worker = unsafe Unmanaged<UDPWorker>.fromOpaque(context).takeRetainedValue()
    // SAFETY: the callee reads the string before it returns.
    unsafe cdatagram_name_thread("dns-udp")
    worker.run()
    return nil
}
