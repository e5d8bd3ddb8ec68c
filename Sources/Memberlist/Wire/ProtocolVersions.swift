/// What a node speaks: memberlist's protocol and its application's (the "delegate"), each as least, greatest and
/// present value. On the wire six octets, `Vsn`.
package struct ProtocolVersions: Hashable, Sendable {
    package var protocolMin: UInt8
    package var protocolMax: UInt8
    package var protocolNow: UInt8
    package var delegateMin: UInt8
    package var delegateMax: UInt8
    package var delegateNow: UInt8

    package init(
        protocolMin: UInt8 = 1, protocolMax: UInt8 = 5, protocolNow: UInt8 = 2, delegateMin: UInt8 = 0,
        delegateMax: UInt8 = 0, delegateNow: UInt8 = 0
    ) {
        self.protocolMin = protocolMin
        self.protocolMax = protocolMax
        self.protocolNow = protocolNow
        self.delegateMin = delegateMin
        self.delegateMax = delegateMax
        self.delegateNow = delegateNow
    }

    /// nil unless there are exactly six octets: a shorter list ends old peers, a missing one blocks every later join.
    package init?(octets: [UInt8]?) {
        guard let octets, octets.count == 6 else { return nil }
        self.init(
            protocolMin: octets[0], protocolMax: octets[1], protocolNow: octets[2], delegateMin: octets[3],
            delegateMax: octets[4], delegateNow: octets[5])
    }

    package var octets: [UInt8] { [protocolMin, protocolMax, protocolNow, delegateMin, delegateMax, delegateNow] }

    /// memberlist ignores an alive message unless this holds.
    package var isUsable: Bool { protocolMin > 0 && protocolMax > 0 && protocolMin <= protocolMax }

    /// Memberlist with the delegate versions unset.
    package static let plain = ProtocolVersions()
    /// serf 0.8 and later, and Consul's LAN pool.
    package static let serf = ProtocolVersions(delegateMin: 2, delegateMax: 5, delegateNow: 4)
}
