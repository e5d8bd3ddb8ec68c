import Synchronization

/// Has the requests of all connections answered: at once on the connection's event loop, but what has to wait by tasks
/// of the server.
///
/// A request for which nothing waits is done in less time than a task takes to be started, and its answer goes out with
/// those of the requests that were read together with it.
final class EtcdDispatcher: Sendable {
    typealias Work = @Sendable () async -> Void

    /// What the server's tasks have to do. Unbounded, and yet no longer than there are connections: each has one
    /// request under way.
    let work: AsyncStream<Work>

    private let handler: EtcdHTTPHandler
    private let submission: AsyncStream<Work>.Continuation
    private let isRunning = Atomic(false)

    init(handler: EtcdHTTPHandler) {
        self.handler = handler
        (work, submission) = AsyncStream<Work>.makeStream(bufferingPolicy: .unbounded)
    }

    /// Answers requests from now on; those that came before are work.
    func start() { isRunning.store(true, ordering: .relaxed) }

    /// Ends `work`.
    func finish() { submission.finish() }

    /// Has a job answered. To be called on its connection's event loop.
    func submit(_ job: EtcdJob) {
        if !isRunning.load(ordering: .relaxed) {
            let handler = handler
            submission.yield { await job.answer(by: handler)?() }
        } else if let rest = job.answer(by: handler) {
            submission.yield(rest)
        }
    }
}
