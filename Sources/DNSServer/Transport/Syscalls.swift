import CDatagram
import Glibc
import NIOCore

/// A system call that failed, with what it was for.
package struct SystemCallError: Error, CustomStringConvertible, Sendable {
    package let call: String
    package let code: Int32

    package var description: String { unsafe "\(call): \(String(cString: strerror(code)))" }
}

/// A UDP socket of one thread, with its batch of buffers.
///
/// SAFETY: the invariants of this file: `batch` lives as long as this object; slot numbers passed to it are below
/// `count`;
/// receive buffers are followed by 64 readable octets. One thread uses an object at a time, but for `send` and `close`,
/// which the kernel serialises.
@safe
final class DatagramSocket: @unchecked Sendable {
    /// Datagrams taken and sent in one system call.
    static let count = 64
    /// Longest query taken; longer ones are cut by the kernel and dropped.
    static let receiveSize = 4096
    static let sendSize = 4096 + 128

    let descriptor: Int32
    private let batch: OpaquePointer

    /// Binds a socket that shares its port with the other threads' sockets.
    init(binding address: SocketAddress, onlyIPv6: Bool) throws(SystemCallError) {
        descriptor = try Self.bind(address, sharesPort: true, onlyIPv6: onlyIPv6)
        let wildcard = address.isWildcard
        if wildcard {
            // Replies must leave from the address that was asked, which only the packet information tells.
            let result = cdatagram_want_local_address(descriptor, address.family)
            if result < 0 {
                Glibc.close(descriptor)
                throw SystemCallError(call: "setsockopt PKTINFO", code: -result)
            }
        }
        var buffer: Int32 = 4 << 20
        // The default receive buffer loses bursts; a smaller one is no error.
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer, socklen_t(MemoryLayout<Int32>.size))
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &buffer, socklen_t(MemoryLayout<Int32>.size))
        // A thread looks at its stop flag so often.
        var timeout = timeval(tv_sec: 0, tv_usec: 200_000)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        guard
            let batch = unsafe cdatagram_create(
                descriptor, Int32(Self.count), Int32(Self.receiveSize), Int32(Self.sendSize))
        else {
            Glibc.close(descriptor)
            throw SystemCallError(call: "malloc", code: ENOMEM)
        }
        unsafe self.batch = batch
    }

    deinit {
        unsafe cdatagram_destroy(batch)
        Glibc.close(descriptor)
    }

    /// Binds and returns a UDP socket; not shared: fails when anybody has the port.
    ///
    /// - Parameter onlyIPv6: for an IPv6 wildcard beside IPv4 sockets on the same port; else it takes IPv4 as well.
    static func bind(
        _ address: SocketAddress, sharesPort: Bool, onlyIPv6: Bool
    ) throws(SystemCallError) -> Int32 {
        let descriptor = socket(address.family, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemCallError(call: "socket", code: errno) }
        var one: Int32 = 1
        var isOnlyIPv6: Int32 = onlyIPv6 ? 1 : 0
        if sharesPort { _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, socklen_t(4)) }
        if address.family == AF_INET6 {
            _ = unsafe setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &isOnlyIPv6, socklen_t(4))
        }
        let result = unsafe address.withSockAddr { pointer, size in
            unsafe Glibc.bind(descriptor, pointer, socklen_t(size))
        }
        guard result == 0 else {
            let code = errno
            Glibc.close(descriptor)
            throw SystemCallError(call: "bind", code: code)
        }
        return descriptor
    }

    /// The port a descriptor is bound to, in host byte order.
    static func port(of descriptor: Int32) -> Int {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        guard result == 0 else { return 0 }
        return unsafe withUnsafeBytes(of: &storage) { bytes in
            unsafe Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        }
    }

    static func close(_ descriptor: Int32) { Glibc.close(descriptor) }

    // MARK: the batch

    /// Waits for datagrams. Their number; 0 when the wait timed out or was interrupted.
    func receive() throws(SystemCallError) -> Int {
        let result = unsafe cdatagram_receive(batch)
        if result >= 0 { return Int(result) }
        if result == -EAGAIN || result == -EINTR { return 0 }
        // An ICMP error of an answer sent before: nothing is wrong with the socket.
        if result == -ECONNREFUSED || result == -EHOSTUNREACH || result == -ENETUNREACH { return 0 }
        throw SystemCallError(call: "recvmmsg", code: -result)
    }

    /// The octets of a received slot, followed by slack; length 0 for datagrams that were cut.
    @inline(__always)
    func received(_ slot: Int) -> (bytes: UnsafeRawPointer, length: Int) {
        var truncated: Int32 = 0
        let length = unsafe cdatagram_received_length(batch, Int32(truncatingIfNeeded: slot), &truncated)
        let bytes = unsafe UnsafeRawPointer(cdatagram_received_bytes(batch, Int32(truncatingIfNeeded: slot)))
        return unsafe (bytes.unsafelyUnwrapped, truncated != 0 ? 0 : Int(length))
    }

    @inline(__always)
    func sendBytes(_ slot: Int) -> UnsafeMutableRawPointer {
        unsafe UnsafeMutableRawPointer(cdatagram_send_bytes(batch, Int32(truncatingIfNeeded: slot))).unsafelyUnwrapped
    }

    @inline(__always)
    func stage(_ slot: Int, answering received: Int, length: Int) {
        unsafe cdatagram_stage(
            batch, Int32(truncatingIfNeeded: slot), Int32(truncatingIfNeeded: received),
            Int32(truncatingIfNeeded: length))
    }

    /// Sends the staged slots; how many the kernel refused.
    @inline(__always)
    func flush(_ count: Int) -> Int { unsafe Int(cdatagram_flush(batch, Int32(truncatingIfNeeded: count))) }

    /// Where an answer that comes later must go.
    func returnPath(_ slot: Int) -> ReturnPath {
        var length: socklen_t = 0
        let peer = unsafe cdatagram_peer(batch, Int32(slot), &length).pointee
        var local = sockaddr_storage()
        var interface: UInt32 = 0
        unsafe cdatagram_local(batch, Int32(slot), &local, &interface)
        return ReturnPath(socket: self, peer: peer, peerLength: length, local: local, interface: interface)
    }

    /// The way back to a client that waits: the socket it asked, its address, and the address it asked.
    struct ReturnPath: Sendable {
        fileprivate let socket: DatagramSocket
        fileprivate let peer: sockaddr_storage
        fileprivate let peerLength: socklen_t
        fileprivate let local: sockaddr_storage
        fileprivate let interface: UInt32

        /// Sends from any thread. False when the kernel refused; UDP may lose datagrams.
        @discardableResult
        func send(_ bytes: [UInt8]) -> Bool {
            unsafe bytes.withUnsafeBytes { buffer in
                unsafe withUnsafePointer(to: peer) { peer in
                    unsafe withUnsafePointer(to: local) { local in
                        unsafe cdatagram_send_one(
                            socket.descriptor, buffer.baseAddress, Int32(buffer.count), peer, peerLength, local,
                            interface) == 0
                    }
                }
            }
        }

        /// The client's address without its port.
        var client: ClientAddress { ClientAddress(peer) }
    }
}

