import DNSServer
import Logging
import NIOCore
import NIOPosix
import RegistryStore

/// Who is asked for names that are not ours, made from the settings.
struct Forwarding: Sendable {
    let forwarder: Forwarder
    /// Whether names of others are forwarded at all.
    let isOn: Bool
    /// Who may have them forwarded.
    let clients: [ClientNetwork]

    /// Loopback, private (RFC 1918, RFC 6598, RFC 4193) and link-local networks.
    static let defaultClients = [
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "::1/128",
        "fc00::/7", "fe80::/10",
    ].compactMap(NetworkText.parse)

    init(_ settings: ServeSettings, log: Logger) throws(UserError) {
        let servers = try Self.servers(settings, log: log)
        // A listener on port 0 gets a port that no server in a setting has.
        let listeners = settings.dns.compactMap(\.socketAddress)
        let others = Forwarder.excluding(servers, listeners: listeners)
        for server in servers where !others.contains(server) {
            log.warning(
                "this server itself is among its forwarders and is left out",
                metadata: ["server": "\(SocketEndpoint.text(of: server))"])
        }
        isOn = settings.forward != .off
        if isOn, others.isEmpty {
            log.warning("there is nobody to forward to: other names are answered SERVFAIL")
        }
        var configuration = ForwarderConfiguration(
            upstreams: others, policy: ForwardPolicy(rawValue: settings.forwardPolicy) ?? .random)
        configuration.ndots = settings.ndots
        configuration.cacheSize = settings.cacheSize
        configuration.cacheMinTTL = settings.cacheMinTTL
        configuration.cacheMaxTTL = settings.cacheMaxTTL
        configuration.serveStale = settings.serveStale
        forwarder = Forwarder(
            configuration: configuration, group: MultiThreadedEventLoopGroup.singleton)
        clients = (settings.allowRecursion ?? Self.defaultClients).compactMap {
            ClientNetwork(octets: $0.octets, prefixLength: $0.prefixLength)
        }
    }

    /// Servers that know other names, for looking up members: the forwarders, or the machine's.
    static func resolvers(_ settings: ServeSettings) -> [SocketAddress] {
        if case .servers(let servers) = settings.forward { return servers.compactMap(\.socketAddress) }
        // A machine without the file has its other ways to resolve hosts.
        guard let bytes = try? TextFile.read(ServeSettings.resolverFile, maxBytes: 1 << 20) else { return [] }
        return ResolvConf.parse(String(decoding: bytes, as: UTF8.self)).nameservers
    }

    private static func servers(_ settings: ServeSettings, log: Logger) throws(UserError) -> [SocketAddress] {
        switch settings.forward {
        case .off: return []
        case .servers(let servers): return servers.compactMap(\.socketAddress)
        case .file(let path):
            let bytes: [UInt8]
            do {
                bytes = try TextFile.read(path, maxBytes: 1 << 20)
            } catch {
                // A machine without the file has no forwarders; a file that was asked for must be there.
                guard path == ServeSettings.resolverFile else {
                    throw UserError(
                        what: "--forward \(path)", why: error.why, remedy: "give a readable file, or servers, or off")
                }
                log.warning("no forwarders", metadata: ["file": "\(path)", "reason": "\(error.why)"])
                return []
            }
            let file = ResolvConf.parse(String(decoding: bytes, as: UTF8.self))
            for line in file.ignored {
                log.warning(
                    "a line of \(path) is ignored", metadata: ["line": "\(line.line)", "reason": "\(line.reason)"])
            }
            return file.nameservers
        }
    }
}
