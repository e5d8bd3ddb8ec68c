package import RegistryStore

/// Which node does something for another: the one with the greatest hash of both names. When a node comes or goes, only
/// what it does or did moves.
package enum Rendezvous {
    /// The node among `members` that counts the leases of `home` while that one is gone; nil when there is nobody.
    package static func steward(of home: String, among members: [String], key: KeyedHash.Key = .shared) -> String? {
        var best: (score: UInt64, name: String)?
        for name in members where !sameName(name, home) {
            var hash = KeyedHash(key)
            hash.append(home)
            hash.append(name)
            let score = hash.value()
            if let best, (score, name.utf8.count) <= (best.score, best.name.utf8.count) { continue }
            best = (score, name)
        }
        return best?.name
    }
}

/// Whether two nodes have one name: byte for byte.
func sameName(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

/// The order of names, by bytes.
func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
