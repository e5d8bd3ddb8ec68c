/// Reads a push/pull that comes in pieces: each node is read once, however many pieces there are.
struct PushPullCollector {
    private var header: Header?
    private var nodes: [PushPullNode] = []
    /// Where the next item begins, counted from the type.
    private var offset = 1

    private struct Header {
        var join = false
        var nodes = 0
        var userState = 0
    }

    /// - Parameter bytes: all of the message that has come, its type included.
    /// - Throws: `truncated` while more is needed.
    mutating func collect(_ bytes: [UInt8], _ limits: StreamLimits) throws(GossipWireError) -> PushPull {
        let header: Header
        if let known = self.header { header = known } else { header = try readHeader(bytes, limits) }
        self.header = header
        while nodes.count < header.nodes {
            var reader = MessagePackReader(bytes, at: offset)
            nodes.append(try PushPullNode(reading: &reader))
            offset = reader.offset
        }
        var reader = MessagePackReader(bytes, at: offset)
        return PushPull(join: header.join, nodes: nodes, userState: try reader.rawBytes(header.userState))
    }

    private mutating func readHeader(_ bytes: [UInt8], _ limits: StreamLimits) throws(GossipWireError) -> Header {
        var reader = MessagePackReader(bytes, at: offset)
        var header = Header()
        try reader.fields { (field, reader) throws(GossipWireError) in
            switch field {
            case .join: header.join = try reader.bool(field)
            case .nodes: header.nodes = try reader.number(field)
            case .userStateLen: header.userState = try reader.number(field)
            default: try reader.skip()
            }
        }
        guard (0...limits.nodes).contains(header.nodes) else { throw .tooMuch(.nodes, limit: limits.nodes) }
        guard (0...limits.userStateBytes).contains(header.userState) else {
            throw .tooMuch(.userStateBytes, limit: limits.userStateBytes)
        }
        offset = reader.offset
        return header
    }
}
