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

    init(
        rememberedDirectories: Int = 65_536, watches: Int = 64, etcdAddresses: [EtcdAddress] = [],
        isServing: @escaping @Sendable () -> Bool = { true }
    ) throws {
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        registry = Registry(layout: layout, node: "test", origin: 7, clock: clock.registryClock)
        // Small numbers: the store's revision 0 is index 1.
        keyspace = Keyspace(
            registry: registry, numbers: RevisionNumbers(startUnixMilliseconds: 1),
            rememberedDirectories: rememberedDirectories, watches: watches, clock: clock.registryClock)
        let addresses = etcdAddresses
        handler = EtcdHTTPHandler(keyspace: keyspace, etcdAddresses: { addresses }, isServing: isServing)
    }

    @discardableResult
    func send(
        _ method: String, _ target: String, body: [UInt8] = [], fields: [String: String] = [:]
    ) async throws -> Answer {
        let reply = try await reply(method, target, body: body, fields: fields)
        var bytes: [UInt8] = []
        switch reply.body {
        case .bytes(let whole): bytes = whole
        case .events(let events): while let line = await events.next() { bytes += line }
        }
        return Answer(status: reply.head.status.code, fields: Self.fields(of: reply), body: bytes)
    }

    /// The answer as the handler gives it, its events not waited for.
    func reply(
        _ method: String, _ target: String, body: [UInt8] = [], fields: [String: String] = [:],
        arrival: EtcdAddress? = nil
    ) async throws -> EtcdReply {
        var request = HTTPRequest(
            method: try required(HTTPRequest.Method(method)), scheme: "http", authority: "test", path: target)
        for (name, value) in fields {
            request.headerFields.append(HTTPField(name: try required(HTTPField.Name(name)), value: value))
        }
        return await handler.reply(to: request, body: body, arrival: arrival)
    }

    static func fields(of reply: EtcdReply) -> [String: String] {
        var fields: [String: String] = [:]
        for field in reply.head.headerFields { fields[field.name.canonicalName] = field.value }
        return fields
    }

    /// Begins to wait at a key.
    func watch(_ key: String, _ query: String = "") async throws -> EtcdEvents {
        let reply = try await reply("GET", "/v2/keys\(key)?wait=true\(query)")
        guard case .events(let events) = reply.body else { throw Missing() }
        return events
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
        keyspace.expireDirectories()
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
