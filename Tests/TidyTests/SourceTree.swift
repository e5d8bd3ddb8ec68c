import Foundation

/// The repository's files, as the tidy tests read them.
enum SourceTree {
    /// The folder that holds Package.swift.
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    struct File: Sendable, CustomStringConvertible {
        /// Path below the root, as in `Sources/DNSWire/Cursor.swift`.
        let path: String
        let text: String

        var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
        /// The second part of the path: a module's name for files of `Sources`.
        var module: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
        var description: String { path }
    }

    /// All files below a folder whose names end so, sorted by path; nothing below a hidden folder.
    static func files(below folder: String, ending suffixes: [String]) -> [File] {
        let start = root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(at: start, includingPropertiesForKeys: nil) else { return [] }
        var found: [File] = []
        for case let url as URL in walk where suffixes.contains(where: url.lastPathComponent.hasSuffix) {
            let path = String(url.path.dropFirst(root.path.count).drop { $0 == "/" })
            guard !path.split(separator: "/").contains(where: { $0.hasPrefix(".") && $0 != ".ci" }),
                let text = try? String(contentsOf: url, encoding: .utf8)
            else { continue }
            found.append(File(path: path, text: text))
        }
        return found.sorted { $0.path < $1.path }
    }

    /// Swift files of the product.
    static let sources = files(below: "Sources", ending: [".swift"]).filter { !$0.path.hasSuffix(".pb.swift") }
    /// Swift files of the tests.
    static let tests = files(below: "Tests", ending: [".swift"])
}

/// Swift code without what is no code.
enum CodeText {
    /// The text with comments and the insides of string literals blanked out; line breaks stay where they are.
    static func code(_ text: String) -> String {
        let source = Array(text.utf8)
        var result: [UInt8] = []
        result.reserveCapacity(source.count)
        var place = 0
        func starts(_ word: String, at index: Int) -> Bool { source[index...].starts(with: word.utf8) }
        func skip(until end: String, escapes: Bool) {
            while place < source.count, !starts(end, at: place) {
                let step = escapes && source[place] == UInt8(ascii: "\\") ? 2 : 1
                for offset in place..<min(place + step, source.count) {
                    result.append(source[offset] == UInt8(ascii: "\n") ? UInt8(ascii: "\n") : UInt8(ascii: " "))
                }
                place = min(place + step, source.count)
            }
            place = min(place + end.utf8.count, source.count)
        }
        while place < source.count {
            if starts("//", at: place) {
                while place < source.count, source[place] != UInt8(ascii: "\n") { place += 1 }
            } else if starts("/*", at: place) {
                place += 2
                skip(until: "*/", escapes: false)
            } else if starts("\"\"\"", at: place) {
                place += 3
                skip(until: "\"\"\"", escapes: true)
                result += Array("\"\"".utf8)
            } else if source[place] == UInt8(ascii: "\"") {
                place += 1
                skip(until: "\"", escapes: true)
                result += Array("\"\"".utf8)
            } else {
                result.append(source[place])
                place += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
