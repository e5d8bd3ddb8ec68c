import DNSWire
import RegistryStore
import Synchronization

@testable import DNSServer

/// A registry with a view and one engine, on a clock that the test moves.
///
/// SAFETY: registry, view and time are thread-safe; the engine is used by one task (`anotherReader` for more).
final class ViewHarness: @unchecked Sendable {
    let registry: Registry
    let view: DNSView
    let engine: EngineBox

    /// - Parameter isMirror: whether the registry is the copy of an external store.
    init(
        domain: String = "skydns.local", isMirror: Bool = false, _ change: (inout ViewConfiguration) -> Void = { _ in }
    ) throws {
        let time = Time()
        let clock = RegistryClock(
            monotonicMilliseconds: { time.milliseconds }, unixMilliseconds: { 1_700_000_000_000 + time.milliseconds })
        let name = try OwnerName(domain)
        registry = Registry(
            layout: KeyLayout(prefix: "skydns", domain: name), node: "test", origin: 1, clock: clock,
            isMirror: isMirror)
        var configuration = ViewConfiguration(domain: name, hostmaster: try OwnerName("hostmaster." + domain))
        configuration.forwards = false
        change(&configuration)
        view = DNSView(configuration: configuration, layout: registry.layout, seed: 7)
        registry.addObserver(view)
        guard
            let engine = AnswerEngine(
                view: view, deadlines: registry.deadlines, stubs: nil, udpPayloadMax: 1232, version: "test")
        else { throw HarnessError.noReader }
        self.engine = EngineBox(engine)
        self.time = time
    }

    private init(sharing other: ViewHarness) throws {
        registry = other.registry
        view = other.view
        time = other.time
        guard
            let engine = AnswerEngine(
                view: view, deadlines: registry.deadlines, stubs: nil, udpPayloadMax: 1232, version: "test")
        else { throw HarnessError.noReader }
        self.engine = EngineBox(engine)
    }

    /// The same registry and view, read by another engine: one per task.
    func anotherReader() throws -> ViewHarness { try ViewHarness(sharing: self) }

    enum HarnessError: Error { case noReader, silence, deferred }

    final class Time: Sendable {
        private let value = Mutex<Int64>(1_000_000)
        var milliseconds: Int64 { value.withLock { $0 } }
        func advance(_ by: Int64) { value.withLock { $0 += by } }
    }
    let time: Time

    /// Moves time and expires what is due.
    func advance(seconds: Int64) {
        time.advance(seconds * 1000)
        _ = registry.expireDue()
    }

    /// What an etcd door does.
    func put(_ key: String, _ value: String, leaseSeconds: Int64? = nil) throws {
        _ = try registry.apply([
            .put(
                namespace: .default, key: Array(key.utf8), value: .bytes(Array(value.utf8)),
                lease: leaseSeconds.map { .own(milliseconds: $0 * 1000) } ?? .permanent)
        ])
    }

    func delete(_ key: String) throws {
        _ = try registry.apply([.delete(namespace: .default, key: Array(key.utf8))])
    }

    /// What the HTTP dialects do.
    func register(
        _ service: String, _ id: String, host: ServiceHost, port: Int = 80, tags: [String] = [], status: String = "UP",
        type: String = "tcp", leaseSeconds: Int64 = 30
    ) throws {
        let instance = InstanceAttributes(
            service: service, id: id, tags: tags, status: status, endpointType: type, endpoint: "endpoint")
        _ = try registry.apply([
            .put(
                namespace: .default, key: registry.layout.primaryKey(service: service, id: id),
                value: .registration(Registration(host: host, port: port, instance: instance)),
                lease: .own(milliseconds: leaseSeconds * 1000))
        ])
    }

    struct Answer {
        var rcode: RCODE
        var flags: MessageFlags
        var octets: Int
        var question: DomainName?
        var answers: [ResourceRecord] = []
        var authorities: [ResourceRecord] = []
        var additionals: [ResourceRecord] = []
        var hasOPT = false
        /// Of the OPT record, as they are on the wire.
        var options: [UInt8] = []

        /// `owner type rdata` of the answers, sorted.
        var texts: [String] { answers.map(ViewHarness.text).sorted() }
    }

    static func text(_ record: ResourceRecord) -> String {
        "\(record.owner) \(record.type.name) \(RecordText.format(type: record.type, rdata: record.rdata))"
    }

    func ask(_ name: String, _ type: RRType, edns: Int? = nil, tcp: Bool = false) throws -> Answer {
        var query: [UInt8] = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns == nil ? 0 : 1]
        query += try DomainName(name).wire
        query += [UInt8(type.rawValue >> 8), UInt8(type.rawValue & 255), 0, 1]
        if let edns { query += [0, 0, 41, UInt8(edns >> 8), UInt8(edns & 255), 0, 0, 0, 0, 0, 0] }
        engine.value.enter(now: time.milliseconds, unixSeconds: 1_700_000_000)
        defer { engine.value.leave() }
        let length = engine.answer(query, transport: tcp ? .tcp : .udp)
        guard length != 0 else { throw HarnessError.silence }
        guard length > 0 else { throw HarnessError.deferred }
        return try Self.parse(engine.answerBytes(length))
    }

    static func parse(_ octets: [UInt8]) throws -> Answer {
        var reader = try MessageReader(octets)
        var answer = Answer(rcode: reader.flags.headerRCODE, flags: reader.flags, octets: octets.count)
        answer.question = try reader.nextQuestion()?.name
        while let found = try reader.nextRecord() {
            if found.record.type == .opt {
                answer.hasOPT = true
                answer.options = found.record.rdata
                continue
            }
            switch found.section {
            case .answer: answer.answers.append(found.record)
            case .authority: answer.authorities.append(found.record)
            case .additional: answer.additionals.append(found.record)
            }
        }
        return answer
    }
}
