import ArgumentParser

/// The verbs that a later version brings; they are listed in the help and refuse to run.
enum LaterVerbs {
    static let all: [any ParsableCommand.Type] = [Members.self, Keygen.self, Export.self, Import.self]

    struct Members: LaterVerb {
        static let configuration = CommandConfiguration(abstract: "Show the members of the cluster.")
        @Argument(parsing: .allUnrecognized, help: .hidden) var rest: [String] = []
    }

    struct Keygen: LaterVerb {
        static let configuration = CommandConfiguration(abstract: "Make a gossip key, a DNSSEC key pair, or a token.")
        @Argument(parsing: .allUnrecognized, help: .hidden) var rest: [String] = []
    }

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
