/// Finds the word that someone probably meant.
enum EditDistance {
    /// Insertions, deletions, replacements, and swaps of neighbours that turn one text into the other. O(n · m).
    static func between(_ first: String, _ second: String) -> Int {
        let a = Array(first.utf8)
        let b = Array(second.utf8)
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            row.reserveCapacity(b.count + 1)
            for j in b.indices {
                var best = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
                row.append(best)
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }

    /// The nearest of the known words, nil when there is none. Long input is judged by its beginning, so that the cost
    /// stays small whatever a file contains.
    static func nearest(to word: String, among known: [String]) -> String? {
        let word = String(word.prefix(64))
        return known.map { ($0, between(word, $0)) }.min { ($0.1, $0.0) < ($1.1, $1.0) }?.0
    }
}
