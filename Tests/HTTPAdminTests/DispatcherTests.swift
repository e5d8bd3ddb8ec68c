import HTTPTypes
import Logging
import RegdnsTestKit
import RegistryStore
import Testing

@testable import HTTPAdmin

/// Dispatchers over a few operations of their own, without a store.
enum TestDispatcher {
    static let clock = RegistryClock(monotonicMilliseconds: { 5_000 }, unixMilliseconds: { 1_700_000_000_000 })

    static func make(
        counters: HTTPCounters = HTTPCounters(), fallback: AdminDispatcher.Fallback? = nil,
        add: (inout RouteTable<Operation>) -> Void = { _ in }
    ) -> AdminDispatcher {
        var routes = RouteTable<Operation>()
        routes.add(.get, "/open", Operation("Open", access: .open) { _ in HTTPAnswer(status: .ok) })
        routes.add(.get, "/long", Operation("Long", access: .open) { _ in long })
        routes.add(
            .post, "/echo/{x}",
            Operation("Echo", access: .tenant) { invocation in
                HTTPAnswer(status: .created, body: .bytes(invocation.call.body))
            })
        add(&routes)
        return AdminDispatcher(
            routes: routes, authenticator: OpenAuthenticator(), fallback: fallback, counters: counters, clock: clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// More than one slice of the listener.
    static let long = HTTPAnswer(status: .ok, body: .bytes([UInt8](repeating: UInt8(ascii: "x"), count: 300_000)))
}

extension HTTPAnswer {
    var text: String { String(decoding: bytes, as: UTF8.self) }
}

struct DispatcherTests {
    private func echo(_ headers: HTTPFields = [:], body: String = "{}") -> HTTPCall {
        var headers = headers
        if headers[.contentType] == nil { headers[.contentType] = "application/json" }
        return HTTPCall(method: .post, path: "/echo/1", headers: headers, body: Array(body.utf8))
    }

    @Test func everyAnswerCarriesTheSameFields() async {
        let dispatcher = TestDispatcher.make()
        let paths = [("/open", 200), ("/none", 404), ("/echo/%zz", 400), ("/echo/1", 405)]
        for (path, status) in paths {
            let answer = await dispatcher.respond(to: HTTPCall(method: .get, path: path))
            #expect(answer.status.code == status)
            #expect(answer.headers[.contentType] == "application/json; charset=utf-8")
            #expect(answer.headers[.vary] == "Accept-Encoding")
            #expect(answer.headers[.date] == "Tue, 14 Nov 2023 22:13:20 GMT")
            let id = answer.headers[.requestID] ?? ""
            #expect(id.wholeMatch(of: /[A-Za-z]{10}_1700000000000000000_[0-9]+/) != nil)
            #expect(answer.headers[.legacyRequestID] == id)
        }
    }

    @Test func requestIDsDiffer() async {
        let dispatcher = TestDispatcher.make()
        let first = await dispatcher.respond(to: HTTPCall(method: .get, path: "/open")).headers[.requestID]
        let second = await dispatcher.respond(to: HTTPCall(method: .get, path: "/open")).headers[.requestID]
        #expect(first != second)
        #expect(first?.prefix(10) == second?.prefix(10))
    }

    @Test func wrongMethodNamesTheRightOnes() async {
        let answer = await TestDispatcher.make().respond(to: HTTPCall(method: .get, path: "/echo/1"))
        #expect(answer.text == #"{"Error":"Method not allowed"}"#)
        #expect(answer.headers[.allow] == "POST")
    }

    @Test(
        arguments: [
            (nil, 201, ""), ("Bearer default", 201, ""), ("bearer default", 201, ""),
            ("Bearer other", 401, #"{"Error":"Authorization failure, invalid token"}"#),
            ("Basic x", 401, #"{"Error":"Malformed request Authorization header, expecting Bearer Token"}"#),
        ] as [(String?, Int, String)])
    func tokens(field: String?, status: Int, body: String) async {
        var headers = HTTPFields()
        if let field { headers[.authorization] = field }
        let answer = await TestDispatcher.make().respond(to: echo(headers, body: ""))
        #expect(answer.status.code == status)
        #expect(answer.text == body)
    }

    @Test func routeIsDecidedBeforeTheTokenAndTheContentType() async {
        let headers: HTTPFields = [.authorization: "Basic x", .contentType: "text/plain"]
        let dispatcher = TestDispatcher.make()
        var call = HTTPCall(method: .post, path: "/none", headers: headers, body: [1])
        #expect(await dispatcher.respond(to: call).status == .notFound)
        call.path = "/echo/1"
        call.method = .put
        #expect(await dispatcher.respond(to: call).status == .methodNotAllowed)
        call.method = .post
        #expect(await dispatcher.respond(to: call).status == .unsupportedMediaType)
        call.body = []
        call.bodyLength = .chunked
        #expect(await dispatcher.respond(to: call).status == .unauthorized)
    }

    @Test func refusedRequestsDoNotWantTheirBody() async throws {
        let dispatcher = TestDispatcher.make()
        let refused = await dispatcher.plan(echo([.authorization: "Bearer x"]))
        guard case .answer = refused else {
            Issue.record("the body was wanted")
            return
        }
        guard case .read = await dispatcher.plan(echo()) else {
            Issue.record("the body was not wanted")
            return
        }
    }

    @Test func compressesWhenAsked() async throws {
        let dispatcher = TestDispatcher.make()
        let answer = await dispatcher.respond(to: echo([.acceptEncoding: "gzip"], body: #"{"a":1}"#))
        #expect(answer.headers[.contentEncoding] == "gzip")
        #expect(try Inflater.gunzip(answer.bytes) == Array(#"{"a":1}"#.utf8))
        let empty = await dispatcher.respond(
            to: HTTPCall(method: .get, path: "/open", headers: [.acceptEncoding: "gzip"]))
        #expect(empty.headers[.contentEncoding] == nil)
    }

    @Test(arguments: ["/v2", "/v2/keys/a", "/version", "/health"])
    func etcdPathsGoToTheirDoor(path: String) async {
        let dispatcher = TestDispatcher.make(fallback: { request, call in
            let text = "\(request.method) \(request.path ?? "") \(call.body.count)"
            return HTTPAnswer(status: .accepted, headers: [.server: "door"], body: .bytes(Array(text.utf8)))
        })
        let call = HTTPCall(method: .put, path: path, query: "x=%20", body: [1, 2])
        let answer = await dispatcher.respond(to: call)
        #expect(answer.status == .accepted)
        #expect(answer.text == "PUT \(path)?x=%20 2")
        // The door's answers are its own.
        #expect(answer.headers == [.server: "door"])
    }

    @Test(arguments: ["/v2/keys", "/v2x", "/v3/kv", "/versions"])
    func whatNobodyKnowsIs404(path: String) async {
        let dispatcher = TestDispatcher.make(fallback: { _, _ in nil })
        let answer = await dispatcher.respond(to: HTTPCall(method: .get, path: path))
        #expect(answer.status == .notFound)
        #expect(answer.text == #"{"Error":"Resource not found"}"#)
    }

    @Test func answersAreCountedByOperation() async {
        let counters = HTTPCounters()
        let dispatcher = TestDispatcher.make(counters: counters)
        _ = await dispatcher.respond(to: HTTPCall(method: .get, path: "/open"))
        _ = await dispatcher.respond(to: HTTPCall(method: .get, path: "/secret-token"))
        let text = String(decoding: MetricText.render(counters.families()), as: UTF8.self)
        #expect(text.contains(#"regdns_http_requests_total{operation="Open",code="200"} 1"#))
        #expect(text.contains(#"regdns_http_requests_total{operation="NotFound",code="404"} 1"#))
        #expect(text.contains("regdns_http_request_seconds_count 2"))
        #expect(!text.contains("secret-token"))
    }
}

struct WarningLimiterTests {
    @Test func oneLinePerIntervalAndKind() {
        let clock = VirtualClock()
        let limiter = WarningLimiter(intervalMilliseconds: 100, now: { clock.now })
        #expect(limiter.admit("a") == 0)
        #expect(limiter.admit("a") == nil)
        #expect(limiter.admit("a") == nil)
        #expect(limiter.admit("b") == 0)
        clock.advance(milliseconds: 100)
        #expect(limiter.admit("a") == 2)
        #expect(limiter.admit("a") == nil)
    }
}

struct CloseSignalTests {
    @Test func workIsCancelledWhenFired() async throws {
        let signal = CloseSignal()
        let result = try await signal.race {
            signal.fire()
            return await withTaskCancellationHandler {
                await signal.wait()
                return Task.isCancelled
            } onCancel: {
            }
        }
        // The work ends by itself either way; what counts is that it is not waited for in vain.
        _ = result
        await signal.wait()
    }

    @Test func workThatDoesNotWaitIsNotCut() async throws {
        let signal = CloseSignal()
        signal.fire()
        #expect(try await signal.race { 42 } == 42)
    }

    @Test func cancelledWaitersReturn() async {
        let signal = CloseSignal()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await signal.wait() }
            group.cancelAll()
        }
    }
}
