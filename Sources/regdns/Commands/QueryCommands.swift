import ArgumentParser
import RegistryStore

/// `regdns get`: the instances of a service.
struct GetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Show the instances of a service; exit status 1 when there are none.")

    @Argument(help: ArgumentHelp("Name of the service.", valueName: "SERVICE"))
    var service: String

    @Option(name: .customLong("tag"), help: ArgumentHelp("Only with this tag; repeat it for more.", valueName: "TAG"))
    var tags: [String] = []

    @Option(help: ArgumentHelp("Only with this status (default: ALL).", valueName: "STATUS"))
    var status: String?

    @OptionGroup(title: "Server") var client: ClientOptions

    func run() async throws {
        let instances = try await client.api().instances(service: service, tags: tags, status: status)
        if !instances.isEmpty || client.format == .json { InstanceReport.print(instances, client.format) }
        guard instances.isEmpty else { return }
        let filter = tags.isEmpty && status == nil ? "" : " that matches"
        throw UserError(
            .refused, what: service, why: "has no instance\(filter)", remedy: "'regdns list' shows what is registered")
    }
}

/// `regdns list`: all services, or all instances.
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Show all services with their tags and counts.")

    @Flag(help: "Show every instance.") var instances = false

    @OptionGroup(title: "Server") var client: ClientOptions

    func run() async throws {
        let all = try await client.api().instances()
        if instances {
            InstanceReport.print(all, client.format)
        } else {
            ServiceReport.print(ServiceReport.services(of: all), client.format)
        }
    }
}

/// `regdns delete`: deregisters one instance, or all of a service.
struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Deregister an instance, or all instances of a service.")

    @Argument(help: ArgumentHelp("The service, or the service and an id.", valueName: "SERVICE[/ID]"))
    var target: String

    @OptionGroup(title: "Server") var client: ClientOptions

    func run() async throws {
        let api = try client.api()
        let parts = target.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let service = parts.first ?? ""
        guard !service.isEmpty, parts.count == 1 || !parts[1].isEmpty else {
            throw UserError(
                what: PlainText.quoted(target), why: "names no service", remedy: "write SERVICE or SERVICE/ID")
        }
        var doomed = try await api.instances(service: service)
        if parts.count == 2 { doomed.removeAll { $0.id != parts[1] } }
        var deleted: [String] = []
        for instance in doomed where try await api.deregister(instance.id) { deleted.append(instance.id) }
        switch client.format {
        case .table: for id in deleted { StandardStreams.print("deleted \(PlainText.oneLine(service))/\(id)") }
        case .json: StandardStreams.print(JSONValue.object([("deleted", .texts(deleted))]).line)
        }
        guard deleted.isEmpty else { return }
        throw UserError(
            .refused, what: target, why: "is not registered", remedy: "'regdns list --instances' shows what is")
    }
}

/// `regdns status`: the server's account of itself.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show health, counts, and what is degraded; exit status 1 when not ready.")

    @OptionGroup(title: "Server") var client: ClientOptions

    func run() async throws {
        let api = try client.api()
        let status = try await api.status()
        switch client.format {
        case .table: StandardStreams.print(StatusReport.table(status))
        case .json: StandardStreams.print(status.line)
        }
        if status.member("ready")?.boolValue != true { throw ExitCode(ExitStatus.refused.rawValue) }
    }
}
