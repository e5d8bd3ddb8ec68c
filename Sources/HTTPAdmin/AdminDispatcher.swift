package import HTTPTypes
package import Logging
package import RegistryStore

/// Leads every request of the HTTP listener to its door. Order of decisions (contract section 1): path, method, content
/// type, token, and only then the body.
package struct AdminDispatcher: Sendable {
    /// The etcd door on this listener (`/v2/…`, `/version`, `/health`); nil when it does not know the path either.
    package typealias Fallback = @Sendable (HTTPRequest, HTTPCall) async -> HTTPAnswer?

    /// What the head of a request leads to.
    package enum Plan: Sendable {
        /// The answer is known; the body is not wanted.
        case answer(HTTPAnswer)
        /// The body is wanted, then this gives the answer. One that may wait for something to happen is cancelled when
        /// the client goes away; the others are too short for that to be worth its cost.
        case read(mayWait: Bool, @Sendable (HTTPCall) async -> HTTPAnswer)
    }

    private let routes: RouteTable<Operation>
    private let authenticator: any Authenticator
    private let fallback: Fallback?
    private let counters: HTTPCounters
    private let requestIDs: RequestIDs
    private let clock: RegistryClock
    private let logger: Logger

    package init(
        routes: RouteTable<Operation>, authenticator: any Authenticator, fallback: Fallback?, counters: HTTPCounters,
        clock: RegistryClock = .system, logger: Logger
    ) {
        self.routes = routes
        self.authenticator = authenticator
        self.fallback = fallback
        self.counters = counters
        self.clock = clock
        self.logger = logger
        requestIDs = RequestIDs(clock: clock)
    }

    /// Head and body in one; what tests and other listeners call.
    package func respond(to call: HTTPCall) async -> HTTPAnswer {
        switch await plan(call) {
        case .answer(let answer): answer
        case .read(_, let handle): await handle(call)
        }
    }

    /// Decides by the head alone.
    package func plan(_ head: HTTPCall) async -> Plan {
        let start = ContinuousClock.now
        switch routes.match(head.method, path: head.path) {
        case .found(let operation, let parameters):
            return await plan(operation, parameters, head, start)
        case .methodNotAllowed(let allowed):
            var answer = APIError.methodNotAllowed.answer
            answer.headers[.allow] = allowed.map(\.rawValue).joined(separator: ", ")
            return .answer(finish(answer, of: head, operation: "MethodNotAllowed", since: start))
        case .malformed:
            return .answer(finish(APIError.malformedPath.answer, of: head, operation: "MalformedPath", since: start))
        case .notFound:
            guard let fallback, Self.belongsToEtcd(head.path) else {
                return .answer(finish(APIError.resourceNotFound.answer, of: head, operation: "NotFound", since: start))
            }
            return .read(mayWait: true) { call in
                guard let answer = await Self.ask(fallback, call) else {
                    return finish(APIError.resourceNotFound.answer, of: call, operation: "NotFound", since: start)
                }
                record("Etcd", answer, of: call, since: start, requestID: nil)
                return answer
            }
        }
    }

    /// An answer of the listener itself, for requests that never reach a route.
    package func refusal(_ error: APIError, of call: HTTPCall) -> HTTPAnswer {
        finish(error.answer, of: call, operation: "Refused", since: .now)
    }

    private func plan(
        _ operation: Operation, _ parameters: PathParameters, _ head: HTTPCall, _ start: ContinuousClock.Instant
    ) async -> Plan {
        let namespace: Namespace
        do throws(APIError) {
            namespace = try await admit(head, to: operation)
        } catch {
            return .answer(finish(error.answer, of: head, operation: operation.name, since: start))
        }
        return .read(mayWait: false) { call in
            let answer: HTTPAnswer
            do throws(APIError) {
                answer = try await operation.handle(
                    Invocation(call: call, namespace: namespace, parameters: parameters))
            } catch {
                answer = error.answer
            }
            return finish(answer, of: call, operation: operation.name, since: start)
        }
    }

    private func admit(_ head: HTTPCall, to operation: Operation) async throws(APIError) -> Namespace {
        guard operation.access == .tenant else { return .default }
        if case .known = head.bodyLength, !HeaderText.isJSON(contentType: head.headers[.contentType]) {
            throw .badContentType
        }
        let token: String?
        switch BearerToken(head.headers) {
        case .absent: token = nil
        case .malformed: throw .malformedAuthorization
        case .token(let text): token = text
        }
        switch await authenticator.authenticate(token: token) {
        case .namespace(let namespace): return namespace
        case .missing: throw .missingAuthorization
        case .refused, .notRecognised: throw .invalidToken
        case .unavailable: throw .issuerUnavailable
        }
    }

    // MARK: What every answer carries

    private func finish(
        _ answer: HTTPAnswer, of call: HTTPCall, operation: String, since start: ContinuousClock.Instant
    ) -> HTTPAnswer {
        var answer = answer
        let requestID = requestIDs.next()
        if answer.headers[.contentType] == nil { answer.headers[.contentType] = HTTPAnswer.jsonType }
        answer.headers[.vary] = "Accept-Encoding"
        answer.headers[.requestID] = requestID
        answer.headers[.legacyRequestID] = requestID
        answer.headers[.date] = CivilTime(unixMilliseconds: clock.unixMilliseconds()).httpDate
        if case .bytes(let bytes) = answer.body, !bytes.isEmpty, answer.headers[.contentEncoding] == nil,
            HeaderText.acceptsGzip(call.headers[.acceptEncoding])
        {
            answer.body = .bytes(Gzip.compress(bytes))
            answer.headers[.contentEncoding] = "gzip"
        }
        record(operation, answer, of: call, since: start, requestID: requestID)
        return answer
    }

    /// Counts the answer and writes the access line: debug only, and never the query, which may hold a token.
    private func record(
        _ operation: String, _ answer: HTTPAnswer, of call: HTTPCall, since start: ContinuousClock.Instant,
        requestID: String?
    ) {
        let elapsed = ContinuousClock.now - start
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
        counters.answered(operation: operation, status: answer.status.code, seconds: seconds)
        logger.debug(
            "HTTP request",
            metadata: [
                "client": "\(call.remoteAddress ?? "-")", "method": "\(operation)", "verb": "\(call.method.rawValue)",
                "returncode": "\(answer.status.code)", "byteswritten": "\(answer.bytes.count)",
                "elapsedtime": "\(elapsed)", "sd-request-id": "\(requestID ?? "-")",
                "error": "\(answer.headers[.errorDetail] ?? "")",
            ])
    }

    // MARK: The etcd door

    private static func belongsToEtcd(_ path: String) -> Bool {
        path == "/v2" || path.hasPrefix("/v2/") || path == "/version" || path == "/health"
    }

    private static func ask(_ fallback: Fallback, _ call: HTTPCall) async -> HTTPAnswer? {
        let request = HTTPRequest(
            method: call.method, scheme: call.isTLS ? "https" : "http", authority: call.authority,
            path: call.query.map { "\(call.path)?\($0)" } ?? call.path, headerFields: call.headers)
        return await fallback(request, call)
    }
}
