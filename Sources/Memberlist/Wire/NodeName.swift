/// A node's name: its identity in the cluster. Compared as octets, never as text, so that two spellings of one letter
/// are two names on every node.
package struct NodeName: Hashable, Comparable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The longest name that is taken into the table. memberlist knows no limit; serf's is 128.
    package static let maxOctets = 255

    package let octets: [UInt8]

    package init(octets: [UInt8]) { self.octets = octets }
    package init(_ text: String) { octets = Array(text.utf8) }
    package init(stringLiteral text: String) { self.init(text) }

    package static func < (left: NodeName, right: NodeName) -> Bool {
        left.octets.lexicographicallyPrecedes(right.octets)
    }

    /// For people: octets that are no UTF-8 are replaced.
    package var description: String { String(decoding: octets, as: UTF8.self) }
}
