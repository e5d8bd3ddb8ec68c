import Foundation
import Memberlist
import Persistence
import Replication

/// The file of gossip keys, written when keys are changed over HTTP.
struct GossipKeyFile: Hashable, Sendable {
    /// How errors name it: the setting and the path.
    let place: String
    let path: String

    static let bytesMax = 65_536

    /// Its keys, and the text that they stand in.
    struct Content: Hashable, Sendable {
        var keys: [GossipKey]
        var text: String
    }

    func read() throws(UserError) -> Content {
        do {
            let bytes = try TextFile.read(path, maxBytes: Self.bytesMax)
            return Content(keys: try GossipKey.list(file: Data(bytes)), text: String(decoding: bytes, as: UTF8.self))
        } catch let error as TextFile.ReadError {
            throw UserError(what: place, why: error.why, remedy: "name a file of keys that this user may read")
        } catch {
            throw UserError(
                what: place, why: "\(error)",
                remedy: "write a key in base64 per line, or serf's keyring; 'regdns keygen gossip' makes one")
        }
    }

    /// Writes the keys in place of those that it has. The whole file changes at once, and is on the disk afterwards;
    /// its form (serf's keyring, or lines with their comments), mode and owner stay.
    ///
    /// - Parameter known: what this node has read of it last. A file of other keys was changed by somebody else, and is
    ///   only left as it is when it has what is to be written.
    /// - Throws: why it is not written.
    func write(_ keys: [GossipKey], known: [GossipKey]) throws(UserError) {
        let content = try read()
        guard content.keys != keys else { return }
        guard content.keys == known else {
            throw UserError(
                what: place, why: "somebody has changed it since it was read here",
                remedy: "have it read by SIGHUP first")
        }
        let text = GossipKeyText.write(keys, in: content.text)
        // What a link leads to is replaced, not the link.
        let target = URL(filePath: path).resolvingSymlinksInPath().path(percentEncoded: false)
        do {
            try DurableFile.replace(target, with: Array(text.utf8))
        } catch {
            throw UserError(
                what: place, why: "cannot be written (\(error))",
                remedy:
                    "make the file and its folder writable for this user, or write the keys yourself and send SIGHUP")
        }
    }
}

/// The text of a file of keys.
enum GossipKeyText {
    /// The text with these keys in place of its own. Lines of comments come first, as they were; a line of a key that
    /// stays keeps its comment.
    static func write(_ keys: [GossipKey], in old: String) -> String {
        if old.drop(while: \.isWhitespace).first == "[" {
            // Base64 has nothing that JSON escapes.
            return "[\n" + keys.map { "  \"\($0.base64)\"" }.joined(separator: ",\n") + "\n]\n"
        }
        let lines = old.split(whereSeparator: \.isNewline).map(String.init)
        var comments: [String] = []
        var known: [GossipKey: String] = [:]
        for line in lines {
            let text = String(line.prefix { $0 != "#" }.filter { !$0.isWhitespace })
            if text.isEmpty {
                comments.append(line)
            } else if let key = try? GossipKey(base64: text) {
                known[key] = line
            }
        }
        return (comments + keys.map { known[$0] ?? $0.base64 }).map { $0 + "\n" }.joined()
    }
}
