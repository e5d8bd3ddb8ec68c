import ArgumentParser

/// `regdns check-config`: reads everything as `serve` would, and says what would be used and from where.
struct CheckConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-config",
        abstract: "Read settings and files as 'serve' would, and print what would be used.",
        discussion: SettingsHelp.precedence)

    @OptionGroup var options: SettingOptions

    @Option(help: ArgumentHelp("Form of the output.", valueName: "table|json"))
    var output: OutputFormat?

    func run() async throws {
        let values = try options.resolve(environment: ProcessFacts.environment)
        let settings = try ServeSettings(values, hostName: ProcessFacts.hostName)
        if let path = settings.zonesDirectory { _ = try ZoneDirectory.check(path) }
        let notes = try await settings.gossip?.keys.fingerprints() ?? [:]
        let rows = SettingTable.all.map { spec -> SettingReport.Row in
            SettingReport.row(spec, entry: values.entry(spec.name), node: settings.node, note: notes[spec.name])
        }
        for warning in settings.warnings { StandardStreams.complain("regdns: warning: \(warning)") }
        switch output ?? .forThisTerminal {
        case .table: StandardStreams.print(SettingReport.table(rows))
        case .json: StandardStreams.print(SettingReport.json(rows))
        }
    }
}