/// An IP address for access lists; IPv4-mapped IPv6 counts as IPv4.
package struct ClientAddress: Hashable, Sendable {
    /// 4 or 16 octets.
    package let octets: [UInt8]

    package init(octets: [UInt8]) {
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        self.octets = octets.count == 16 && octets.starts(with: mapped) ? Array(octets[12...]) : octets
    }

    init(_ storage: sockaddr_storage) {
        let octets: [UInt8] = unsafe withUnsafeBytes(of: storage) { bytes in
            switch Int32(storage.ss_family) {
            case AF_INET: unsafe Array(bytes[4..<8])
            case AF_INET6: unsafe Array(bytes[8..<24])
            default: []
            }
        }
        self.init(octets: octets)
    }

    init(_ address: SocketAddress?) {
        guard let address, address.protocol != .unix else {
            self.init(octets: [])
            return
        }
        self.init(
            octets: unsafe address.withSockAddr { pointer, size in
                let bytes = unsafe UnsafeRawBufferPointer(start: pointer, count: size)
                return unsafe address.family == AF_INET6 ? Array(bytes[8..<24]) : Array(bytes[4..<8])
            })
    }
}

extension SocketAddress {
    var family: Int32 {
        switch self {
        case .v6: AF_INET6
        default: AF_INET
        }
    }

    /// Whether it stands for every address of the host.
    var isWildcard: Bool { ClientAddress(self).octets.allSatisfy { $0 == 0 } }
}

/// A network in CIDR form.
package struct ClientNetwork: Hashable, Sendable {
    package let octets: [UInt8]
    package let prefixLength: Int

    /// Of an address (4 or 16 octets) and a prefix length in bits; nil when they do not fit.
    package init?(octets: [UInt8], prefixLength: Int) {
        guard octets.count == 4 || octets.count == 16, (0...octets.count * 8).contains(prefixLength) else { return nil }
        self.octets = octets
        self.prefixLength = prefixLength
    }

    package func contains(_ address: ClientAddress) -> Bool {
        guard address.octets.count == octets.count else { return false }
        for bit in 0..<prefixLength {
            let mask = UInt8(0x80) >> UInt8(bit % 8)
            if address.octets[bit / 8] & mask != octets[bit / 8] & mask { return false }
        }
        return true
    }
}
