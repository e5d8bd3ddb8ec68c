import RegistryStore

/// What `check-config` prints.
enum SettingReport {
    struct Row: Sendable {
        let name: String
        /// The text that is used; `(hidden)` for secrets.
        let text: String
        let origin: String
    }

    /// - Parameter note: stands for the text of a secret, and behind it otherwise.
    static func row(_ spec: SettingSpec, entry: SettingValues.Entry?, node: String, note: String? = nil) -> Row {
        guard let entry else {
            let text = spec.name == "node" ? node : spec.defaultNote ?? "-"
            return Row(name: spec.name, text: text, origin: SettingOrigin.byDefault.description)
        }
        let text = (spec.isSecret ? "(hidden)" : entry.text) + (note.map { " (\($0))" } ?? "")
        return Row(name: spec.name, text: text, origin: entry.origin.description)
    }

    static func table(_ rows: [Row]) -> String {
        TextTable.render(header: ["SETTING", "VALUE", "FROM"], rows: rows.map { [$0.name, $0.text, $0.origin] })
    }

    static func json(_ rows: [Row]) -> String {
        JSONValue.array(
            rows.map { row in
                .object([("name", .string(row.name)), ("value", .string(row.text)), ("from", .string(row.origin))])
            }
        ).line
    }
}
