import ArgumentParser
import Foundation

/// `regdns keygen`: makes a secret and prints it.
struct KeygenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen", abstract: "Make a gossip key or a token.",
        discussion: """
            gossip: 32 random octets in base64, for --gossip-key or a line of --gossip-key-file.
            token: 32 random octets in letters that need no escapes in a URL or a header.
            dnssec: not in this version.
            """)

    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case gossip
        case token
        case dnssec
    }

    @Argument(help: ArgumentHelp("What for.", valueName: "gossip|token|dnssec"))
    var kind: Kind

    func run() throws {
        switch kind {
        case .gossip: StandardStreams.print(Secret.base64())
        case .token: StandardStreams.print(Secret.urlSafe())
        case .dnssec:
            throw UserError.notInThisVersion("keygen dnssec", remedy: "'dnssec-keygen' of BIND makes such keys")
        }
    }
}

/// Random octets of the system as text.
enum Secret {
    static let octets = 32

    static func base64() -> String { random().base64EncodedString() }

    /// base64url without padding (RFC 4648 section 5).
    static func urlSafe() -> String {
        base64().filter { $0 != "=" }.replacing("+", with: "-").replacing("/", with: "_")
    }

    private static func random() -> Data {
        var generator = SystemRandomNumberGenerator()
        return Data((0..<octets).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }
}
