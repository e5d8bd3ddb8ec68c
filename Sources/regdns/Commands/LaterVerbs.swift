import ArgumentParser

/// The verbs that a later version brings; they are listed in the help and refuse to run.
enum LaterVerbs {
    static let all: [any ParsableCommand.Type] = [Export.self, Import.self]

    struct Export: LaterVerb {
        static let configuration = CommandConfiguration(abstract: "Write all registrations as JSON lines.")
        @Argument(parsing: .allUnrecognized, help: .hidden) var rest: [String] = []
    }

    struct Import: LaterVerb {
        static let configuration = CommandConfiguration(abstract: "Read registrations from JSON lines.")
        @Argument(parsing: .allUnrecognized, help: .hidden) var rest: [String] = []
    }
}

/// A verb that is known and not available.
protocol LaterVerb: ParsableCommand {}

extension LaterVerb {
    func run() throws {
        throw UserError.notInThisVersion(
            Self._commandName, remedy: "'regdns --help' lists what is")
    }
}
