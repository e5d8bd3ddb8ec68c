import ArgumentParser
import DNSWire

/// `regdns lookup`: asks over DNS and prints as dig's short form does.
struct LookupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lookup",
        abstract: "Ask over DNS.",
        discussion: """
            Prints the data of the answer's records, one per line, as dig +short does. An address as NAME asks for its
            reverse name. Exit status 1 when the server has no answer.
            """)

    @Argument(help: ArgumentHelp("The name, or an address.", valueName: "NAME"))
    var name: String

    @Argument(help: ArgumentHelp("The record type (default: A, for addresses PTR).", valueName: "TYPE"))
    var type: String?

    @Option(help: ArgumentHelp("The DNS server (default: 127.0.0.1:5354).", valueName: "IP[:PORT]"))
    var dns: String?

    @Option(help: ArgumentHelp("Form of the output.", valueName: "table|json"))
    var output: OutputFormat?

    @Flag(help: "Ask over TLS (not in this version).") var tls = false
    @Flag(help: "Ask over HTTPS (not in this version).") var https = false
    @Flag(name: .customLong("trace-forward"), help: "Show the forwarded path (not in this version).")
    var traceForward = false

    func run() async throws {
        for (flag, given) in [("--tls", tls), ("--https", https), ("--trace-forward", traceForward)] where given {
            throw UserError.notInThisVersion(flag, remedy: "leave it out")
        }
        let question = try question()
        guard let server = SocketEndpoint.parse(dns ?? "127.0.0.1:5354", defaultPort: 53), server.port != 0 else {
            throw UserError(
                what: "--dns", why: "\(PlainText.quoted(dns ?? "")) is not the address of a DNS server",
                remedy: "write IP:PORT like 127.0.0.1:5354")
        }
        let reply = try await DNSClient(server: server).ask(question)
        switch output ?? .table {
        case .table:
            for record in reply.message.answers {
                StandardStreams.print(PlainText.oneLine(RecordText.format(type: record.type, rdata: record.rdata)))
            }
        case .json:
            StandardStreams.print(LookupReport.json(reply, question))
        }
        try judge(reply.message, question)
    }

    private func question() throws(UserError) -> Question {
        let reverse = ReverseName.of(name)
        let typeName = type ?? (reverse == nil ? "A" : "PTR")
        guard let type = RRType(name: typeName) else {
            throw UserError(
                what: "TYPE", why: "\(PlainText.quoted(typeName)) is no record type",
                remedy: "write one like A, SRV, TXT or TYPE65")
        }
        do {
            return Question(name: try DomainName(reverse ?? name), type: type)
        } catch {
            throw UserError(
                what: "NAME", why: "\(PlainText.quoted(name)) is not a domain name: \(error)",
                remedy: "write a name like web.skydns.local")
        }
    }

    /// No answer is exit status 1 with the reason.
    private func judge(_ message: Message, _ question: Question) throws(UserError) {
        guard message.answers.isEmpty || message.rcode != .noError else { return }
        let why: String
        let remedy: String
        switch message.rcode {
        case .noError:
            (why, remedy) = ("the name exists and has no such records", "ask for another type")
        case .nxDomain:
            (why, remedy) = ("there is no such name (NXDOMAIN)", "'regdns list' shows what is registered")
        case .refused:
            (why, remedy) = ("the server refuses (REFUSED)", "see --forward and --allow-recursion of the server")
        default:
            (why, remedy) = ("the server answers \(message.rcode)", "look into the server's log")
        }
        throw UserError(.refused, what: "\(question.name) \(question.type)", why: why, remedy: remedy)
    }
}
