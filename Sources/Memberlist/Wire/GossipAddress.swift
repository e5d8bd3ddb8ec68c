/// Where a node listens: one port for packets and streams.
package struct GossipAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// 4 octets, or 16. An IPv4 address inside of IPv6 is kept as 4, so that both spellings are one address.
    package let ip: [UInt8]
    package let port: UInt16

    /// - Returns: nil for anything but 4 or 16 octets.
    package init?(ip: [UInt8], port: UInt16) {
        switch ip.count {
        case 4: self.ip = ip
        case 16:
            let mapped = ip.prefix(10).allSatisfy { $0 == 0 } && ip[10] == 0xff && ip[11] == 0xff
            self.ip = mapped ? Array(ip[12...]) : ip
        default: return nil
        }
        self.port = port
    }

    /// An IPv4 address.
    package init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8, port: UInt16) {
        ip = [first, second, third, fourth]
        self.port = port
    }

    package static func < (left: GossipAddress, right: GossipAddress) -> Bool {
        left.ip == right.ip ? left.port < right.port : left.ip.lexicographicallyPrecedes(right.ip)
    }

    package var description: String {
        if ip.count == 4 { return ip.map { "\($0)" }.joined(separator: ".") + ":\(port)" }
        let groups = stride(from: 0, to: ip.count, by: 2).map { place in
            String(UInt16(ip[place]) << 8 | UInt16(ip[place + 1]), radix: 16)
        }
        return "[" + groups.joined(separator: ":") + "]:\(port)"
    }
}
