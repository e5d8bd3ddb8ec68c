import Foundation
import RegistryStore

/// Measures nodes of regdns as mlbench measures memberlist's: on real loopback sockets, sealed with a raw key,
/// compressed, with LAN timers. What was measured goes to standard output, one JSON object a line.
@main
struct GossipBench {
    static func main() async throws {
        guard let scenario = CommandLine.arguments.dropFirst().first else { throw BadOption("a scenario") }
        let options = try Options(CommandLine.arguments.dropFirst(2))
        switch scenario {
        case "kill": try await kill(options)
        case "change": try await change(options)
        case "join": try await join(options)
        case "idle": try await idle(options)
        case "node": try await single(options)
        default: throw BadOption("kill, change, join, idle or node")
        }
    }
}

struct BadOption: Error, CustomStringConvertible {
    let description: String

    init(_ expected: String) { description = "gossipbench: expected \(expected)" }
}

/// Something took longer than any sane run.
struct Stuck: Error, CustomStringConvertible {
    let description: String
}

struct Options: Sendable {
    /// Nodes of a cluster.
    var nodes = 16
    /// Kills, changes or joins, one after another, in each cluster.
    var trials = 1
    /// Clusters at the same time.
    var clusters = 1
    /// How long `idle` counts.
    var seconds = 30.0
    /// Seconds between changes.
    var gap = 2.0
    /// `change`: a message, the metadata, or a registration.
    var kind = "message"
    /// Whether the nodes replicate registries.
    var replicates = false
    /// Of a single node: its name, its address, whom it joins.
    var name = ""
    var bind = ""
    var join = ""

    init(_ arguments: ArraySlice<String>) throws {
        var rest = arguments
        while let option = rest.popFirst() {
            switch option {
            case "--metadata": kind = "metadata"
            case "--registration": (kind, replicates) = ("registration", true)
            case "--replicates": replicates = true
            default:
                guard let value = rest.popFirst() else { throw BadOption("a value of \(option)") }
                try set(option, value)
            }
        }
    }

    private mutating func set(_ option: String, _ value: String) throws {
        func number<Number: LosslessStringConvertible>() throws -> Number {
            guard let number = Number(value) else { throw BadOption("a number for \(option)") }
            return number
        }
        switch option {
        case "--nodes": nodes = try number()
        case "--trials": trials = try number()
        case "--clusters": clusters = try number()
        case "--seconds": seconds = try number()
        case "--gap": gap = try number()
        case "--name": name = value
        case "--bind": bind = value
        case "--join": join = value
        default: throw BadOption("another option than \(option)")
        }
    }
}

/// Prints one measurement. Dictionaries of numbers, texts, lists and nothing.
func say(_ fields: [String: any Sendable]) throws {
    let data = try JSONSerialization.data(withJSONObject: fields, options: .sortedKeys)
    FileHandle.standardOutput.write(data + Data("\n".utf8))
}

func pause(_ seconds: Double) async throws { try await Task.sleep(for: .seconds(seconds)) }

/// Waits somewhere within the period of a probe, so that trials do not begin in step.
func jitter() async throws { try await pause(.random(in: 0..<1)) }

/// Seconds that this process spent on CPUs.
func cpuSeconds() -> Double {
    var time = timespec()
    // SAFETY: `time` is a live local that the call fills.
    unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
