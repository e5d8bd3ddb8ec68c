/// One setting: everything that the flags, the environment, the file, the help, and `check-config` need to know of it.
struct SettingSpec: Sendable {
    /// The flag's name without dashes; the other names follow from it.
    let name: String
    /// What stands for the value in the help; nil for a switch, which takes none.
    let placeholder: String?
    let help: String
    /// The text used when nobody says otherwise; nil when there is none.
    let defaultText: String?
    /// What happens without a value, where no text says it.
    let defaultNote: String?
    /// Whether several values may be given, repeated or comma separated.
    let isList: Bool
    /// Whether its value never leaves the process.
    let isSecret: Bool
    let availability: Availability
    /// Variables of the programs that regdns replaces, in falling rank.
    let variables: [DropInVariable]
    /// What its text must be, for errors.
    let noun: String
    let example: String
    /// Whether one value's text is well formed.
    let accepts: @Sendable (String) -> Bool

    /// The name in the environment: `REGDNS_LEASE_DEFAULT`.
    var environmentName: String {
        "REGDNS_" + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
    }

    /// Default as the help shows it.
    var shownDefault: String? { defaultNote ?? defaultText }
}

/// What this version makes of a setting.
enum Availability: Sendable {
    case now
    /// A later version brings it. Only its default and these texts are taken.
    case later(harmless: [String])
    /// Taken, with this warning in the log, and without effect.
    case withoutEffect(warning: String)
}

/// A variable of a replaced program that fills a setting, ranked just below the `REGDNS_` ones.
struct DropInVariable: Sendable {
    let name: String
    /// The setting's text for the variable's text; nil to say nothing. Text that it cannot read is handed on as it is,
    /// so that the setting's own check refuses it.
    let translate: @Sendable (String) -> String?

    init(_ name: String, translate: @escaping @Sendable (String) -> String? = { $0 }) {
        self.name = name
        self.translate = translate
    }
}

/// A setting with the type of its values.
struct Setting<Value: Sendable>: Sendable {
    let spec: SettingSpec
    let form: ValueForm<Value>

    init(
        _ name: String, _ placeholder: String?, _ form: ValueForm<Value>, default defaultText: String? = nil,
        note: String? = nil, list: Bool = false, secret: Bool = false, _ availability: Availability = .now,
        variables: [DropInVariable] = [], help: String
    ) {
        self.form = form
        spec = SettingSpec(
            name: name, placeholder: placeholder, help: help, defaultText: defaultText, defaultNote: note,
            isList: list, isSecret: secret, availability: availability, variables: variables, noun: form.noun,
            example: form.example, accepts: { form.read($0) != nil })
    }
}

/// The settings of one heading in the help.
protocol SettingSection: SendableMetatype {
    static var title: String { get }
    static var settings: [SettingSpec] { get }
}

/// The table of all settings of `serve`; every other list of them is made from it.
enum SettingTable {
    static let sections: [any SettingSection.Type] = [
        ListenerSettings.self, AnswerSettings.self, ForwardSettings.self, RegistrySettings.self,
        AccessSettings.self, StoreSettings.self, ClusterSettings.self, CatalogSettings.self, OperationSettings.self,
    ]
    static let all: [SettingSpec] = sections.flatMap { $0.settings }
    static let byName: [String: SettingSpec] = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }

    /// The setting whose name is nearest to a mistyped one.
    static func nearest(to name: String) -> String? { EditDistance.nearest(to: name, among: all.map(\.name)) }
}
