/// Label and keys of a node: what is put around every packet and stream.
package struct GossipSecurity: Hashable, Sendable {
    package static let maxLabelOctets = 255

    package var keys: KeyRing
    /// Empty: no label, as memberlist before 0.3.0 and serf.
    package let label: [UInt8]
    /// Off while encryption is being turned on: plain input is taken although keys exist.
    package var verifiesIncoming: Bool
    /// Off while encryption is being turned on: plain output is sent although keys exist.
    package var sealsOutgoing: Bool
    /// Version 0 only where protocol 1 is configured.
    package var sealVersion: Sealing.Version
    /// Takes unlabelled input as if it had the own label, and refuses labelled one: something in front took it off.
    package var skipsInboundLabelCheck: Bool

    /// - Returns: nil for a label of more than 255 octets.
    package init?(
        keys: KeyRing = KeyRing(), label: [UInt8] = [], verifiesIncoming: Bool = true, sealsOutgoing: Bool = true,
        sealVersion: Sealing.Version = .plain, skipsInboundLabelCheck: Bool = false
    ) {
        guard label.count <= Self.maxLabelOctets else { return nil }
        self.keys = keys
        self.label = label
        self.verifiesIncoming = verifiesIncoming
        self.sealsOutgoing = sealsOutgoing
        self.sealVersion = sealVersion
        self.skipsInboundLabelCheck = skipsInboundLabelCheck
    }

    /// No key, no label.
    package init() {
        keys = KeyRing()
        label = []
        verifiesIncoming = true
        sealsOutgoing = true
        sealVersion = .plain
        skipsInboundLabelCheck = false
    }

    /// The key that seals what is sent; nil when it is sent plain.
    var sealingKey: GossipKey? { sealsOutgoing ? keys.primary : nil }

    /// The most octets that label and seal add to a packet.
    package var packetOverhead: Int {
        labelHeader.count + (sealingKey == nil ? 0 : sealVersion.overhead)
    }

    /// What stands in front of every packet and every dialled stream; empty without a label.
    package var labelHeader: [UInt8] {
        label.isEmpty ? [] : [MessageType.label.rawValue, UInt8(clamping: label.count)] + label
    }

    /// The octets behind the label header, whose label is the right one.
    ///
    /// - Throws: `truncated` while the header is not whole.
    func stripLabel(_ bytes: ArraySlice<UInt8>) throws(GossipWireError) -> ArraySlice<UInt8> {
        var rest = bytes
        var found: ArraySlice<UInt8> = []
        if bytes.first == MessageType.label.rawValue {
            guard let count = bytes.dropFirst().first.map({ Int($0) }) else { throw .truncated(needed: 2) }
            guard count > 0 else { throw .wrongLabel }
            guard bytes.count >= 2 + count else { throw .truncated(needed: 2 + count) }
            found = bytes.dropFirst(2).prefix(count)
            rest = bytes.dropFirst(2 + count)
        }
        guard found.elementsEqual(skipsInboundLabelCheck ? [] : label) else { throw .wrongLabel }
        return rest
    }
}
