/// A member's metadata as tags: the octet `ff` and a msgpack map of texts, as serf's agents write theirs.
package enum MemberTags {
    private static let mark: UInt8 = 0xff

    /// The metadata of these tags, in the order of their names.
    package static func encode(_ tags: [String: String]) -> [UInt8] {
        var writer = MessagePackWriter(type: mark)
        writer.map(tags.count)
        for (name, value) in tags.sorted(by: { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) }) {
            writer.text(name.utf8)
            writer.text(value.utf8)
        }
        return writer.bytes
    }

    /// The tags of metadata; nil for metadata of another form. What is no UTF-8 is replaced, of equal names the last
    /// counts.
    package static func decode(_ meta: [UInt8]) -> [String: String]? {
        guard meta.first == mark else { return nil }
        var reader = MessagePackReader(meta, at: 1)
        do {
            guard case .map(let count) = try reader.head() else { return nil }
            var tags: [String: String] = [:]
            for _ in 0..<count {
                guard case .text(let name) = try reader.head(), case .text(let value) = try reader.head() else {
                    return nil
                }
                tags[String(decoding: name, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
            }
            return reader.isAtEnd ? tags : nil
        } catch {
            return nil
        }
    }
}
