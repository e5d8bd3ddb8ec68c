import FoundationEssentials
package import Memberlist

/// A directory that members share, with one file for each, as Amalgam8's registries find each other: named like the
/// member, in it `{"IP", "Port", "Timestamp"}`.
package struct MemberDirectory: Sendable {
    /// After this time without a new time stamp a file counts no more.
    package static let lifetime: Milliseconds = 30_000
    /// How often the own file is written.
    package static let rewrite: Milliseconds = 7_000
    /// How often the others are read.
    package static let scan: Milliseconds = 5_000
    /// Files that are looked at.
    static let filesMax = 1_024
    static let fileBytesMax = 4_096

    private struct Entry: Codable {
        var ip: String
        var port: Int
        var timestamp: String

        enum CodingKeys: String, CodingKey {
            case ip = "IP"
            case port = "Port"
            case timestamp = "Timestamp"
        }
    }

    private let path: String
    private let own: GossipAddress

    package init(path: String, own: GossipAddress) {
        self.path = path
        self.own = own
    }

    private var ownFile: String { path + "/" + own.description }

    /// Writes the own file, and the directory before it.
    package func write(unixMilliseconds: Milliseconds) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let ip = String(own.description.dropLast(":\(own.port)".count)).filter { $0 != "[" && $0 != "]" }
        let entry = Entry(
            ip: ip, port: Int(own.port), timestamp: Self.text(unixMilliseconds))
        // At once: whoever reads meanwhile gets the old file or the new one.
        try JSONEncoder().encode(entry).write(to: URL(filePath: ownFile), options: .atomic)
    }

    /// Others that are there now. Files that cannot be read count as none: they may be half written.
    package func members(unixMilliseconds: Milliseconds) throws -> [GossipAddress] {
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: path).sorted().prefix(Self.filesMax)
            .compactMap { name in
                guard !name.hasPrefix("."), let member = read(path + "/" + name, unixMilliseconds) else { return nil }
                return member == own ? nil : member
            }
    }

    /// This node is not there any more.
    package func remove() throws {
        guard FileManager.default.fileExists(atPath: ownFile) else { return }
        try FileManager.default.removeItem(atPath: ownFile)
    }

    private func read(_ file: String, _ now: Milliseconds) -> GossipAddress? {
        guard let size = try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int,
            size <= Self.fileBytesMax, let data = FileManager.default.contents(atPath: file),
            let entry = try? JSONDecoder().decode(Entry.self, from: data),
            let port = UInt16(exactly: entry.port), port > 0, let written = Self.milliseconds(entry.timestamp),
            now - written <= Self.lifetime
        else { return nil }
        return GossipAddress(ipText: entry.ip, port: port)
    }

    // MARK: Time

    private static func text(_ unixMilliseconds: Milliseconds) -> String {
        Date(timeIntervalSince1970: Double(unixMilliseconds) / 1_000)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// RFC 3339, as Go writes it: with up to nine digits of the second, and a zone.
    static func milliseconds(_ text: String) -> Milliseconds? {
        // The formatter knows three digits.
        var short = text
        if let dot = text.firstIndex(of: ".") {
            let digits = text[text.index(after: dot)...].prefix { $0.isNumber }
            short = String(text[..<dot] + text[digits.endIndex...])
        }
        guard let date = try? Date(short, strategy: .iso8601) else { return nil }
        let milliseconds = date.timeIntervalSince1970 * 1_000
        // Years that a file may claim, and an integer may hold.
        return abs(milliseconds) < 1e15 ? Milliseconds(milliseconds) : nil
    }
}
