import FoundationEssentials
package import Memberlist

/// Peers known last, kept for the next start: a JSON array of `ADDRESS:PORT`.
package struct CandidateFile: Sendable {
    static let bytesMax = 65_536

    /// A file that is there and is none of addresses.
    package struct Malformed: Error, CustomStringConvertible {
        package let path: String
        package var description: String { "\(path) is no JSON array of ADDRESS:PORT; it is written anew" }
    }

    private let path: String

    package init(path: String) { self.path = path }

    /// Empty when there is no file.
    package func read() throws -> [GossipAddress] {
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        guard let data = FileManager.default.contents(atPath: path), data.count <= Self.bytesMax,
            let texts = try? JSONDecoder().decode([String].self, from: data)
        else { throw Malformed(path: path) }
        return try texts.map { text in
            guard let seed = try? Seed(text), case .address(let address) = seed else { throw Malformed(path: path) }
            return address
        }
    }

    package func write(_ addresses: [GossipAddress]) throws {
        try JSONEncoder().encode(addresses.map(\.description)).write(to: URL(filePath: path), options: .atomic)
    }
}
