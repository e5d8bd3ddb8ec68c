import ArgumentParser
import Foundation
import NIOCore
import NIOHTTP1
import RegistryStore
import Synchronization

/// `regdns watch`: prints changes as they happen.
struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Print changes as they happen, until interrupted.",
        discussion: "After a break of the connection it goes on where it was.")

    @Argument(help: ArgumentHelp("Only changes of this service.", valueName: "SERVICE"))
    var service: String?

    @OptionGroup(title: "Server") var client: ClientOptions

    func run() async throws {
        let query = service.map { "?service_name=" + PercentEncoding.part($0) } ?? ""
        let format = client.format
        let feed = ChangeFeedReader(http: try client.api().http, path: "/api/v1/events" + query) { event in
            if let line = WatchReport.line(event, format) { StandardStreams.print(line) }
        }
        try await Interruption.run { try await feed.run() }
    }
}

/// Reads the event stream of a server, and takes it up again where it broke off.
final class ChangeFeedReader: Sendable {
    /// The server sends something every 15 seconds.
    static let silenceAllowed: Duration = .seconds(60)

    private struct State {
        var lastID: String?
        var heard = ContinuousClock.now
        var isConnected = false
    }

    private let http: HTTPClient
    private let path: String
    private let take: @Sendable (ServerSentEvent) -> Void
    private let state = Mutex(State())

    init(http: HTTPClient, path: String, take: @escaping @Sendable (ServerSentEvent) -> Void) {
        self.http = http
        self.path = path
        self.take = take
    }

    /// Reads until cancelled. Fails when the first connection fails or the server refuses; later breaks are waited out.
    func run() async throws {
        var pause: Duration = .seconds(1)
        var isFirst = true
        while !Task.isCancelled {
            state.withLock { $0.isConnected = false }
            do {
                try await connect()
            } catch let error as UserError {
                let wasConnected = state.withLock { $0.isConnected }
                if error.status != .unreachable || (isFirst && !wasConnected) { throw error }
                if wasConnected { pause = .seconds(1) }
                StandardStreams.complain("\(error), or wait: it is tried again")
            }
            isFirst = false
            guard (try? await Task.sleep(for: pause)) != nil else { return }
            pause = min(pause * 2, .seconds(30))
        }
    }

    private func connect() async throws {
        state.withLock { $0.heard = .now }
        var headers: HTTPHeaders = ["Accept": "text/event-stream"]
        if let id = state.withLock({ $0.lastID }) { headers.add(name: "Last-Event-ID", value: id) }
        let given = headers
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.read(given) }
            group.addTask { try await self.watchSilence() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func read(_ headers: HTTPHeaders) async throws(UserError) {
        try await http.stream(path, headers: headers) { head, body in
            guard head.status == .ok else {
                throw UserError(
                    .refused, what: "server \(self.http.server)",
                    why: "refuses its events (status \(head.status.code))",
                    remedy: "check --token, and that --server names the HTTP listener of a regdns server")
            }
            self.state.withLock { $0.isConnected = true }
            var parser = EventStreamParser()
            while let piece = try await body.next() {
                self.state.withLock { $0.heard = .now }
                for event in parser.feed(piece.readableBytesView) { self.take(event) }
                if let id = parser.lastID { self.state.withLock { $0.lastID = id } }
            }
        }
    }

    private func watchSilence() async throws {
        while true {
            try await Task.sleep(for: .seconds(5))
            let heard = state.withLock { $0.heard }
            if .now - heard > Self.silenceAllowed {
                throw UserError(
                    .unreachable, what: "server \(http.server)", why: "has been silent for too long",
                    remedy: "look whether it still runs")
            }
        }
    }
}

/// How `watch` prints an event.
enum WatchReport {
    /// The event's line; nil for events that say nothing to the user.
    static func line(_ event: ServerSentEvent, _ format: OutputFormat, now: Date = .now) -> String? {
        if event.name == "compacted" {
            StandardStreams.complain("regdns: watch: changes were missed; 'regdns list' shows what is registered now")
        }
        guard let json = try? JSONValue.parse(Array(event.data.utf8)) else { return nil }
        switch format {
        case .json:
            guard case .object(let members) = json else { return nil }
            return JSONValue.object([("event", .string(event.name))] + members).line
        case .table:
            guard let instance = json.member("instance").flatMap(InstanceRecord.init) else { return nil }
            let time = now.formatted(Date.ISO8601FormatStyle())
            let fields = [
                time, event.name, "\(instance.service)/\(instance.id)", instance.endpoint, instance.status,
                instance.tags.joined(separator: ","),
            ]
            return PlainText.oneLine(fields.filter { !$0.isEmpty }.joined(separator: "  "))
        }
    }
}
