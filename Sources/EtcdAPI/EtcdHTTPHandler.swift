package import GRPC
package import HTTPTypes

/// The etcd door over HTTP/1.1: the whole v2 API, v3's JSON gateway, `/version` and `/health`, whatever listener a
/// request came in by.
///
/// What etcd's mux does is done here: CORS fields on every answer, `OPTIONS`, redirects to clean paths, 404 and 405 in
/// plain text.
///
/// Answers are whole but those to `wait` and to a watch over the gateway, whose body is a sequence of events.
package struct EtcdHTTPHandler: Sendable {
    /// The version told to clients: the one whose answers the tests have recorded.
    package static let version = "3.4.23"
    /// The largest body of a request, in bytes (contract section 1); more is answered 413.
    package static let bodyBytesMax = 1_572_864

    let keyspace: Keyspace
    let metrics = EtcdMetrics()
    private let node: NodeFacts
    /// The methods of v3, for the port's gRPC; the gateway calls them, too.
    package let routes: GRPCRoutes
    private let v3: EtcdV3?
    private let gateway: V3Gateway
    private let isServing: @Sendable () -> Bool
    /// What v2 shows beside the keys of `keyspace`; nil when that has all.
    private let wide: WideKeyspace?

    /// - Parameters:
    ///   - keyspace: the keys to serve.
    ///   - v3: the services of the gateway; nil for ones of its own.
    ///   - proxy: the methods of the gateway when a cluster answers them, in the place of `v3`.
    ///   - etcdAddresses: where the etcd port listens, for clients that come in by another listener; may be empty.
    ///   - wide: all keys, where `keyspace` has a part of them.
    ///   - isServing: what `/health` says.
    package init(
        keyspace: Keyspace, v3: EtcdV3? = nil, proxy: GRPCRoutes? = nil, wide: WideKeyspace? = nil,
        etcdAddresses: @escaping @Sendable () -> [EtcdAddress] = { [] },
        isServing: @escaping @Sendable () -> Bool = { true }
    ) {
        self.keyspace = keyspace
        self.node = NodeFacts(keyspace: keyspace, etcdAddresses: etcdAddresses)
        if let proxy {
            self.v3 = nil
            routes = proxy
        } else {
            let v3 = v3 ?? EtcdV3(keyspace: keyspace, etcdAddresses: etcdAddresses)
            self.v3 = v3
            routes = v3.routes
        }
        gateway = V3Gateway(routes)
        self.wide = wide
        self.isServing = isServing
    }

    /// What the door has done so far.
    package var counters: EtcdCounters {
        var counters = metrics.snapshot
        let memory = keyspace.remembering { $0.counts }
        let creations = keyspace.creationCounts
        counters.rememberedDirectories = memory.directories
        counters.rememberedCreations = creations.notes
        counters.treeForgotten = memory.forgotten + creations.forgotten
        let watches = keyspace.history.counts
        counters.watches = watches.watches
        counters.watchesRefused = watches.refused
        counters.watchesCut = watches.cut
        if let v3 { counters.v3 = v3.counters }
        counters.wide = wide?.counts
        return counters
    }

    /// Answers one request.
    ///
    /// - Parameters:
    ///   - request: method, fields and the target as sent (origin or absolute form) in `path`.
    ///   - body: the whole body; empty when there is none.
    ///   - arrival: the address of this node that the request came in on; nil when it is not known.
    package func reply(to request: HTTPRequest, body: [UInt8], arrival: EtcdAddress?) async -> EtcdReply {
        switch begin(request, body: body, arrival: arrival) {
        case .now(let reply): reply
        case .later(let wait), .whileThere(let wait): await wait()
        }
    }

    /// Answers one request, at once if nothing has to be waited for; parameters as of `reply`.
    func begin(_ request: HTTPRequest, body: [UInt8], arrival: EtcdAddress?) -> EtcdReplying {
        let method = request.method.rawValue
        switch answer(to: request, method: method, body: body, arrival: arrival) {
        case .now(let answer): return .now(counted(answer, method))
        case .later(let wait): return .later { counted(await wait(), method) }
        case .whileThere(let wait): return .whileThere { counted(await wait(), method) }
        }
    }

    private func counted(_ answer: EtcdAnswer, _ method: String) -> EtcdReply {
        metrics.count(method: method, status: answer.status)
        return answer.reply
    }

    private func answer(
        to request: HTTPRequest, method: String, body: [UInt8], arrival: EtcdAddress?
    ) -> EtcdAnswering {
        if method == "OPTIONS" { return .now(EtcdAnswer(status: 200)) }
        guard let target = RequestTarget(request.path ?? "/") else { return .now(.badRequest) }
        let clean = target.cleanPath
        if clean != target.path {
            return .now(.redirect(to: PercentEncoding.encodePath(clean), query: target.query, method: method))
        }
        if clean.starts(with: Self.keysPath) {
            let rest = clean[Self.keysPath.count...]
            guard rest.isEmpty || rest.first == UInt8(ascii: "/") else { return .now(.notFound) }
            let key = Array(rest.last == UInt8(ascii: "/") ? rest.dropLast() : rest)
            let request = KeysRequest(
                keyspace: keyspace, method: method, key: key, query: target.query,
                contentType: request.headerFields[.contentType] ?? "", body: body)
            guard let wide, wide.isBeside(key) else { return request.answer() }
            return .later { await Self.answer(request, in: wide) }
        }
        let path = String(decoding: clean, as: UTF8.self)
        if V3Gateway.serves(clean) {
            let call = request.headerFields[.authorization].map { [("authorization", $0)] } ?? []
            return gateway.answer(path, method: method, body: body, metadata: call)
        }
        return .now(ownAnswer(path, method: method, arrival: arrival))
    }

    private static func answer(_ request: KeysRequest, in wide: WideKeyspace) async -> EtcdAnswer {
        var request = request
        do throws(V2Error) {
            request.keyspace = try await wide.keyspace()
        } catch {
            return request.refusal(error)
        }
        switch request.answer() {
        case .now(let answer): return answer
        case .later(let wait), .whileThere(let wait): return await wait()
        }
    }

    /// What a node says of itself.
    private func ownAnswer(_ path: String, method: String, arrival: EtcdAddress?) -> EtcdAnswer {
        switch path {
        case "/version":
            guard method == "GET" else { return .methodNotAllowed("GET") }
            let json = "{\"etcdserver\":\"\(Self.version)\",\"etcdcluster\":\"3.4.0\"}"
            return EtcdAnswer(status: 200, contentType: .json, body: Array(json.utf8))
        case "/health":
            guard method == "GET" else { return .methodNotAllowed("GET") }
            let healthy = isServing()
            return EtcdAnswer(
                status: healthy ? 200 : 503, contentType: .text, body: Array("{\"health\":\"\(healthy)\"}".utf8))
        default:
            return node.answer(path, method: method, arrival: arrival, counts: metrics.snapshot) ?? .notFound
        }
    }

    private static let keysPath = Array("/v2/keys".utf8)
}

