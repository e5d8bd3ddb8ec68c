import ArgumentParser
import RegistryStore

/// `regdns members`: who is in the cluster of a server.
struct MembersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "members", abstract: "Show the members of the server's cluster.",
        discussion: "RTT is what the last ping from the server took. READY is what the member says of itself.")

    @OptionGroup(title: "Server") var client: ClientOptions

    func run() async throws {
        let members = try await client.api().members()
        switch client.format {
        case .table: StandardStreams.print(MemberReport.table(members))
        case .json: StandardStreams.print(JSONValue.array(members).line)
        }
    }
}

/// How `members` prints.
enum MemberReport {
    static func table(_ members: [JSONValue]) -> String {
        TextTable.render(
            header: ["NAME", "ADDRESS", "STATE", "RTT", "VERSION", "READY"],
            rows: members.map { member in
                func text(_ field: String) -> String {
                    let text = member.member(field)?.stringValue ?? ""
                    return text.isEmpty ? "-" : text
                }
                let isSelf = member.member("self")?.boolValue == true
                return [
                    text("name") + (isSelf ? " (this server)" : ""), text("address"), text("state"),
                    roundTrip(member), text("version"), readiness(member),
                ]
            })
    }

    /// Milliseconds with two digits behind the point.
    private static func roundTrip(_ member: JSONValue) -> String {
        guard case .number(let text)? = member.member("rtt_ms"), let milliseconds = Double(text),
            (0...1e9).contains(milliseconds)
        else { return "-" }
        let hundredths = Int(milliseconds * 100 + 0.5)
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) ms"
    }

    private static func readiness(_ member: JSONValue) -> String {
        member.member("ready")?.boolValue.map { $0 ? "yes" : "no" } ?? "-"
    }
}
