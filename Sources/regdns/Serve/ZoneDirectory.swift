import DNSServer
import DNSWire
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// The zone files of `--zones`: read at the start, and again when one changes or at SIGHUP.
///
/// A file that does not parse, or that clashes with registrations, leaves its zone as it was; the problem is logged and
/// shown as a degradation until the file is mended.
final class ZoneDirectory: Service {
    private struct File: Hashable {
        let modified: Date
        let size: Int
    }

    private struct State {
        var files: [String: File] = [:]
        var zones: [String: Zone] = [:]
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
    var problems: [String] { state.withLock { $0.problems.values.sorted() } }

    /// Reads all files at the start, when a broken one is an error of the configuration.
    func loadFirst() throws(UserError) {
        _ = try list()
        reload(force: true)
        if let problem = problems.first {
            throw UserError(what: "--zones", why: problem, remedy: "mend the zone file, or take it out of \(path)")
        }
    }

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in signals {
                        self.logger.notice("reloading zone files")
                        self.reload(force: true)
                    }
                }
                group.addTask {
                    while (try? await Task.sleep(for: Self.pause)) != nil { self.reload(force: false) }
                }
            }
        }
    }

    /// The `*.zone` files with what tells that they changed.
    private func list() throws(UserError) -> [String: File] {
        let manager = FileManager.default
        let names: [String]
        do {
            names = try manager.contentsOfDirectory(atPath: path)
        } catch {
            throw UserError(
                what: "--zones \(path)", why: "cannot be read: \(error.localizedDescription)",
                remedy: "name a folder that this user may read")
        }
        var files: [String: File] = [:]
        for name in names where name.hasSuffix(".zone") {
            let file = path + "/" + name
            guard let attributes = try? manager.attributesOfItem(atPath: file) else { continue }
            files[file] = File(
                modified: attributes[.modificationDate] as? Date ?? .distantPast, size: attributes[.size] as? Int ?? 0)
        }
        return files
    }

    private func reload(force: Bool) {
        let files: [String: File]
        do throws(UserError) {
            files = try list()
        } catch {
            // The folder may come back; what was loaded stays.
            note(path, "\(error.what) \(error.why)")
            return
        }
        state.withLock { state in
            state.problems[path] = nil
            guard force || files != state.files else { return }
            for gone in Set(state.zones.keys).subtracting(files.keys) { state.zones[gone] = nil }
            state.problems = state.problems.filter { files[$0.key] != nil }
            for (file, stamp) in files.sorted(by: { $0.key < $1.key }) where force || state.files[file] != stamp {
                read(file, &state)
            }
            state.files = files
            view.setZones(state.zones.sorted { $0.key < $1.key }.map(\.value))
        }
    }

    private func read(_ file: String, _ state: inout State) {
        guard let data = FileManager.default.contents(atPath: file) else {
            fail(file, "\(file): cannot be read", &state)
            return
        }
        let zone: Zone
        do throws(ZoneFileProblem) {
            zone = try ZoneFileParser.parse(Array(data), file: file)
        } catch {
            fail(file, "\(error)", &state)
            return
        }
        if let other = state.zones.first(where: { $0.key != file && $0.value.origin == zone.origin }) {
            fail(file, "\(file): zone \(zone.origin) is in \(other.key) already", &state)
            return
        }
        if let name = view.conflict(of: [zone]) {
            fail(file, "\(file): CNAME \(name) stands beside registered data of that name", &state)
            return
        }
        for warning in zone.warnings { logger.warning("\(warning)") }
        state.problems[file] = nil
        state.zones[file] = zone
        logger.info("zone loaded", metadata: ["zone": "\(zone.origin)", "serial": "\(zone.soa.serial)", "file": "\(file)"])
    }

    private func fail(_ file: String, _ problem: String, _ state: inout State) {
        state.problems[file] = problem
        let kept = state.zones[file] == nil ? "it is not served" : "the zone as it was is served on"
        logger.error("\(problem); \(kept)")
    }

    private func note(_ key: String, _ problem: String) {
        let isNew = state.withLock { state in state.problems.updateValue(problem, forKey: key) != problem }
        if isNew { logger.error("\(problem)") }
    }
}
