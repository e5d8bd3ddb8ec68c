import ArgumentParser

/// What all client verbs take.
struct ClientOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The server (default: \(ServerURL.defaultText); environment: \(ClientVariables.server)).",
            valueName: "URL"))
    var server: String?

    @Option(help: ArgumentHelp("Token for the server (environment: \(ClientVariables.token)).", valueName: "TOKEN"))
    var token: String?

    @Option(help: ArgumentHelp("Namespace, for servers that take its name as the token.", valueName: "NAME"))
    var namespace: String?

    @Option(
        help: ArgumentHelp("Form of the output (default: table on a terminal, else json).", valueName: "table|json"))
    var output: OutputFormat?

    var format: OutputFormat { output ?? .forThisTerminal }

    /// The API of the server named by flags and environment.
    func api() throws(UserError) -> APIClient {
        let environment = ProcessFacts.environment
        let variable = environment[ClientVariables.server].flatMap { $0.isEmpty ? nil : $0 }
        let url = try ServerURL(server ?? variable ?? ServerURL.defaultText)
        let token = token ?? environment[ClientVariables.token].flatMap { $0.isEmpty ? nil : $0 }
        if token != nil, namespace != nil {
            throw UserError(
                what: "--namespace", why: "a token is given too, and it says which namespace it is for",
                remedy: "give one of the two")
        }
        // With --auth trusted the namespace is the token, as in Amalgam8; the namespace default needs none.
        let bearer = token ?? (namespace == "default" ? nil : namespace)
        if let bearer, bearer.isEmpty || bearer.contains(where: { $0.isNewline || !$0.isASCII }) {
            throw UserError(what: "--token", why: "it is no text for a header", remedy: "write it in one line of ASCII")
        }
        return APIClient(http: HTTPClient(server: url, token: bearer))
    }
}
