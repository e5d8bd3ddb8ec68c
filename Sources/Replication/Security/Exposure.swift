package import Memberlist
import NIOCore

/// Who could reach a node, and which of its addresses others are told.
package enum Exposure {
    /// Loopback, link-local and private networks (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291).
    package static let privateNetworks: [AddressBlock] = [
        ([127, 0, 0, 0], 8), ([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16),
        ([100, 64, 0, 0], 10), ([169, 254, 0, 0], 16),
        ([UInt8](repeating: 0, count: 15) + [1], 128), ([0xfc] + [UInt8](repeating: 0, count: 15), 7),
        ([0xfe, 0x80] + [UInt8](repeating: 0, count: 14), 10),
    ].compactMap { AddressBlock(ip: $0.0, bits: $0.1) }

    package static func isPrivate(_ address: GossipAddress) -> Bool {
        privateNetworks.contains { $0.contains(address) }
    }

    /// The addresses of this machine's interfaces that are up, IPv4 first. Throws when they cannot be had: without them
    /// nobody knows who could reach the node.
    static func interfaces() throws -> [GossipAddress] {
        let devices = try System.enumerateDevices()
        let addresses = devices.compactMap { $0.address.flatMap { GossipAddress($0) } }
        return addresses.filter { $0.ip.count == 4 } + addresses.filter { $0.ip.count == 16 }
    }

    /// What others are told when every interface is bound: a private address, else a public one, else loopback.
    static func advertised(for bind: GossipAddress, among interfaces: [GossipAddress]) -> GossipAddress {
        guard bind.isAny else { return bind }
        // A socket of IPv4 is not reached by IPv6.
        let reachable = interfaces.filter { bind.ip.count == 16 || $0.ip.count == 4 }
        let others = reachable.filter { !isLoopback($0) && !isLinkLocal($0) }
        let best = others.first(where: isPrivate) ?? others.first ?? GossipAddress(127, 0, 0, 1, port: 0)
        return best.with(port: bind.port)
    }

    /// Whether a node without a key may serve these addresses.
    ///
    /// - Throws: `publicWithoutKey` naming the address that is open to everybody.
    package static func check(bind: GossipAddress, advertise: GossipAddress?) throws(GossipNodeError) {
        try check(bind: bind, advertise: advertise, among: try interfaces(if: bind))
    }

    /// The interfaces that a node serves which listens on all of them; none for one address.
    static func interfaces(if bind: GossipAddress) throws(GossipNodeError) -> [GossipAddress] {
        guard bind.isAny else { return [] }
        do {
            return try interfaces()
        } catch {
            throw .cannotBind(bind, reason: "this machine's interfaces cannot be listed: \(error)")
        }
    }

    static func check(bind: GossipAddress, advertise: GossipAddress?, among interfaces: [GossipAddress])
        throws(GossipNodeError)
    {
        let served = bind.isAny ? interfaces.filter { bind.ip.count == 16 || $0.ip.count == 4 } : [bind]
        if let open = (served + [advertise].compactMap { $0 }).first(where: { !isPrivate($0) }) {
            throw .publicWithoutKey(open.with(port: bind.port))
        }
    }

    private static func isLoopback(_ address: GossipAddress) -> Bool {
        privateNetworks.first?.contains(address) == true || address.ip == [UInt8](repeating: 0, count: 15) + [1]
    }

    private static func isLinkLocal(_ address: GossipAddress) -> Bool {
        address.ip.starts(with: [169, 254]) || address.ip.count == 16 && address.ip.starts(with: [0xfe, 0x80])
    }
}
