/// A name that can be written: either kind, as its uncompressed wire form.
public protocol WireName: Sendable {
    /// The name in wire form, closed by the root's zero octet.
    var wire: [UInt8] { get }
}

extension OwnerName: WireName {}
extension DomainName: WireName {}
