import ArgumentParser
import RegistryStore

/// `regdns add`: registers an instance, and with `--keep` holds it until it is told to stop.
struct AddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Register an instance and print its id.",
        discussion: """
            The lease is how long the registration lives without a heartbeat; --ttl is how long an answer about it may
            be cached. --keep stays, sends heartbeats, registers again after a loss, and deregisters on SIGINT or
            SIGTERM.
            """)

    @Argument(help: ArgumentHelp("Name of the service.", valueName: "SERVICE"))
    var service: String

    @Argument(help: ArgumentHelp("HOST, HOST:PORT, [IPv6]:PORT or a URL.", valueName: "ENDPOINT"))
    var endpoint: String

    @Option(name: .customLong("tag"), help: ArgumentHelp("A tag; repeat it for more.", valueName: "TAG"))
    var tags: [String] = []

    @Option(help: ArgumentHelp("Id of the instance (default: made from service and endpoint).", valueName: "ID"))
    var id: String?

    @Option(help: ArgumentHelp("Life without a heartbeat (default: the server's).", valueName: "DURATION"))
    var lease: String?

    @Option(help: ArgumentHelp("How long an answer may be cached.", valueName: "SECONDS"))
    var ttl: String?

    @Option(
        help: ArgumentHelp("tcp, udp, http, https or user (default: from the URL, else tcp).", valueName: "TYPE"))
    var type: String?

    @Option(help: ArgumentHelp("SRV priority.", valueName: "N")) var priority: Int?
    @Option(help: ArgumentHelp("SRV weight.", valueName: "N")) var weight: Int?
    @Option(help: ArgumentHelp("Text of the TXT record.", valueName: "TEXT")) var text: String?
    @Option(help: ArgumentHelp("Any JSON value kept with it.", valueName: "JSON")) var metadata: String?
    @Option(help: ArgumentHelp("UP, STARTING or OUT_OF_SERVICE (default: UP).", valueName: "STATUS"))
    var status: String?

    @Flag(help: "Stay, send heartbeats, and deregister at the end.") var keep = false

    @OptionGroup(title: "Server") var client: ClientOptions

    func run() async throws {
        let body = try body()
        let api = try client.api()
        let made = try await api.register(body)
        if client.output == .json {
            let lease = made.leaseSeconds.map { [("ttl", JSONValue.number(String($0)))] } ?? []
            StandardStreams.print(JSONValue.object([("id", .string(made.id))] + lease).line)
        } else {
            StandardStreams.print(made.id)
        }
        guard keep else { return }
        let keeper = RegistrationKeeper(api: api, body: body, id: made.id, leaseSeconds: made.leaseSeconds)
        try await keeper.run()
    }

    /// The registration as the admin API takes it.
    private func body() throws(UserError) -> JSONValue {
        let scheme = endpoint.split(separator: ":", maxSplits: 1).first.map { $0.lowercased() }
        let derived = endpoint.contains("://") && (scheme == "http" || scheme == "https") ? scheme : "tcp"
        var members: [(String, JSONValue)] = [
            ("service_name", .string(service)),
            (
                "endpoint",
                .object([("type", .string(type ?? derived ?? "tcp")), ("value", .string(endpoint))])
            ),
        ]
        if let lease {
            guard let duration = DurationText.parse(lease), duration.components.attoseconds == 0,
                duration >= .seconds(1), duration.components.seconds <= Int64(UInt32.max)
            else {
                throw UserError(
                    what: "--lease", why: "\(PlainText.quoted(lease)) is not a duration of whole seconds",
                    remedy: "write one like 30s or 1m30s")
            }
            members.append(("ttl", .integer(Int(duration.components.seconds))))
        }
        if let ttl {
            guard let seconds = ValueForm<Int>.seconds.read(ttl) else {
                throw UserError(
                    what: "--ttl", why: "\(PlainText.quoted(ttl)) is not a number of seconds",
                    remedy: "write whole seconds like 3600, or 1h")
            }
            members.append(("ttl_answer", .integer(seconds)))
        }
        if let metadata {
            do {
                members.append(("metadata", try JSONValue.parse(Array(metadata.utf8))))
            } catch {
                throw UserError(
                    what: "--metadata", why: "\(PlainText.quoted(metadata)) is no JSON", remedy: "write a JSON value")
            }
        }
        if !tags.isEmpty { members.append(("tags", .texts(tags))) }
        if let id { members.append(("instance_id", .string(id))) }
        if let status { members.append(("status", .string(status))) }
        if let text { members.append(("text", .string(text))) }
        if let priority { members.append(("priority", .integer(priority))) }
        if let weight { members.append(("weight", .integer(weight))) }
        return .object(members)
    }
}

/// Holds one registration: heartbeats at a third of the lease, registers again when it is gone, waits out a server that
/// does not answer, and deregisters when the process is told to stop.
struct RegistrationKeeper: Sendable {
    let api: APIClient
    let body: JSONValue
    let id: String
    let leaseSeconds: Int64?

    func run() async throws {
        try await Interruption.run { await hold() }
        _ = try await api.deregister(id)
    }

    private func hold() async {
        var lease = leaseSeconds
        var silentFor: Duration = .zero
        while !Task.isCancelled {
            // An instance without a lease is only watched for loss.
            let pause = silentFor > .zero ? min(silentFor, .seconds(30)) : Duration.seconds(lease ?? 30) / 3
            guard (try? await Task.sleep(for: pause)) != nil else { return }
            do {
                if case .gone = try await api.heartbeat(id) {
                    StandardStreams.complain("regdns: \(id): the registration was gone; registering it again")
                    lease = try await api.register(body).leaseSeconds
                }
                if silentFor > .zero { StandardStreams.complain("regdns: \(id): registered, the server is back") }
                silentFor = .zero
            } catch {
                if Task.isCancelled { return }
                if silentFor == .zero { StandardStreams.complain("\(error), or wait: it is tried again") }
                silentFor = max(silentFor * 2, .seconds(1))
            }
        }
    }
}
