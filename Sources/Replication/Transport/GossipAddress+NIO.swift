import DNSWire
package import Memberlist
import NIOCore

extension GossipAddress {
    /// nil for what is no IP address. An IPv6 scope is left out.
    init?(_ address: SocketAddress) {
        guard let text = address.ipAddress, let port = address.port.flatMap(UInt16.init(exactly:)) else { return nil }
        self.init(ipText: text, port: port)
    }

    /// nil for what is no IP address.
    package init?(ipText text: String, port: UInt16) {
        let text = text.prefix { $0 != "%" }.utf8
        if let four = IPAddressText.ipv4(Array(text)) {
            self.init(ip: four.octets, port: port)
        } else if let (high, low) = IPAddressText.ipv6(Array(text)) {
            self.init(ip: high.octets + low.octets, port: port)
        } else {
            return nil
        }
    }

    /// - Parameter isIPv6: the socket's family; an IPv4 address is written into IPv6's form for it.
    /// - Returns: nil for IPv6 on a socket of IPv4.
    func socketAddress(isIPv6: Bool) -> SocketAddress? {
        if ip.count == 16, !isIPv6 { return nil }
        let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
        let octets = isIPv6 && ip.count == 4 ? mapped + ip : ip
        return try? SocketAddress(packedIPAddress: ByteBuffer(bytes: octets), port: Int(port))
    }

    /// As it is, for dialling.
    var socketAddress: SocketAddress? { socketAddress(isIPv6: ip.count == 16) }

    var isAny: Bool { ip.allSatisfy { $0 == 0 } }

    func with(port: UInt16) -> GossipAddress { GossipAddress(ip: ip, port: port) ?? self }
}

extension FixedWidthInteger {
    /// Big-endian.
    var octets: [UInt8] {
        stride(from: Self.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> $0) }
    }
}
