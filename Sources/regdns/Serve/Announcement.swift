import Logging
import Persistence
import ServiceLifecycle

/// Prints the start line when everything listens and the node has something to answer from.
struct Announcement: Service {
    private let start: StartLine
    private let gates: [any ReadinessGate]
    private let readiness: Readiness
    private let store: StoreChoice
    private let data: DataSettings?
    private let logger: Logger
    private let bound: AsyncStream<[String]>
    private let addresses: AsyncStream<[String]>.Continuation

    init(
        start: StartLine, gates: [any ReadinessGate], readiness: Readiness, store: StoreChoice, data: DataSettings?,
        logger: Logger
    ) {
        self.start = start
        self.gates = gates
        self.readiness = readiness
        self.store = store
        self.data = data
        self.logger = logger
        (bound, addresses) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    /// The HTTP listeners are there, which come last.
    func listening(_ http: [String]) {
        addresses.yield(http)
        addresses.finish()
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await http in bound {
                readiness.started()
                for gate in gates {
                    guard let reason = gate.notReady else { continue }
                    logger.notice("listening, and not ready yet", metadata: ["reason": "\(reason)"])
                    await gate.waitUntilReady()
                    guard !Task.isCancelled else { return }
                }
                var line = start
                line.http = http
                StandardStreams.print(line.description)
                logger.info("\(ready)")
            }
        }
        try? await gracefulShutdown()
    }

    private var ready: String {
        if let data { return "ready; registrations are kept in \(data.directory), sync \(data.sync.rawValue)" }
        return switch store {
        case .memory: "ready; registrations are kept in memory only and end with this process"
        case .etcd: "ready; registrations are kept in the etcd cluster"
        }
    }
}

/// A service that does nothing until the end.
struct Idle: Service {
    func run() async throws { try? await gracefulShutdown() }
}
