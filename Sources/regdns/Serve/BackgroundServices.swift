import EtcdAPI
import Logging
import RegistryStore
import ServiceLifecycle
import Synchronization

/// Ends leases that ran out, and directories of the etcd door, every 50 ms.
struct ExpiryLoop: Service {
    /// Nil when its leases end otherwise: in a cluster each by the node that counts it.
    let registry: Registry?
    let directories: Keyspace
    /// Of an external store.
    let writer: (any RegistryWriter)?
    static let pause: Duration = .milliseconds(50)
    static let pauseAfterFailure: Duration = .seconds(1)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.expire() }
                if let writer { group.addTask { await self.expireDirectories(through: writer) } }
            }
        }
    }

    private func expire() async {
        while (try? await Task.sleep(for: Self.pause)) != nil {
            registry?.expireDue()
            directories.expireDirectories()
        }
    }

    private func expireDirectories(through writer: any RegistryWriter) async {
        var pause = Self.pause
        while (try? await Task.sleep(for: pause)) != nil {
            pause = await directories.expireDirectories(through: writer) ? Self.pause : Self.pauseAfterFailure
        }
    }
}

/// Follows all keys of a cluster while v2 clients need them.
struct WideFollowing: Service {
    let wide: WideKeyspace

    func run() async throws {
        await cancelWhenGracefulShutdown { await wide.run() }
    }
}

/// After the signal to stop: not ready at once, but answering for the lame duck time. It is the last service of its
/// group, hence the first one to be stopped; the listeners go on until it has ended.
struct LameDuck: Service {
    let time: Duration
    let readiness: Readiness
    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        readiness.stopping()
        guard time > .zero else { return }
        logger.notice("stopping: not ready, still answering", metadata: ["for": "\(DurationText.format(time))"])
        try? await Task.sleep(for: time)
    }
}

/// Once a second: how many queries came, and which stored values were skipped.
struct Observation: Service {
    let registry: Registry
    let rate: QueryRate
    /// Queries answered so far.
    let queries: @Sendable () -> UInt64
    let logger: Logger

    /// Values told per second; what is more is told as a number.
    static let valuesToldPerSecond = 10

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var told = Told()
            while (try? await Task.sleep(for: .seconds(1))) != nil {
                rate.sample(queries())
                tellSkipped(&told)
            }
        }
    }

    /// What the log has said of skipped values.
    private struct Told {
        var total = 0
        var values: Set<SkippedValue> = []
    }

    /// Logs each value that is skipped once.
    private func tellSkipped(_ told: inout Told) {
        let total = registry.counts().skippedValuesTotal
        guard total > told.total else { return }
        told.total = total
        let current = registry.skippedValues()
        let new = current.filter { !told.values.contains($0) }
        for value in new.prefix(Self.valuesToldPerSecond) {
            logger.warning(
                "a stored value is no service and is not answered",
                metadata: ["key": "\(String(decoding: value.key, as: UTF8.self))", "reason": "\(value.reason)"])
        }
        if new.count > Self.valuesToldPerSecond {
            logger.warning(
                "more stored values are no services; GET /api/v1/skipped lists them",
                metadata: ["count": "\(new.count - Self.valuesToldPerSecond)"])
        }
        told.values = Set(current)
    }
}

/// Queries per second over the last ten seconds.
final class QueryRate: Sendable {
    private static let window = 10
    private let samples = Mutex<[UInt64]>([])

    /// Takes the running total, once a second.
    func sample(_ total: UInt64) {
        samples.withLock { samples in
            samples.append(total)
            if samples.count > Self.window + 1 { samples.removeFirst() }
        }
    }

    var perSecond: Double {
        samples.withLock { samples in
            guard let first = samples.first, let last = samples.last, samples.count > 1 else { return 0 }
            return Double(last &- first) / Double(samples.count - 1)
        }
    }
}
