/// Something that goes wrong for a while.
package struct ClusterFault: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable {
        /// `amount` percent of all packets are lost; streams wait for what is.
        case loss
        /// `amount` percent of all packets come twice.
        case duplicate
        /// One bit of `amount` percent of all packets is turned over.
        case flip
        /// Nothing gets from `node` to `other`.
        case cut
        /// Nothing passes between the nodes whose bits are set in `amount` and the rest.
        case split
        /// Each node reaches its two neighbours alone.
        case ring
        /// Nothing gets to or from `node`.
        case isolate
        /// `amount` milliseconds more between `node` and `other`.
        case slow
        /// The process of `node` stands still.
        case pause
        /// The process of `node` ends and comes back with nothing.
        case crash
        /// The process of `node` ends and comes back with what it had kept; `amount` 1: but for the last second.
        case stop
        /// The machine of `node` ends with the clients on it, and never comes back.
        case gone
        /// `node` leaves in an orderly way and comes back.
        case leave
        /// Ticks of `node` come up to `amount` milliseconds late.
        case late
        /// The wall clock of `node` is off by `amount` milliseconds from the beginning.
        case offset
        /// The clocks of `node` run `amount` parts in a million too fast, from the beginning.
        case drift
        /// The wall clock of `node` is set off by `amount` milliseconds, and back at the end.
        case jump
        /// Somebody sends packets again that he recorded, and rubbish; `amount` a second.
        case babble
        /// Clients on the machine of `node` reach nobody, though nodes reach each other; `amount` 1: no client does.
        case silence

        /// Whether clients and checks have to do with it: views, leases or times are not what they should be.
        var isQuiet: Bool {
            switch self {
            case .duplicate, .drift, .flip, .babble: true
            default: false
            }
        }
    }

    package var kind: Kind
    /// Milliseconds from the beginning.
    package var at: Int64
    package var length: Int64
    package var node = 0
    package var other = 0
    package var amount: Int64 = 0

    package var end: Int64 { at + length }

    package init(_ kind: Kind, at: Int64, length: Int64, node: Int = 0, other: Int = 0, amount: Int64 = 0) {
        self.kind = kind
        self.at = at
        self.length = length
        self.node = node
        self.other = other
        self.amount = amount
    }

    /// `cut@20000+5000:1,2,0`: kind, beginning, length, node, other node, amount.
    package var text: String { "\(kind.rawValue)@\(at)+\(length):\(node),\(other),\(amount)" }

    package init?(text: String) {
        let parts = text.split(whereSeparator: { "@+:,".contains($0) }).map { String($0) }
        guard parts.count == 6, let kind = Kind(rawValue: parts[0]), let at = Int64(parts[1]),
            let length = Int64(parts[2]), let node = Int(parts[3]), let other = Int(parts[4]),
            let amount = Int64(parts[5]), at >= 0, length >= 0, node >= 0, other >= 0
        else { return nil }
        self.init(kind, at: at, length: length, node: node, other: other, amount: amount)
    }
}
