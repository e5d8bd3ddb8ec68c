import DNSWire

extension Forwarder {
    /// What came of a question, before it is put into a client's form.
    enum Resolution: Sendable {
        case answer(ForwardedAnswer, ForwardedAnswer.Age)
        case failed(RCODE, ExtendedErrorCode?)
    }

    /// What makes two questions under way the same: also the servers asked.
    struct Flight: Hashable, Sendable {
        let key: QuestionKey
        let zone: StubZone?
    }

    /// The part of a question that a caller takes.
    enum Entrance: Sendable {
        /// It asks, and calls `leave` when done.
        case leads
        /// It is told the result later.
        case waits
        /// The result is known.
        case isTold(Resolution)
        /// Too many questions or waiters.
        case isRefused
    }

    /// Everything that changes, under the forwarder's lock. Times are monotonic milliseconds.
    struct State {
        typealias Waiter = CheckedContinuation<Resolution?, Never>

        private struct Kept {
            var result: Result
            var since: Int64
            /// Until when it is an ordinary answer.
            var freshUntil: Int64
            /// Until when it may be used if nobody answers.
            var staleUntil: Int64
            /// Until when it is used without asking anybody, because nobody answered just now.
            var heldUntil = Int64.min

            enum Result {
                case answer(ForwardedAnswer)
                case failed(RCODE, ExtendedErrorCode?)
            }
        }

        private let configuration: ForwarderConfiguration
        private var cache: AnswerCache<Kept>
        private var flights: [Flight: [Waiter]] = [:]
        private var waiterCount = 0
        var order: UpstreamOrder
        var counters = ForwarderCounters()

        init(_ configuration: ForwarderConfiguration) {
            self.configuration = configuration
            cache = AnswerCache(capacity: configuration.cacheSize, octetsMax: configuration.cacheOctetsMax)
            order = UpstreamOrder(
                count: configuration.upstreams.count, policy: configuration.policy, holdDown: configuration.holdDown)
        }

        func snapshot() -> ForwarderCounters {
            var result = counters
            result.cacheEntries = cache.count
            result.cacheEvictions = cache.evictions
            result.inFlight = flights.count
            return result
        }

        // MARK: Cache

        /// What the cache says now, fresh answers and those held because nobody answered.
        mutating func cached(_ key: QuestionKey, now: Int64) -> Resolution? {
            guard let kept = cache.value(for: key) else { return nil }
            switch kept.result {
            case .failed(let rcode, let reason):
                guard now < kept.freshUntil else { return nil }
                counters.cacheHits += 1
                return .failed(rcode, reason ?? .cachedError)
            case .answer(let answer):
                if now < kept.freshUntil {
                    counters.cacheHits += 1
                    return .answer(answer, .seconds(UInt32(clamping: max(0, now &- kept.since) / 1000)))
                }
                return now < kept.heldUntil ? stale(key, now: now) : nil
            }
        }

        /// An expired answer that may still be used for want of a better one.
        mutating func stale(_ key: QuestionKey, now: Int64) -> Resolution? {
            guard let kept = cache.value(for: key), case .answer(let answer) = kept.result, now < kept.staleUntil
            else { return nil }
            counters.cacheStale += 1
            return .answer(answer, .stale(ttl: configuration.staleTTL.ttlSeconds))
        }

        /// Whether `stale` would have something.
        mutating func hasStale(_ key: QuestionKey, now: Int64) -> Bool {
            guard let kept = cache.value(for: key), case .answer = kept.result else { return false }
            return now < kept.staleUntil
        }

        /// Keeps the result of asking. Returns what to tell the clients: the result, or after a failure the expired
        /// answer (RFC 8767 §5).
        mutating func keep(_ result: Resolution, for key: QuestionKey, now: Int64) -> Resolution {
            switch result {
            case .answer(let answer, _):
                guard answer.lifetime > 0 else {
                    cache.remove(key)
                    return result
                }
                let end = now &+ Int64(answer.lifetime) &* 1000
                let kept = Kept(
                    result: .answer(answer), since: now, freshUntil: end,
                    staleUntil: end &+ configuration.serveStale.milliseconds)
                cache.insert(kept, octets: answer.cacheCost, for: key)
                return result
            case .failed(let rcode, let reason):
                if let expired = stale(key, now: now) {
                    cache.update(key) { $0.heldUntil = now &+ configuration.staleTTL.milliseconds }
                    return expired
                }
                counters.failures += 1
                let end = now &+ configuration.failureTTL.milliseconds
                let kept = Kept(result: .failed(rcode, reason), since: now, freshUntil: end, staleUntil: end)
                cache.insert(kept, octets: MemoryLayout<Kept>.size, for: key)
                return result
            }
        }

        // MARK: Questions under way

        /// Starts a question, or joins the equal one. The cache is looked at again: the equal one may just have ended.
        mutating func enter(_ flight: Flight, waiter: Waiter, now: Int64) -> Entrance {
            if flight.zone == nil, let known = cached(flight.key, now: now) { return .isTold(known) }
            if flights[flight] != nil {
                guard waiterCount < configuration.maxWaiters else { return refuse() }
                flights[flight]?.append(waiter)
                waiterCount += 1
                counters.coalesced += 1
                return .waits
            }
            guard flights.count < configuration.maxInFlight else { return refuse() }
            flights[flight] = []
            return .leads
        }

        /// Ends a question. Returns those who wait for its result.
        mutating func leave(_ flight: Flight) -> [Waiter] {
            let waiters = flights.removeValue(forKey: flight) ?? []
            waiterCount -= waiters.count
            return waiters
        }

        private mutating func refuse() -> Entrance {
            counters.dropped += 1
            return .isRefused
        }
    }
}
