import EtcdStore
import Foundation

/// Where the truth about registrations lives.
enum StoreChoice: Sendable {
    /// In this process.
    case memory
    /// In an etcd cluster, whose copy this node is.
    case etcd(Cluster)

    /// How an etcd cluster is reached.
    struct Cluster: Sendable {
        var endpoints: [EtcdStoreConfiguration.Endpoint]
        var credentials: EtcdStoreConfiguration.Credentials?
        /// Nil when no address is https.
        var tls: StoreTLS?
    }

    /// As the start line and `/healthz` name it.
    var name: String {
        switch self {
        case .memory: "memory"
        case .etcd: "etcd"
        }
    }

    /// Whether this node is a copy, and registrations survive it.
    var isExternal: Bool {
        if case .memory = self { return false }
        return true
    }

    static let addressExample = "--store-address http://10.0.0.1:2379,http://10.0.0.2:2379"

    init(_ values: SettingValues) throws(UserError) {
        guard values.value(StoreSettings.store) == "etcd" else {
            self = .memory
            return
        }
        let files = try CertificateFiles(
            values, authorities: StoreSettings.authority, certificate: StoreSettings.certificate,
            key: StoreSettings.key)
        // As etcdctl has it: who names certificates wants TLS.
        let scheme = files.first == nil ? "http" : "https"
        var endpoints: [EtcdStoreConfiguration.Endpoint] = []
        for text in values.list(StoreSettings.address) {
            endpoints.append(try Self.endpoint(text.contains("://") ? text : "\(scheme)://\(text)", values))
        }
        guard !endpoints.isEmpty else {
            throw UserError(
                what: values.place("store") + " etcd", why: "nobody says where the cluster is",
                remedy: "add \(Self.addressExample)")
        }
        let tls = endpoints.contains(where: \.isSecure) ? try StoreTLS(files) : nil
        if tls == nil, let file = files.first {
            throw UserError(
                what: "\(file.place) \(file.path)", why: "no address of the store is https, nothing would be encrypted",
                remedy: "write --store-address https://…, or leave it out")
        }
        self = .etcd(Cluster(endpoints: endpoints, credentials: try Self.credentials(values), tls: tls))
    }

    private static func endpoint(
        _ text: String, _ values: SettingValues
    ) throws(UserError) -> EtcdStoreConfiguration.Endpoint {
        // The address itself may hold a password and is not repeated.
        guard let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty, parts.user == nil,
            (1...65_535).contains(parts.port ?? 2379), ["", "/"].contains(parts.path), parts.query == nil
        else {
            throw UserError(
                what: values.place("store-address"), why: "one of its values is no address of an etcd member",
                remedy: "write \(addressExample); the user is --store-user")
        }
        let scheme = parts.scheme?.lowercased()
        guard scheme == "http" || scheme == "https" else {
            throw UserError(
                what: values.place("store-address"), why: "one of its values has no scheme that etcd speaks",
                remedy: "write \(addressExample)")
        }
        let bare = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        return .init(host: bare, port: parts.port ?? 2379, isSecure: scheme == "https")
    }

    private static func credentials(
        _ values: SettingValues
    ) throws(UserError) -> EtcdStoreConfiguration.Credentials? {
        let user = values.value(StoreSettings.user)
        let path = values.value(StoreSettings.passwordFile)
        guard let user else {
            guard path == nil else {
                throw UserError(
                    what: values.place("store-password-file"), why: "there is no user whose password it is",
                    remedy: "add --store-user")
            }
            return nil
        }
        guard let path else {
            throw UserError(
                what: values.place("store-user") + " \(user)", why: "there is no password for it",
                remedy: "add --store-password-file")
        }
        do {
            let text = String(decoding: try TextFile.read(path, maxBytes: 4096), as: UTF8.self)
            return .init(user: user, password: text.trimmingCharacters(in: .newlines))
        } catch {
            throw UserError(
                what: values.place("store-password-file") + " \(path)", why: error.why,
                remedy: "name a file that holds the password alone")
        }
    }
}
