package import DNSWire
package import NIOCore
package import RegistryStore
import Synchronization

/// Has names that are not ours answered by other servers, and keeps what they said.
///
/// Two doors: `cachedAnswer` never waits and may be called from a hot-path thread; `forward` asks upstream servers when
/// it must. `lookup` serves this server's own chains and targets. Equal questions under way are asked once. Everything
/// is bounded: sockets, waiting clients, cache entries and octets, time.
///
/// Safe to use from any thread; one short lock, never held while waiting.
package final class Forwarder: Sendable {
    /// The settings it was made with.
    package let configuration: ForwarderConfiguration
    private let group: any EventLoopGroup
    /// Monotonic milliseconds.
    private let now: @Sendable () -> Int64
    private let random: ForwarderRandom
    private let bounds: ForwardedAnswer.TTLBounds
    private let state: Mutex<State>

    /// TTLs of records that `lookup` hands on are at most this, as SkyDNS's.
    private static let lookupTTLMax: UInt32 = 60
    /// Names that must never leave the machine for the public DNS (RFC 7686 §2, RFC 9476 §2, RFC 6761 §6.4).
    private static let neverForwarded: Set<[UInt8]> = [Array("onion".utf8), Array("alt".utf8), Array("invalid".utf8)]

    /// - Parameters:
    ///   - group: where sockets live; the caller shuts it down after the last answer.
    ///   - clock: for the cache; time limits of the network run on the event loop's clock.
    ///   - random: where ids and orders come from.
    package init(
        configuration: ForwarderConfiguration, group: any EventLoopGroup,
        clock: RegistryClock = .system, random: ForwarderRandom = .system
    ) {
        self.configuration = configuration
        self.group = group
        self.now = clock.monotonicMilliseconds
        self.random = random
        bounds = ForwardedAnswer.TTLBounds(
            lower: configuration.cacheMinTTL.ttlSeconds, upper: configuration.cacheMaxTTL.ttlSeconds)
        state = Mutex(State(configuration))
    }

    /// What it has done so far.
    package var counters: ForwarderCounters { state.withLock { $0.snapshot() } }

    /// Upstream servers that gave no answer when last asked, in the order of the settings.
    package var silentUpstreams: [SocketAddress] {
        let time = now()
        return state.withLock { $0.order.silent(now: time) }.map { configuration.upstreams[$0] }
    }

    /// The answer, if it can be given without asking anyone: cached data or failure, or a name that is never forwarded.
    /// O(octets of the answer), no suspension.
    package func cachedAnswer(_ request: ForwardRequest) -> ForwardOutcome? {
        guard let resolution = known(request, countsMiss: false) else { return nil }
        return outcome(of: resolution, for: request)
    }

    /// Answers from the cache or from upstream servers. Always returns, in less than five seconds with the default
    /// settings; cancellation has no effect.
    package func forward(_ request: ForwardRequest) async -> ForwardOutcome {
        if let resolution = known(request, countsMiss: true) { return outcome(of: resolution, for: request) }
        return outcome(of: await resolve(request, zone: nil), for: request)
    }

    /// As `forward(_:)`, for a client's raw message. What is no answerable query fails with FORMERR.
    package func forward(query: [UInt8], transport: ForwardTransport, clientLimit: Int) async -> ForwardOutcome {
        guard let request = ForwardRequest(query: query, transport: transport, limit: clientLimit) else {
            return .failure(.formErr, nil)
        }
        return await forward(request)
    }

    /// Asks the servers of a stub zone, in turn from a random start. Their AA and response code are kept, nothing is
    /// cached. The caller has refused questions that carry the stub mark themselves.
    package func forward(_ request: ForwardRequest, to zone: StubZone) async -> ForwardOutcome {
        state.withLock { $0.counters.queries += 1 }
        return outcome(of: await resolve(request, zone: zone), for: request)
    }

    /// The records of one name and type for this server's own answers, when the cache has them.
    package func cachedLookup(name: DomainName, type: RRType) -> ForwardedRRset? {
        let request = ForwardRequest(lookup: name, type: type)
        return known(request, countsMiss: false).map { rrset(of: $0, type: type) }
    }

    /// The records of one name and type for this server's own answers: targets and CNAME chains that leave the domain.
    package func lookup(name: DomainName, type: RRType) async -> ForwardedRRset {
        let request = ForwardRequest(lookup: name, type: type)
        if let resolution = known(request, countsMiss: true) { return rrset(of: resolution, type: type) }
        return rrset(of: await resolve(request, zone: nil), type: type)
    }

    // MARK: - Without asking

    /// What is known about a question: by its name alone, or from the cache.
    private func known(_ request: ForwardRequest, countsMiss: Bool) -> Resolution? {
        let fixed = fixedAnswer(for: request)
        let time = now()
        return state.withLock { state in
            let found = fixed ?? state.cached(request.key, now: time)
            if found != nil || countsMiss { state.counters.queries += 1 }
            if found == nil, countsMiss { state.counters.cacheMisses += 1 }
            return found
        }
    }

    private func fixedAnswer(for request: ForwardRequest) -> Resolution? {
        let name = request.question.name
        if name.labelCount < configuration.ndots { return .failed(.servFail, nil) }
        if configuration.upstreams.isEmpty { return .failed(.servFail, .noReachableAuthority) }
        if Self.neverForwarded.contains(name.topLabel) { return .failed(.nxDomain, .blocked) }
        return nil
    }

    private func outcome(of resolution: Resolution, for request: ForwardRequest) -> ForwardOutcome {
        switch resolution {
        case .answer(let answer, let age): .message(answer.message(for: request, age: age))
        case .failed(let rcode, let reason): .failure(rcode, reason)
        }
    }

    private func rrset(of resolution: Resolution, type: RRType) -> ForwardedRRset {
        switch resolution {
        case .failed(.nxDomain, _): return .nxdomain
        case .failed: return .failed
        case .answer(let answer, let age):
            if answer.rcode == .nxDomain { return .nxdomain }
            guard answer.rcode == .noError else { return .failed }
            let records = answer.answers(age: age, ttlMax: Self.lookupTTLMax)
            return records.isEmpty ? .noData : .records(records)
        }
    }

    // MARK: - Asking

    /// Asks, or waits for the equal question that is being asked.
    private func resolve(_ request: ForwardRequest, zone: StubZone?) async -> Resolution {
        let flight = Flight(key: request.key, zone: zone)
        let joined: Resolution? = await withCheckedContinuation { continuation in
            let time = now()
            switch state.withLock({ $0.enter(flight, waiter: continuation, now: time) }) {
            case .waits: break
            case .isTold(let known): continuation.resume(returning: known)
            case .leads: continuation.resume(returning: nil)
            case .isRefused: continuation.resume(returning: fallback(for: flight))
            }
        }
        if let joined { return joined }
        let result = await lead(request, zone: zone)
        let waiters = state.withLock { $0.leave(flight) }
        for waiter in waiters { waiter.resume(returning: result) }
        return result
    }

    /// What is said when too much is under way.
    private func fallback(for flight: Flight) -> Resolution {
        let time = now()
        let stale = flight.zone == nil ? state.withLock { $0.stale(flight.key, now: time) } : nil
        return stale ?? .failed(.servFail, .other)
    }

    /// Asks the servers and keeps what they said.
    private func lead(_ request: ForwardRequest, zone: StubZone?) async -> Resolution {
        let time = now()
        let (order, hasStale) = state.withLock { state in
            let order: [Int]
            if let zone {
                let start = Int(random.next() % UInt64(max(1, zone.servers.count)))
                order = UpstreamOrder.rotated(count: zone.servers.count, start: start)
            } else {
                order = state.order.next(now: time, random: random)
            }
            return (order, zone == nil && state.hasStale(request.key, now: time))
        }
        let servers = zone?.servers ?? configuration.upstreams
        let round = UpstreamRound(
            request: request, isStub: zone != nil, servers: order.map { servers[$0] },
            bounds: zone == nil ? bounds : ForwardedAnswer.TTLBounds(),
            queryTimeout: configuration.queryTimeout,
            totalTimeout: hasStale ? configuration.totalTimeoutWhenStale : configuration.totalTimeout,
            exchange: UpstreamExchange(group: group) { self.count(\.unsuitablePackets) },
            random: random)
        let report = await round.run()
        let end = now()
        return state.withLock { state in
            state.counters.add(report)
            guard zone == nil else {
                if case .failed = report.result { state.counters.failures += 1 }
                return report.result
            }
            for place in report.answering { state.order.noteAnswer(from: order[place]) }
            for place in report.silent { state.order.noteSilence(of: order[place], now: end) }
            return state.keep(report.result, for: request.key, now: end)
        }
    }

    private func count(_ counter: WritableKeyPath<ForwarderCounters, Int>) {
        state.withLock { $0.counters[keyPath: counter] += 1 }
    }
}

extension DomainName {
    /// The label next to the root, in lower case; empty for the root itself.
    fileprivate var topLabel: [UInt8] {
        var last: ArraySlice<UInt8> = []
        for label in labels { last = label }
        return last.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }
    }
}
