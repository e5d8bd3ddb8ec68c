import DNSServer
import DNSWire
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// The zone files of `--zones`: read at the start, and again when one changes or when told to.
///
/// A file that does not parse, or that clashes with registrations, leaves its zone as it was; the problem is logged and
/// shown as a degradation until the file is mended. At the start such a file is an error of the configuration.
final class ZoneDirectory: Service {
    /// What tells that a file changed.
    private struct Stamp: Hashable {
        let modified: Date
        let bytes: Int
    }

    private struct State {
        var stamps: [String: Stamp] = [:]
        var zones: [String: Zone] = [:]
        /// By file, or by folder.
        var problems: [String: String] = [:]
    }

    /// How often the folder is looked at.
    private static let pause: Duration = .seconds(2)

    private let path: String
    private let view: DNSView
    private let logger: Logger
    private let state = Mutex(State())

    init(path: String, view: DNSView, logger: Logger) {
        self.path = path
        self.view = view
        self.logger = logger
    }

    /// What is wrong with the files now.
    var problems: [String] { state.withLock { $0.problems.sorted { $0.key < $1.key }.map(\.value) } }

    /// Zones that are served.
    var count: Int { state.withLock { $0.zones.count } }

    /// Reads all files; the first problem is an error.
    func loadFirst() throws(UserError) {
        let stamps = try Self.stamps(path)
        let zones = try Self.readAll(path, files: stamps.keys.sorted())
        for (file, zone) in zones { tell(zone, file) }
        state.withLock { $0 = State(stamps: stamps, zones: zones) }
        publish()
    }

    /// Reads all files as the start would, and keeps nothing.
    static func check(_ path: String) throws(UserError) -> Int {
        try readAll(path, files: stamps(path).keys.sorted()).count
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while (try? await Task.sleep(for: Self.pause)) != nil { self.reload(all: false) }
        }
    }

    /// Reads what changed since it was read last, or all files.
    func reload(all: Bool) {
        let stamps: [String: Stamp]
        do {
            stamps = try Self.stamps(path)
        } catch {
            // The folder may come back; what was loaded is served on.
            note(path, "\(error.what): \(error.why)")
            return
        }
        let old = state.withLock { state in
            state.problems[path] = nil
            return state
        }
        guard all || stamps != old.stamps else { return }
        let doubtful = stamps.keys.filter { all || old.stamps[$0] != stamps[$0] }.sorted()
        state.withLock { state in
            state.stamps = stamps
            state.zones = state.zones.filter { stamps[$0.key] != nil }
            state.problems = state.problems.filter { stamps[$0.key] != nil }
        }
        for file in doubtful { reload(file) }
        publish()
        let (count, broken) = state.withLock { ($0.zones.count, $0.problems.count) }
        logger.notice("zones read", metadata: ["zones": "\(count)", "broken": "\(broken)"])
    }

    private func reload(_ file: String) {
        let others = state.withLock { state in state.zones.filter { $0.key != file } }
        do throws(UserError) {
            let zone = try Self.read(file, beside: others)
            if let name = view.conflict(of: [zone]) {
                throw UserError(
                    what: file, why: "CNAME \(name) stands beside registered data of that name",
                    remedy: "give one of them another name")
            }
            state.withLock { state in
                state.zones[file] = zone
                state.problems[file] = nil
            }
            tell(zone, file)
        } catch {
            note(file, "\(error.what): \(error.why)")
        }
    }

    private func publish() {
        view.setZones(state.withLock { $0.zones }.sorted { $0.key < $1.key }.map(\.value))
    }

    private func tell(_ zone: Zone, _ file: String) {
        for warning in zone.warnings { logger.warning("\(warning)") }
        logger.info(
            "zone loaded", metadata: ["zone": "\(zone.origin)", "serial": "\(zone.soa.serial)", "file": "\(file)"])
    }

    /// Keeps a problem, and logs it unless it is the same as before.
    private func note(_ place: String, _ problem: String) {
        let (isNew, isServed) = state.withLock { state in
            (state.problems.updateValue(problem, forKey: place) != problem, state.zones[place] != nil)
        }
        guard isNew else { return }
        logger.error("\(problem); \(isServed ? "the zone is served as it was" : "nothing of it is served")")
    }

    // MARK: Files

    /// The `*.zone` files of a folder.
    private static func stamps(_ path: String) throws(UserError) -> [String: Stamp] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw UserError(
                what: "--zones \(path)", why: TextFile.reason(of: error),
                remedy: "name a folder that this user may read")
        }
        var stamps: [String: Stamp] = [:]
        for name in names where name.hasSuffix(".zone") {
            let file = path.hasSuffix("/") ? path + name : path + "/" + name
            // A file that goes away in between is none.
            guard let attributes = try? FileManager.default.attributesOfItem(atPath: file) else { continue }
            stamps[file] = Stamp(
                modified: attributes[.modificationDate] as? Date ?? .distantPast, bytes: attributes[.size] as? Int ?? 0)
        }
        return stamps
    }

    private static func readAll(_ path: String, files: [String]) throws(UserError) -> [String: Zone] {
        var zones: [String: Zone] = [:]
        for file in files { zones[file] = try read(file, beside: zones) }
        return zones
    }

    private static func read(_ file: String, beside others: [String: Zone]) throws(UserError) -> Zone {
        let octets: [UInt8]
        do {
            octets = try TextFile.read(file, maxBytes: ZoneFileParser.fileOctetsMax)
        } catch {
            throw UserError(what: file, why: error.why, remedy: "give the file back, or take it out of the folder")
        }
        let zone: Zone
        do {
            zone = try ZoneFileParser.parse(octets, file: file)
        } catch {
            throw UserError(
                what: "\(error.file):\(error.line)",
                why: "\(error.field) is \(PlainText.quoted(error.value)), expected \(error.expected)",
                remedy: "mend the zone file, or take it out of the folder")
        }
        if let other = others.first(where: { $0.value.origin == zone.origin }) {
            throw UserError(
                what: file, why: "the zone \(zone.origin) is in \(other.key) already", remedy: "keep one of the two")
        }
        return zone
    }
}
