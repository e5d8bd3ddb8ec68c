/// Helpers on names in exact wire form (letter case kept), as the view's tree keeps them.
///
/// Keys keep their letter case and may hold octets that no host name has, so the tree compares octets; questions are
/// folded before they are looked up.
enum TreeName {
    static let root: [UInt8] = [0]
    static let octetsMax = 255

    /// The name of labels given leaf first; nil when a label or the name is too long, or a label is empty.
    static func make(labels: [[UInt8]]) -> [UInt8]? {
        var name: [UInt8] = []
        for label in labels {
            guard (1...63).contains(label.count) else { return nil }
            name.append(UInt8(label.count))
            name.append(contentsOf: label)
        }
        name.append(0)
        return name.count <= octetsMax ? name : nil
    }

    /// `labels` before an existing name.
    static func make(labels: [[UInt8]], under parent: [UInt8]) -> [UInt8]? {
        guard var name = make(labels: labels) else { return nil }
        name.removeLast()
        name.append(contentsOf: parent)
        return name.count <= octetsMax ? name : nil
    }

    /// The name without its first label; nil for the root.
    static func parent(of name: [UInt8]) -> [UInt8]? {
        guard let first = name.first, first != 0, 1 + Int(first) < name.count else { return nil }
        return Array(name[(1 + Int(first))...])
    }

    /// Labels, leaf first.
    static func labels(of name: [UInt8]) -> [ArraySlice<UInt8>] {
        var labels: [ArraySlice<UInt8>] = []
        var position = 0
        while position < name.count, name[position] != 0, position + 1 + Int(name[position]) <= name.count {
            labels.append(name[(position + 1)..<(position + 1 + Int(name[position]))])
            position += 1 + Int(name[position])
        }
        return labels
    }

    static func labelCount(_ name: [UInt8]) -> Int {
        var count = 0
        var position = 0
        while position < name.count, name[position] != 0 {
            count += 1
            position += 1 + Int(name[position])
        }
        return count
    }

    /// Whether `name` is `ancestor` or below it. Both in the same letter case.
    static func isSubdomain(_ name: [UInt8], of ancestor: [UInt8]) -> Bool {
        var position = 0
        while position < name.count {
            let left = name.count - position
            if left == ancestor.count { return name[position...].elementsEqual(ancestor) }
            if left < ancestor.count || name[position] == 0 { return false }
            position += 1 + Int(name[position])
        }
        return false
    }

    static func folded(_ name: [UInt8]) -> [UInt8] { name.map { (65...90).contains($0) ? $0 | 0x20 : $0 } }

    /// Drops labels from the left; the whole name when it has no more than `count` (SkyDNS's targetstrip).
    static func stripped(_ name: [UInt8], _ count: Int) -> [UInt8] {
        guard count > 0, count < labelCount(name) else { return name }
        var position = 0
        for _ in 0..<count { position += 1 + Int(name[position]) }
        return Array(name[position...])
    }

    /// A domain name as stored text (trailing dot optional, letter case kept, no escapes, as SkyDNS reads hosts).
    /// nil when it is no name that fits the wire.
    static func make(text: String) -> [UInt8]? {
        var bytes = Array(text.utf8)
        if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        if bytes.isEmpty { return root }
        return make(labels: bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map(Array.init))
    }
}
