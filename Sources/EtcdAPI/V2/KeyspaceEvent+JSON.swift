import RegistryStore

extension KeyspaceEvent {
    /// The event as etcd writes it: fields in its order, empty ones left out, a line end at the end.
    ///
    /// - Parameter withNodes: false for a write that asked for no value on success.
    func json(withNodes: Bool = true) -> [UInt8] {
        var json = GoJSON()
        json.raw("{\"action\":\"\(action.rawValue)\"")
        if withNodes {
            json.raw(",\"node\":")
            json.node(node)
            if let previous {
                json.raw(",\"prevNode\":")
                json.node(previous)
            }
        }
        json.raw("}\n")
        return json.bytes
    }
}

extension GoJSON {
    fileprivate mutating func node(_ node: KeyspaceNode) {
        var separator = "{"
        func member(_ name: String) -> String {
            defer { separator = "," }
            return "\(separator)\"\(name)\":"
        }
        if !node.key.isEmpty {
            raw(member("key"))
            string(node.key)
        }
        var children: [KeyspaceNode] = []
        switch node.kind {
        case .file(let value):
            raw(member("value"))
            string(value)
        case .directory(let nodes):
            raw(member("dir"))
            raw("true")
            children = nodes ?? []
        case .removed(let wasDirectory):
            if wasDirectory {
                raw(member("dir"))
                raw("true")
            }
        }
        if let life = node.life {
            raw(member("expiration"))
            raw("\"\(CivilTime(unixMilliseconds: life.expiration).rfc3339)\"")
            if life.secondsLeft != 0 {
                raw(member("ttl"))
                number(life.secondsLeft)
            }
        }
        if !children.isEmpty {
            raw(member("nodes"))
            var comma = "["
            for child in children {
                raw(comma)
                self.node(child)
                comma = ","
            }
            raw("]")
        }
        if node.modifiedIndex != 0 {
            raw(member("modifiedIndex"))
            number(node.modifiedIndex)
        }
        if node.createdIndex != 0 {
            raw(member("createdIndex"))
            number(node.createdIndex)
        }
        raw("}")
    }
}
