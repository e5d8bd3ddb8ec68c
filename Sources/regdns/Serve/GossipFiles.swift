import Foundation
import Replication

/// What a node of the gossip keeps in the data directory.
struct GossipFiles: Sendable {
    private let directory: String

    /// Nil without a directory.
    init?(_ data: DataSettings?) {
        guard let data else { return nil }
        directory = data.directory
    }

    /// Known peers.
    var candidates: CandidateFile { CandidateFile(path: directory + "/gossip-peers.json") }

    /// Whether this node was in a cluster before.
    var knowsPeers: Bool { (try? candidates.read().isEmpty) == false }

    private var epochFile: String { directory + "/gossip-epoch" }

    /// The number of the passphrase's key that was used last; nil when none was kept.
    ///
    /// - Throws: for a file that holds something else.
    func epoch() throws(UserError) -> UInt32? {
        guard FileManager.default.fileExists(atPath: epochFile) else { return nil }
        do {
            let text = String(decoding: try TextFile.read(epochFile, maxBytes: 64), as: UTF8.self)
            guard let epoch = UInt32(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                throw TextFile.ReadError(why: "holds no number")
            }
            return epoch
        } catch {
            throw UserError(
                what: epochFile, why: (error as? TextFile.ReadError)?.why ?? "cannot be read",
                remedy: "write the epoch into it that 'GET /api/v1/cluster/keys' shows at another node")
        }
    }

    func keep(epoch: UInt32) throws {
        try Data("\(epoch)\n".utf8).write(to: URL(filePath: epochFile), options: .atomic)
    }
}
