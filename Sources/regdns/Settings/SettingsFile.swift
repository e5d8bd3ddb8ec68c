import Foundation
import Yams

/// A settings file: YAML whose keys are the flag names, whole or nested at any of their dashes.
struct SettingsFile: Sendable {
    struct Value: Sendable, Hashable {
        /// The scalar, or the sequence joined by commas.
        let text: String
        /// Line in the file, from 1.
        let line: Int
    }

    /// Largest file that is read; settings need a few kilobytes.
    static let maxBytes = 1 << 20

    let path: String
    /// Values by setting name.
    let values: [String: Value]

    /// Reads the file at `path`.
    init(path: String) throws(UserError) {
        let bytes: [UInt8]
        do {
            bytes = try TextFile.read(path, maxBytes: Self.maxBytes)
        } catch {
            throw UserError(what: "--config \(path)", why: error.why, remedy: "give the path of a readable YAML file")
        }
        try self.init(path: path, text: String(decoding: bytes, as: UTF8.self))
    }

    /// Parses the text of a file; `path` is for errors.
    init(path: String, text: String) throws(UserError) {
        self.path = path
        let root: Yams.Node?
        do {
            root = try Yams.Parser(yaml: text).singleRoot()
        } catch {
            throw Self.syntaxError(error, path: path)
        }
        var values: [String: Value] = [:]
        if let root, !Self.isEmpty(root) {
            guard let mapping = root.mapping else {
                throw UserError(
                    what: "\(path):\(root.mark?.line ?? 1)", why: "the file is no mapping",
                    remedy: "write one 'name: value' per line")
            }
            try Self.collect(mapping, prefix: [], path: path, into: &values)
        }
        self.values = values
    }

    /// Flattens nested mappings. The depth is bounded by the longest flag name: a prefix that no name has is refused.
    private static func collect(
        _ mapping: Yams.Node.Mapping, prefix: [String], path: String, into values: inout [String: Value]
    ) throws(UserError) {
        for (keyNode, node) in mapping {
            let line = keyNode.mark?.line ?? 1
            let part = keyNode.string ?? ""
            let components = prefix + [part]
            let name = components.joined(separator: "-")
            let place = "\(path):\(line): \(components.joined(separator: "."))"
            if let inner = node.mapping {
                guard SettingTable.all.contains(where: { $0.name.hasPrefix(name + "-") }) else {
                    throw unknownKey(name, place: place)
                }
                try collect(inner, prefix: components, path: path, into: &values)
                continue
            }
            guard SettingTable.byName[name] != nil else { throw unknownKey(name, place: place) }
            guard values[name] == nil else {
                throw UserError(what: place, why: "is given twice", remedy: "remove one of the two")
            }
            if isEmpty(node) { continue }
            values[name] = Value(text: try text(of: node, place: place), line: line)
        }
    }

    private static func text(of node: Yams.Node, place: String) throws(UserError) -> String {
        if let scalar = node.scalar { return scalar.string }
        let parts = (node.sequence ?? []).compactMap { $0.scalar?.string }
        guard let sequence = node.sequence, parts.count == sequence.count else {
            throw UserError(what: place, why: "is a list of lists or mappings", remedy: "write a list of plain values")
        }
        return parts.joined(separator: ",")
    }

    /// A key without a value, which says nothing.
    private static func isEmpty(_ node: Yams.Node) -> Bool { node.null != nil }

    private static func unknownKey(_ name: String, place: String) -> UserError {
        let nearest = SettingTable.nearest(to: name).map { "did you mean '\($0)'? " } ?? ""
        return UserError(
            what: place, why: "is no setting", remedy: nearest + "'regdns serve --help' lists all of them")
    }

    private static func syntaxError(_ error: any Error, path: String) -> UserError {
        var line = ""
        var why = "is no YAML"
        if let error = error as? YamlError {
            switch error {
            case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
                .composer(_, let problem, let mark, _):
                line = ":\(mark.line)"
                why = "is no YAML: \(problem)"
            case .duplicatedKeysInMapping(let duplicates, let context):
                line = ":\(context.mark.line)"
                why = "has a key twice: \(duplicates.map { "\($0)" }.joined(separator: ", "))"
            default:
                break
            }
        }
        return UserError(what: path + line, why: why, remedy: "repair the file")
    }
}
