/// The tenant an entry belongs to. Keys, ids and services of two namespaces never meet (Amalgam8's namespaces).
package struct Namespace: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let name: String

    package init(_ name: String) { self.name = name }

    /// The namespace of requests without authentication, and of every etcd door; visible in the DNS as the domain.
    package static let `default` = Namespace("default")

    package var description: String { name }
    // By bytes: tenants whose names are canonically equivalent Unicode are two tenants.
    package static func == (a: Namespace, b: Namespace) -> Bool { ByteOrder.same(a.name, b.name) }

    package func hash(into hasher: inout Hasher) { hasher.combine(name) }

    package static func < (a: Namespace, b: Namespace) -> Bool { ByteOrder.compare(a.name, b.name) < 0 }
}
