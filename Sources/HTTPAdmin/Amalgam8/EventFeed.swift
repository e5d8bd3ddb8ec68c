import HTTPTypes
package import RegistryStore

/// `GET /api/v1/events`: the change feed as server-sent events.
///
/// `id:` is the store's revision of the batch, on its last event only, so that a client cut off within a batch gets the
/// batch again when it resumes with `Last-Event-ID`. A client that is too far behind, or ahead because the node was
/// restarted, gets one `compacted` event: it must list again, and goes on from the revision told there. Streams are
/// bounded; each reads the store's feed at its own pace, so a slow client costs no buffer.
package struct EventFeed: Sendable {
    package struct Settings: Sendable {
        /// Open streams at most; more are answered 503.
        package var streams = 256
        /// A comment is sent when nothing else was for so long.
        package var heartbeat: Duration = .seconds(15)
        /// Batches read from the store at once.
        package var batches = 256
        package init() {}
    }

    private let registry: Registry
    private let counters: HTTPCounters
    private let settings: Settings

    package init(registry: Registry, counters: HTTPCounters, settings: Settings = Settings()) {
        self.registry = registry
        self.counters = counters
        self.settings = settings
    }

    func answer(_ invocation: Invocation) throws(APIError) -> HTTPAnswer {
        let service = try Self.service(invocation.call.query)
        var revision = registry.revision
        var isResumed = false
        if let text = invocation.call.headers[.lastEventID], !text.isEmpty {
            guard let last = Int64(text), last >= 0 else {
                throw APIError(
                    .badRequest, "Malformed Last-Event-ID",
                    detail: "Last-Event-ID: expected a revision, got \"\(text)\"")
            }
            revision = last
            isResumed = true
        }
        let place = try StreamPlace(counters, bound: settings.streams)
        let (start, resumed) = (revision, isResumed)
        return HTTPAnswer(
            status: .ok,
            headers: EventText.headers,
            body: .stream { send in
                try await run(invocation.namespace, service, from: start, isResumed: resumed, send: send)
                _ = place
            })
    }

    private func run(
        _ namespace: Namespace, _ service: String?, from start: Int64, isResumed: Bool, send: HTTPAnswer.Send
    ) async throws {
        var revision = start
        if !isResumed { try await send(EventText.event("ready", id: revision) { $0.member("revision", revision) }) }
        var lastSent = ContinuousClock.now
        while !Task.isCancelled {
            var text: [UInt8] = []
            if let batches = try? registry.changes(after: revision, limit: settings.batches) {
                for batch in batches {
                    text += events(of: batch, namespace, service)
                    revision = batch.revision
                }
                if batches.isEmpty { await waitForChange(after: revision, since: lastSent) }
            } else {
                revision = registry.revision
                text = EventText.event("compacted", id: revision) { $0.member("revision", revision) }
            }
            if text.isEmpty, ContinuousClock.now - lastSent >= settings.heartbeat {
                // Also moves the client's id past changes that it does not see.
                text = Array("id: \(revision)\n: heartbeat\n\n".utf8)
            }
            guard !text.isEmpty else { continue }
            try await send(text)
            lastSent = .now
        }
    }

    /// Returns at the next change or when a heartbeat is due.
    private func waitForChange(after revision: Int64, since lastSent: ContinuousClock.Instant) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do throws(RegistryError) {
                    _ = try await registry.waitForChange(after: revision)
                } catch {
                    // Too many wait: look again at the next heartbeat instead.
                    try? await Task.sleep(for: settings.heartbeat)
                }
            }
            group.addTask { try? await Task.sleep(until: lastSent + settings.heartbeat) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: Text

    private func events(of batch: ChangeBatch, _ namespace: Namespace, _ service: String?) -> [UInt8] {
        let visible = batch.changes.compactMap { change -> (String, InstanceView)? in
            guard change.namespace == namespace, change.contentChanged else { return nil }
            guard let (kind, instance) = describe(change) else { return nil }
            return service.map(instance.service.isExactly) ?? true ? (kind, instance) : nil
        }
        var text: [UInt8] = []
        for (index, (kind, instance)) in visible.enumerated() {
            let id = index == visible.count - 1 ? batch.revision : nil
            text += EventText.event(kind, id: id) { json in
                json.member("revision", batch.revision)
                json.name("instance")
                instance.write(.standard, into: &json)
            }
        }
        return text
    }

    /// What a change means to the dialects, where keys that are no services do not exist.
    private func describe(_ change: Change) -> (String, InstanceView)? {
        let before = change.previous.flatMap { InstanceView($0, in: registry) }
        let after = change.current.flatMap { InstanceView($0, in: registry) }
        if let after { return (before == nil ? "registered" : "updated", after) }
        return before.map { (change.kind == .expiry ? "expired" : "deregistered", $0) }
    }

    private static func service(_ query: String?) throws(APIError) -> String? {
        guard let query, !query.isEmpty else { return nil }
        guard let items = URLText.queryItems(query), items.allSatisfy({ $0.name == "service_name" }) else {
            throw APIError(
                .badRequest, "Malformed or invalid instance selection criteria",
                detail: "query: only service_name is understood here")
        }
        return items.first?.value
    }
}
