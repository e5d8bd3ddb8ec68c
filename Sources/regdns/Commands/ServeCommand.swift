import ArgumentParser

/// `regdns serve`: runs the server.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the server.",
        discussion: SettingsHelp.precedence)

    @OptionGroup var options: SettingOptions

    func run() async throws {
        let values = try options.resolve(environment: ProcessFacts.environment)
        let settings = try ServeSettings(values, hostName: ProcessFacts.hostName)
        ProcessLimits.raiseOpenFiles()
        ProcessLimits.ignoreBrokenPipes()
        let logs = LogFactory(format: settings.logFormat, level: settings.logLevel)
        logs.bootstrap()
        try await Composition(settings: settings, logs: logs).run()
    }
}

/// Help text that the verbs with settings share.
enum SettingsHelp {
    static let precedence = """
        Every setting is a flag, a variable (REGDNS_ and the flag in capitals, - as _), or a key of the settings file.
        Precedence: flag, REGDNS_ variable, variables of Amalgam8 (A8_*) and SkyDNS (SKYDNS_*), file, default.
        Lists are repeated or comma separated. Durations are written 30s, 1m30s, 500ms or 2h.
        A lease is how long a registration lives without renewal, a TTL how long an answer may be cached.
        """
}
