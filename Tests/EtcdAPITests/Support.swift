import DNSWire
import EtcdAPI
import HTTPTypes
import RegdnsTestKit
import RegistryStore

/// The etcd door over a store of its own, without any listener.
struct Door {
    let clock = VirtualClock()
    let registry: Registry
    let keyspace: Keyspace
    let handler: EtcdHTTPHandler

    struct Answer {
        let status: Int
        /// By name in lower case.
        let fields: [String: String]
        let body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    init(rememberedDirectories: Int = 65_536, isServing: @escaping @Sendable () -> Bool = { true }) throws {
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        registry = Registry(layout: layout, node: "test", origin: 7, clock: clock.registryClock)
        // Small numbers: the store's revision 0 is index 1.
        keyspace = Keyspace(
            registry: registry, numbers: RevisionNumbers(startUnixMilliseconds: 1),
            rememberedDirectories: rememberedDirectories)
        handler = EtcdHTTPHandler(keyspace: keyspace, isServing: isServing)
    }

    @discardableResult
    func send(
        _ method: String, _ target: String, body: [UInt8] = [], fields: [String: String] = [:]
    ) async throws -> Answer {
        var request = HTTPRequest(
            method: try required(HTTPRequest.Method(method)), scheme: "http", authority: "test", path: target)
        for (name, value) in fields {
            request.headerFields.append(HTTPField(name: try required(HTTPField.Name(name)), value: value))
        }
        let (response, answer) = await handler.respond(to: request, body: body)
        var got: [String: String] = [:]
        for field in response.headerFields { got[field.name.canonicalName] = field.value }
        return Answer(status: response.status.code, fields: got, body: answer)
    }

    @discardableResult
    func get(_ key: String) async throws -> Answer { try await send("GET", "/v2/keys" + key) }

    @discardableResult
    func put(_ key: String, _ form: String) async throws -> Answer {
        try await send("PUT", "/v2/keys" + key, body: Array(form.utf8), fields: formFields)
    }

    @discardableResult
    func delete(_ key: String) async throws -> Answer { try await send("DELETE", "/v2/keys" + key) }

    /// Lets time pass and ends what is due.
    func wait(milliseconds: Int64) {
        clock.advance(milliseconds: milliseconds)
        _ = registry.expireDue()
    }
}

let formFields = ["Content-Type": "application/x-www-form-urlencoded"]

struct Missing: Error {}

/// The value of an optional that a test cannot go on without.
func required<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw Missing() }
    return value
}

extension SeededRandom {
    /// Up to `count` bytes, each one of an alphabet.
    mutating func bytes(upTo count: Int, of alphabet: [UInt8]) -> [UInt8] {
        (0..<below(count + 1)).map { _ in alphabet[below(alphabet.count)] }
    }
}
