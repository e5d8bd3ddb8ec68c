/// The names of fields in memberlist's maps. They are Go's field names, so letter case counts.
package enum Field: UInt8, CaseIterable, Sendable {
    case addr
    case algo
    case buf
    case error
    case from
    case incarnation
    case join
    case meta
    case nack
    case name
    case node
    case nodes
    case payload
    case port
    case seqNo
    case sourceAddr
    case sourceNode
    case sourcePort
    case state
    case target
    case userMsgLen
    case userStateLen
    case vsn
    // serf's own fields, inside of user messages and user state.
    case eventLTime
    case events
    case lTime
    case leftMembers
    case prune
    case queryLTime
    case regdns
    case statusLTimes

    /// The name as it stands on the wire.
    package var text: String {
        switch self {
        case .lTime: "LTime"
        case .eventLTime: "EventLTime"
        case .queryLTime: "QueryLTime"
        case .statusLTimes: "StatusLTimes"
        default:
            "\(self)".prefix(1).uppercased() + "\(self)".dropFirst()
        }
    }

    /// The names as octets, in the order of raw values.
    static let octets: [[UInt8]] = allCases.map { Array($0.text.utf8) }

    private static let byOctets: [[UInt8]: Field] = Dictionary(
        uniqueKeysWithValues: allCases.map { (Array($0.text.utf8), $0) })

    /// The field of this name; nil for one that we do not know.
    init?(octets: ArraySlice<UInt8>) {
        guard octets.count <= 16, let field = Self.byOctets[Array(octets)] else { return nil }
        self = field
    }
}
