import DNSWire
import NIOCore

/// One question's way through the servers: whom it is asked, how often, and what is made of what they say.
///
/// Every server is asked once, and one server once more: the first that says SERVFAIL, at once, else the first that
/// was silent, at the end. So there is one try more than there are servers.
struct UpstreamRound {
    /// What came of it, and what was seen of the servers; places count in `servers`.
    struct Report: Sendable {
        var result: Forwarder.Resolution
        var answering: Set<Int> = []
        var silent: Set<Int> = []
        var sent = 0
        var tries = 0
        var timeouts = 0
        var networkErrors = 0
        var tcpFallbacks = 0
        var ednsFallbacks = 0
    }

    let request: ForwardRequest
    let isStub: Bool
    /// In the order in which they are asked.
    let servers: [SocketAddress]
    let bounds: ForwardedAnswer.TTLBounds
    let queryTimeout: Duration
    let totalTimeout: Duration
    let exchange: UpstreamExchange
    let random: ForwarderRandom

    /// What one server's word is worth.
    private enum Worth {
        case answer(ForwardedAnswer)
        /// Ask this server again, once.
        case failing(ExtendedErrorCode?)
        /// Ask another server; this is what to say if there is none.
        case useless(RCODE, ExtendedErrorCode?)
        case nothing
    }

    /// Asks until somebody answers usably, all have been asked, or the time is over.
    func run() async -> Report {
        var report = Report(result: .failed(.servFail, .noReachableAuthority))
        var queue = Array(servers.indices)
        var hasSpareTry = true
        var said: (rcode: RCODE, reason: ExtendedErrorCode?)?
        let end = NIODeadline.now() + TimeAmount(totalTimeout)
        while !queue.isEmpty, NIODeadline.now() < end {
            let place = queue.removeFirst()
            let triesLeft = queue.count + (hasSpareTry ? 2 : 1)
            report.tries += 1
            switch await ask(place, until: .now() + share(of: end - .now(), triesLeft: triesLeft), report: &report) {
            case .answer(let answer):
                report.result = .answer(answer, .seconds(0))
                return report
            case .failing(let reason):
                said = (.servFail, reason)
                guard hasSpareTry else { break }
                hasSpareTry = false
                queue.insert(place, at: 0)
            case .useless(let rcode, let reason):
                if said?.rcode != .servFail { said = (rcode, reason) }
            case .nothing: break
            }
            if queue.isEmpty, hasSpareTry, let silent = servers.indices.first(where: report.silent.contains) {
                hasSpareTry = false
                queue.append(silent)
            }
        }
        if let said {
            report.result = .failed(said.rcode, said.reason)
        } else if report.timeouts == 0, report.networkErrors > 0 {
            report.result = .failed(.servFail, .networkError)
        }
        return report
    }

    /// How long the next try may take, so that all that are left get their turn.
    func share(of left: TimeAmount, triesLeft: Int) -> TimeAmount {
        min(TimeAmount(queryTimeout), .nanoseconds(left.nanoseconds / Int64(max(1, triesLeft))))
    }

    /// Asks one server, over TCP or without EDNS as well when its answer calls for that.
    private func ask(_ place: Int, until deadline: NIODeadline, report: inout Report) async -> Worth {
        var transport = request.transport
        var withEDNS = true
        while true {
            let id = UInt16(truncatingIfNeeded: random.next())
            let query = UpstreamQuery(request, id: id, isStub: isStub, withEDNS: withEDNS)
            report.sent += 1
            switch await exchange.ask(query, at: servers[place], over: transport, until: deadline) {
            case .answer(let message):
                report.silent.remove(place)
                report.answering.insert(place)
                return worth(of: message)
            case .needsTCP where transport == .udp:
                transport = .tcp
                report.tcpFallbacks += 1
            case .withoutEDNS where withEDNS:
                withEDNS = false
                report.ednsFallbacks += 1
            case .silence:
                report.timeouts += 1
                report.silent.insert(place)
                return .nothing
            case .unreachable, .needsTCP, .withoutEDNS:
                report.networkErrors += 1
                report.silent.insert(place)
                return .nothing
            }
        }
    }

    private func worth(of message: Message) -> Worth {
        let reason = message.edns?.options.first { $0.code == .extendedError && $0.data.count >= 2 }
            .map { ExtendedErrorCode(rawValue: $0.data.span.octets.uint16(at: 0)) }
        switch message.rcode {
        case .noError, .nxDomain, .yxDomain:
            let relevant = RelevantRecords(message, question: request.question, dnssecOK: request.dnssecOK)
            guard relevant.meaning != .lame else { return .useless(.servFail, .noReachableAuthority) }
            let answer = ForwardedAnswer(
                message, relevant: relevant, question: request.question, bounds: bounds, keepsAA: isStub)
            return answer.map { .answer($0) } ?? .useless(.servFail, .other)
        case .servFail: return .failing(reason)
        case let rcode where rcode.rawValue > 15: return .useless(.servFail, reason)
        case let rcode: return .useless(rcode, reason)
        }
    }
}

extension ForwarderCounters {
    /// Adds what one round did.
    mutating func add(_ report: UpstreamRound.Report) {
        upstreamQueries += report.sent
        retries += max(0, report.tries - 1)
        timeouts += report.timeouts
        networkErrors += report.networkErrors
        tcpFallbacks += report.tcpFallbacks
        ednsFallbacks += report.ednsFallbacks
    }
}
