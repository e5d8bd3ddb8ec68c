import ArgumentParser

/// The flags of one section of the setting table, as ArgumentParser sees them.
///
/// ArgumentParser finds a command's flags by looking at the mirror of an empty value and then decodes them by the
/// mirror's labels. Here both come from the table, so that a setting is written down once.
struct SettingFlags<Section: SettingSection>: ParsableArguments, CustomReflectable {
    /// The texts given, by setting name; only settings that were given are present.
    private(set) var given: [String: [String]] = [:]

    init() {}

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: FlagKey.self)
        for spec in Section.settings {
            let key = FlagKey(stringValue: spec.name)
            if spec.placeholder == nil {
                if try container.decode(Flag<Bool>.self, forKey: key).wrappedValue { given[spec.name] = ["true"] }
            } else {
                let texts = try container.decode(Option<[String]>.self, forKey: key).wrappedValue
                if !texts.isEmpty { given[spec.name] = texts }
            }
        }
    }

    var customMirror: Mirror {
        Mirror(self, children: Section.settings.map { (label: "_" + $0.name, value: Self.wrapper($0)) })
    }

    private static func wrapper(_ spec: SettingSpec) -> Any {
        let name = NameSpecification.customLong(spec.name)
        var text = spec.help
        if let shown = spec.shownDefault, spec.placeholder != nil { text += " (default: \(shown))" }
        guard let placeholder = spec.placeholder else {
            return Flag(wrappedValue: false, name: name, help: ArgumentHelp(stringLiteral: text))
        }
        let shown = spec.isList ? placeholder + "…" : placeholder
        return Option<[String]>(
            wrappedValue: [], name: name, parsing: .unconditionalSingleValue,
            help: ArgumentHelp(text, valueName: shown))
    }
}

private struct FlagKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

/// All settings of `serve` on the command line.
struct SettingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Settings file: YAML, keys are the flag names, nested at any dash (environment: REGDNS_CONFIG).",
            valueName: "FILE"))
    var config: String?

    @OptionGroup(title: ListenerSettings.title) var listeners: SettingFlags<ListenerSettings>
    @OptionGroup(title: AnswerSettings.title) var answers: SettingFlags<AnswerSettings>
    @OptionGroup(title: ForwardSettings.title) var forwarding: SettingFlags<ForwardSettings>
    @OptionGroup(title: RegistrySettings.title) var registrations: SettingFlags<RegistrySettings>
    @OptionGroup(title: AccessSettings.title) var access: SettingFlags<AccessSettings>
    @OptionGroup(title: StoreSettings.title) var store: SettingFlags<StoreSettings>
    @OptionGroup(title: OperationSettings.title) var operation: SettingFlags<OperationSettings>
    @OptionGroup(title: ClusterSettings.title) var cluster: SettingFlags<ClusterSettings>
    @OptionGroup(title: CatalogSettings.title) var catalogs: SettingFlags<CatalogSettings>

    /// The texts of all flags given.
    var given: [String: [String]] {
        [
            listeners.given, answers.given, forwarding.given, registrations.given, access.given, store.given,
            operation.given, cluster.given, catalogs.given,
        ].reduce(into: [:]) { $0.merge($1) { first, _ in first } }
    }

    /// Flags, environment and file by precedence.
    func resolve(environment: [String: String]) throws(UserError) -> SettingValues {
        let path = config ?? environment[ClientVariables.config].flatMap { $0.isEmpty ? nil : $0 }
        var file: SettingsFile?
        if let path { file = try SettingsFile(path: path) }
        return try SettingValues(flags: given, environment: environment, file: file)
    }
}

/// The variables that are no settings of the server.
enum ClientVariables {
    static let config = "REGDNS_CONFIG"
    static let server = "REGDNS_SERVER"
    static let token = "REGDNS_TOKEN"
    static let names: Set<String> = [config, server, token]
}
