/// The tenant an entry belongs to. Keys, ids and services of two namespaces never meet (Amalgam8's namespaces).
package struct Namespace: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let name: String

    package init(_ name: String) { self.name = name }

    /// The namespace of requests without authentication, and of every etcd door; visible in the DNS as the domain.
    package static let `default` = Namespace("default")

    package var description: String { name }
    package static func < (a: Namespace, b: Namespace) -> Bool { a.name < b.name }
}
