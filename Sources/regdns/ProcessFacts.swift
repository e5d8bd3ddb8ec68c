import Foundation

/// What the process knows of its surroundings.
enum ProcessFacts {
    static var environment: [String: String] { ProcessInfo.processInfo.environment }

    /// The machine's name without its domain.
    static var hostName: String {
        let name = ProcessInfo.processInfo.hostName
        return name.isEmpty ? "localhost" : name
    }
}
