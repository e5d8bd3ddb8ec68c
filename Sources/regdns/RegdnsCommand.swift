import ArgumentParser
import Foundation

/// The command line.
struct RegdnsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "regdns",
        abstract: "A service registry that the DNS answers.",
        discussion: """
            Register services over HTTP or etcd's API, resolve them with any DNS client.
            Start a server with 'regdns serve'; the other verbs talk to a running one.
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(
                name: "Server", subcommands: [ServeCommand.self, CheckConfigCommand.self, KeygenCommand.self]),
            CommandGroup(
                name: "Client",
                subcommands: [
                    AddCommand.self, GetCommand.self, ListCommand.self, DeleteCommand.self, WatchCommand.self,
                    LookupCommand.self, MembersCommand.self, StatusCommand.self,
                ]),
            CommandGroup(name: "Not in this version", subcommands: LaterVerbs.all),
        ])
}

/// The process's entry.
@main
enum Main {
    static func main() async {
        let status = await run(Array(CommandLine.arguments.dropFirst()))
        exit(status)
    }

    /// Runs one command line and returns its exit status; tells errors in one line on standard error.
    static func run(_ arguments: [String]) async -> Int32 {
        do {
            var command = try RegdnsCommand.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return ExitStatus.done.rawValue
        } catch let error as UserError {
            StandardStreams.complain(error.description)
            return error.status.rawValue
        } catch let status as ExitStatus {
            return status.rawValue
        } catch {
            return finish(error, arguments)
        }
    }

    /// Help and version requests, and what ArgumentParser says of a command line that it cannot read.
    private static func finish(_ error: any Error, _ arguments: [String]) -> Int32 {
        let text = RegdnsCommand.fullMessage(for: error)
        if RegdnsCommand.exitCode(for: error).isSuccess {
            StandardStreams.print(text)
            return ExitStatus.done.rawValue
        }
        let verb = arguments.first { !$0.hasPrefix("-") } ?? ""
        let verbs = RegdnsCommand.configuration.allSubcommandNames
        if !verb.isEmpty, !verbs.contains(verb), verb == arguments.first {
            let nearest = EditDistance.nearest(to: verb, among: verbs).map { "did you mean '\($0)'? " } ?? ""
            let failure = UserError(
                what: "command line", why: "\(PlainText.quoted(verb)) is no verb",
                remedy: nearest + "'regdns --help' lists all")
            StandardStreams.complain(failure.description)
            return ExitStatus.usage.rawValue
        }
        let help = verbs.contains(verb) ? "'regdns \(verb) --help'" : "'regdns --help'"
        var why = RegdnsCommand.message(for: error).split(separator: "\n").first.map(String.init) ?? "cannot be read"
        if why.hasSuffix(".") { why.removeLast() }
        let failure = UserError(what: "command line", why: why, remedy: "see \(help)")
        StandardStreams.complain(failure.description)
        return ExitStatus.usage.rawValue
    }
}

extension CommandConfiguration {
    /// The names of the verbs in all groups.
    fileprivate var allSubcommandNames: [String] {
        (subcommands + groupedSubcommands.flatMap(\.subcommands)).map { $0._commandName } + ["help"]
    }
}

/// An exit status without words, for verbs that have said everything.
extension ExitStatus: Error {}

/// What this build is.
enum Version {
    static let number = "0.1.0"
    static let text = "regdns \(number)"

    #if compiler(>=6.4)
        static let compiler = "Swift 6.4 or newer"
    #elseif compiler(>=6.3)
        static let compiler = "Swift 6.3"
    #else
        static let compiler = "Swift 6.2"
    #endif
}