/// An answer that is there, or that has to be waited for.
enum Answering<Answer: Sendable>: Sendable {
    case now(Answer)
    case later(@Sendable () async -> Answer)
    /// One that may be waited for as long as the client does, and not longer: then the task is cancelled.
    case whileThere(@Sendable () async -> Answer)
}

typealias EtcdAnswering = Answering<EtcdAnswer>
typealias EtcdReplying = Answering<EtcdReply>

/// An answer as a listener sends it.
package struct EtcdReply: Sendable {
    package enum Body: Sendable {
        /// A whole body, which the listener leaves out when it answers `HEAD`. The head has its length.
        case bytes([UInt8])
        /// Lines of JSON, each to be sent as it comes; the head goes out before the first. To be cancelled when the
        /// client goes away.
        case events(EtcdEvents)
    }

    package let head: HTTPResponse
    package let body: Body
}

/// An answer before it is one of `HTTPTypes`: what the routes have in common is added by `response`.
struct EtcdAnswer: Sendable {
    enum ContentType: String, Sendable {
        case json = "application/json"
        case text = "text/plain; charset=utf-8"
        case html = "text/html; charset=utf-8"
    }

    var status: Int
    var contentType: ContentType?
    /// Fields of this answer beside the type and the length.
    var fields: [(HTTPField.Name, String)] = []
    var body: [UInt8] = []
    /// In the place of the body, when it comes piece by piece.
    var events: EtcdEvents?
    /// False for what Go's server answers before etcd sees the request: no CORS fields.
    var isEtcds = true

    /// The head with the fields that all answers have, and the body.
    var response: (HTTPResponse, [UInt8]) {
        var response = HTTPResponse(status: HTTPResponse.Status(code: status))
        response.headerFields.reserveCapacity(6 + fields.count)
        if isEtcds {
            response.headerFields[.accessControlAllowHeaders] = "accept, content-type, authorization"
            response.headerFields[.accessControlAllowMethods] = "POST, GET, OPTIONS, PUT, DELETE"
            response.headerFields[.accessControlAllowOrigin] = "*"
        }
        if let contentType { response.headerFields[.contentType] = contentType.rawValue }
        for (name, value) in fields { response.headerFields[name] = value }
        if events == nil { response.headerFields[.contentLength] = String(body.count) }
        return (response, body)
    }

    var reply: EtcdReply {
        let (head, body) = response
        return EtcdReply(head: head, body: events.map { .events($0) } ?? .bytes(body))
    }

    static let notFound = plain(404, "404 page not found")

    static let badRequest = refusal(400, "400 Bad Request")

    /// An answer of Go's server to what is no request for etcd.
    static func refusal(_ status: Int, _ text: String) -> EtcdAnswer {
        EtcdAnswer(status: status, contentType: .text, body: Array(text.utf8), isEtcds: false)
    }

    /// - Parameter allowed: the methods of the `Allow` field.
    static func methodNotAllowed(_ allowed: String) -> EtcdAnswer {
        var answer = plain(405, "Method Not Allowed")
        answer.fields.append((.allow, allowed))
        return answer
    }

    /// An answer of Go's `http.Error`.
    static func plain(_ status: Int, _ text: String) -> EtcdAnswer {
        EtcdAnswer(
            status: status, contentType: .text, fields: [(.xContentTypeOptions, "nosniff")],
            body: Array("\(text)\n".utf8))
    }

    /// An answer of Go's mux to a path that is not clean: only `GET` is told in a body.
    static func redirect(to path: String, query: ArraySlice<UInt8>, method: String) -> EtcdAnswer {
        var location = path
        if !query.isEmpty { location += "?" + String(decoding: query, as: UTF8.self) }
        var answer = EtcdAnswer(status: 301, fields: [(.location, location)])
        if method == "GET" || method == "HEAD" { answer.contentType = .html }
        if method == "GET" {
            answer.body = Array("<a href=\"\(htmlEscaped(location))\">Moved Permanently</a>.\n\n".utf8)
        }
        return answer
    }

    private static func htmlEscaped(_ text: String) -> String {
        text.reduce(into: "") { escaped, character in
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&#34;"
            case "'": escaped += "&#39;"
            default: escaped.append(character)
            }
        }
    }
}
