import HTTPTypes
import RegdnsTestKit
import RegistryStore
import Testing

@testable import HTTPAdmin

struct OperationsTests {
    @Test func rootIsEmpty() async throws {
        let bench = try Bench()
        let answer = await bench.ask(.get, "/")
        #expect(answer.status == .ok && answer.bytes.isEmpty)
        #expect(await bench.ask(.head, "/").status == .methodNotAllowed)
    }

    @Test func uptime() async throws {
        var providers = OperationsDoor.Providers()
        providers.loadAverages = { [0.5, 1, 2.25] }
        let bench = try Bench(operations: providers)
        bench.clock.advance(milliseconds: 61_500)
        let expected =
            #"{"UPTIME":{"healthy":true,"properties":{"uptime":"1m1.5s","load_1m":0.5,"load_5m":1,"load_15m":2.25,"#
            + #""build_version":"1.2.3","build_revision":"abc","build_date":"","build_goversion":""}}}"#
        #expect(await bench.ask(.get, "/uptime").text == expected)
    }

    @Test func loadAverageOfTheKernel() {
        #expect(LoadAverage.parse("0.10 0.20 1.00 1/100 12345\n") == [0.1, 0.2, 1])
        #expect(LoadAverage.parse("") == [])
    }

    @Test func aliveAndReady() async throws {
        var providers = OperationsDoor.Providers()
        providers.facts = { [("store", "memory"), ("sync", "interval")] }
        providers.notReady = { ["zones: loading"] }
        let bench = try Bench(operations: providers)
        #expect(
            await bench.ask(.get, "/healthz").text
                == #"{"status":"alive","node":"n1","store":"memory","sync":"interval"}"#)
        let waiting = await bench.ask(.get, "/readyz")
        #expect(waiting.status == .serviceUnavailable)
        #expect(waiting.text == #"{"ready":false,"reasons":["zones: loading"]}"#)
        let ready = await (try Bench()).ask(.head, "/readyz")
        #expect(ready.status == .ok)
    }

    @Test func metricsOfTheStore() async throws {
        let bench = try Bench()
        _ = try await bench.register("web", "a")
        let text = String(decoding: MetricText.render(RegistryMetrics.provider(bench.registry)()), as: UTF8.self)
        #expect(text.contains("\nregdns_registry_instances 1\n"))
        #expect(text.contains("\nregdns_registry_puts_total 1\n"))
    }

    @Test func metricsAreText() async throws {
        var providers = OperationsDoor.Providers()
        providers.metrics = [{ [MetricFamily("a_total", .counter, help: "A.", value: 1)] }]
        let answer = await (try Bench(operations: providers)).ask(.get, "/metrics")
        #expect(answer.headers[.contentType] == "text/plain; version=0.0.4; charset=utf-8")
        #expect(answer.text == "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n")
    }

    @Test func statusIsOneScreen() async throws {
        var providers = OperationsDoor.Providers()
        providers.degradations = { [OperationsDoor.Degradation(what: "forwarding", why: "no forwarder answers")] }
        providers.figures = { [("queries_per_second", 12.5)] }
        let bench = try Bench(operations: providers)
        _ = try await bench.register("web", "a")
        let status = try JSONValue.parse(await bench.ask(.get, "/api/v1/status").bytes)
        #expect(status.member("node")?.stringValue == "n1")
        #expect(status.member("ready")?.boolValue == true)
        #expect(status.member("counts")?.member("instances")?.int64Value == 1)
        #expect(status.member("figures")?.member("queries_per_second") == .number("12.5"))
        #expect(status.member("degraded")?.arrayValue?.first?.member("why")?.stringValue == "no forwarder answers")
    }

    @Test(arguments: ["/", "/uptime", "/healthz", "/readyz", "/metrics"])
    func openToEveryone(path: String) async throws {
        let answer = await (try Bench()).ask(.get, path, headers: [.authorization: "Basic x"])
        #expect(answer.status == .ok)
    }

    @Test(arguments: [
        "/api/v1/sources", "/eureka/apps", "/api/eureka/default/v2/apps",
        "/v1/catalog/services",
        "/dns-query", "/ui/", "/openapi.json", "/v2/keys", "/api/v1/services/", "/api", "/nosuch",
    ])
    func whatIsNotThereYetSaysSo(path: String) async throws {
        let answer = await (try Bench()).ask(.get, path)
        #expect(answer.status == .notFound)
        #expect(answer.text == #"{"Error":"Resource not found"}"#)
    }
}
