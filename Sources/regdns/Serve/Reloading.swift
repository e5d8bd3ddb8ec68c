import Logging
import ServiceLifecycle
import UnixSignals

/// SIGHUP: reads again what can change while the server runs. Without it the signal would end the process.
struct Reloading: Service {
    let logger: Logger
    /// What is to be done.
    let reload: @Sendable () async -> Void

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        await cancelWhenGracefulShutdown {
            for await _ in signals {
                logger.notice("SIGHUP: reading zone files, certificates and keys again")
                await reload()
            }
        }
    }
}
