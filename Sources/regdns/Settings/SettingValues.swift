import Configuration
import Replication
import Synchronization

/// Where a value came from.
enum SettingOrigin: Hashable, Sendable, CustomStringConvertible {
    case flag
    /// A `REGDNS_` variable, or one of a replaced program.
    case variable(String)
    case file(path: String, line: Int)
    case byDefault

    var description: String {
        switch self {
        case .flag: "flag"
        case .variable(let name): "environment \(name)"
        case .file(let path, let line): "\(path):\(line)"
        case .byDefault: "default"
        }
    }
}

/// The texts of all settings after precedence: flag, environment, variables of replaced programs, file, default.
struct SettingValues: Sendable {
    struct Entry: Sendable {
        let text: String
        let origin: SettingOrigin
    }

    private let entries: [String: Entry]
    /// Variables that begin with `REGDNS_` and mean nothing, with what was probably meant.
    let unknownVariables: [(name: String, nearest: String?)]
    /// What the variable of a passphrase holds; nil when there is none.
    let passphrase: String?

    /// Resolves every setting of the table and checks its text.
    ///
    /// - Parameters:
    ///   - flags: what the command line gave, by setting name; the last one counts unless the setting is a list.
    ///   - environment: all variables; empty ones count as absent.
    ///   - file: the settings file, when there is one.
    init(flags: [String: [String]], environment: [String: String], file: SettingsFile? = nil) throws(UserError) {
        let environment = environment.filter { !$0.value.isEmpty }
        let dropIns = Self.dropIns(environment)
        let recorder = ProviderRecorder()
        let reader = ConfigReader(
            providers: [
                Self.provider("flag", Self.joined(flags)),
                EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "regdns"),
                Self.provider("drop-in", dropIns.mapValues(\.text)),
                Self.provider("file", (file?.values ?? [:]).mapValues(\.text)),
                Self.provider("default", Self.defaults),
            ], accessReporter: recorder)
        var entries: [String: Entry] = [:]
        for spec in SettingTable.all {
            guard let text = reader.string(forKey: Self.key(spec.name)) else { continue }
            let origin: SettingOrigin =
                switch recorder.lastProvider {
                case 0: .flag
                case 1: .variable(spec.environmentName)
                case 2: .variable(dropIns[spec.name]?.variable ?? "")
                case 3: .file(path: file?.path ?? "", line: file?.values[spec.name]?.line ?? 0)
                default: .byDefault
                }
            let entry = Entry(text: text, origin: origin)
            try Self.check(spec, entry)
            entries[spec.name] = entry
        }
        self.entries = entries
        unknownVariables = Self.unknown(environment)
        passphrase = environment[KeySettings.passphraseVariable]
    }

    /// The text and origin of a setting; nil when nothing was said and there is no default text.
    func entry(_ name: String) -> Entry? { entries[name] }

    /// The value of a setting; nil when nothing was said and there is no default text.
    func value<Value>(_ setting: Setting<Value>) -> Value? {
        entries[setting.spec.name].flatMap { setting.form.read($0.text) }
    }

    /// The values of a list; empty when nothing was said.
    func list<Value>(_ setting: Setting<Value>) -> [Value] {
        guard let entry = entries[setting.spec.name] else { return [] }
        return Self.parts(entry.text).compactMap(setting.form.read)
    }

    /// How errors name a setting's value: by what the user wrote it in.
    func place(_ name: String) -> String { Self.place(name, entries[name]?.origin ?? .byDefault) }

    // MARK: Resolution

    private static func key(_ name: String) -> ConfigKey {
        ConfigKey(name.split(separator: "-").map(String.init))
    }

    private static func provider(_ name: String, _ texts: [String: String]) -> InMemoryProvider {
        let pairs = texts.map { name, text in
            (AbsoluteConfigKey(key(name)), ConfigValue(.string(text), isSecret: false))
        }
        return InMemoryProvider(name: name, values: Dictionary(pairs) { first, _ in first })
    }

    private static func joined(_ flags: [String: [String]]) -> [String: String] {
        flags.reduce(into: [:]) { texts, flag in
            guard let last = flag.value.last else { return }
            let isList = SettingTable.byName[flag.key]?.isList ?? false
            texts[flag.key] = isList ? flag.value.joined(separator: ",") : last
        }
    }

    private static func dropIns(_ environment: [String: String]) -> [String: (text: String, variable: String)] {
        SettingTable.all.reduce(into: [:]) { texts, spec in
            for variable in spec.variables {
                guard let given = environment[variable.name], let text = variable.translate(given) else { continue }
                texts[spec.name] = (text, variable.name)
                return
            }
        }
    }

    private static let defaults: [String: String] = SettingTable.all.reduce(into: [:]) { texts, spec in
        if let text = spec.defaultText { texts[spec.name] = text }
    }

    private static func unknown(_ environment: [String: String]) -> [(name: String, nearest: String?)] {
        let known = Set(SettingTable.all.map(\.environmentName)).union(ClientVariables.names)
        return environment.keys.filter { $0.hasPrefix("REGDNS_") && !known.contains($0) }.sorted()
            .map { ($0, EditDistance.nearest(to: $0, among: Array(known))) }
    }

    // MARK: Checks

    /// The values of a list's text.
    private static func parts(_ text: String) -> [String] {
        text.split(separator: ",", omittingEmptySubsequences: false)
            .map { String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
    }

    private static func check(_ spec: SettingSpec, _ entry: Entry) throws(UserError) {
        let texts = spec.isList ? parts(entry.text) : [entry.text]
        for text in texts where !spec.accepts(text) {
            let shown = spec.isSecret ? "its value" : PlainText.quoted(text)
            throw UserError(
                what: place(spec.name, entry.origin), why: "\(shown) is not \(spec.noun)",
                remedy: "write \(spec.example)")
        }
        if texts.count > 1, texts.contains("off") {
            throw UserError(
                what: place(spec.name, entry.origin), why: "'off' stands beside other values",
                remedy: "write off alone, or leave it out")
        }
        guard case .later(let harmless) = spec.availability else { return }
        for text in texts where !isHarmless(text, spec, harmless) {
            let shown = spec.isSecret || texts.isEmpty ? "" : " \(text)"
            throw .notInThisVersion(
                place(spec.name, entry.origin) + shown,
                remedy: spec.shownDefault.map { "leave it out (\($0))" } ?? "leave it out")
        }
    }

    private static func isHarmless(_ text: String, _ spec: SettingSpec, _ harmless: [String]) -> Bool {
        text == spec.defaultText || harmless.contains(text)
            || (spec.defaultText == "false" && ValueForm<Bool>.boolean.read(text) == false)
    }

    private static func place(_ name: String, _ origin: SettingOrigin) -> String {
        switch origin {
        case .flag, .byDefault: "--\(name)"
        case .variable(let variable): variable
        case .file(let path, let line): "\(path):\(line): \(name)"
        }
    }
}

/// Remembers which provider answered the last access, as its place in the list.
private final class ProviderRecorder: AccessReporter {
    private let place = Mutex<Int>(0)

    var lastProvider: Int { place.withLock { $0 } }

    func report(_ event: AccessEvent) {
        let answered = event.providerResults.firstIndex { result in
            if case .success(let lookup) = result.result { return lookup.value != nil }
            return false
        }
        place.withLock { $0 = answered ?? 0 }
    }
}
