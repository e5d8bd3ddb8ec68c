/// The line that says where the server listens, when it does.
struct StartLine: Hashable, Sendable, CustomStringConvertible {
    var dns: [String]
    var http: [String]
    var etcd: [String]
    /// Nil while there is no cluster.
    var gossip: String?
    let node: String
    let domain: String
    let store: String

    var description: String {
        func shown(_ addresses: [String]) -> String { addresses.isEmpty ? "off" : addresses.joined(separator: ",") }
        return "regdns ready dns=\(shown(dns)) http=\(shown(http)) etcd=\(shown(etcd)) gossip=\(gossip ?? "off") "
            + "node=\(node) domain=\(domain) store=\(store)"
    }
}
