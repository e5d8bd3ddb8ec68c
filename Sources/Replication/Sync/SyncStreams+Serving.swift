import RegistryStore

extension SyncStreams {
    /// Serves a peer's stream: answers its hello, gives what it asks for, and returns when it has closed. To be called
    /// by `GossipApplication.serve`.
    package func serve(_ stream: GossipStream) async {
        do {
            guard let node = try beginStream() else { return }
            defer { endStream() }
            let watch = SyncWatch(settings, environment)
            try await watch.run { [self] in try await answer(stream, of: node, watch) }
        } catch {
            note(SyncFailure(error), peer: stream.peer)
        }
    }

    private func answer(_ stream: GossipStream, of node: GossipNode, _ watch: SyncWatch) async throws {
        let hello = try SyncGreeting.read(stream.first)
        let isSealed = !hello.publicKey.isEmpty
        if !isSealed, node.verifiesIncoming, try await !node.keys().isEmpty { throw SyncFailure.plainRefused }
        let greeting = greeting(isSealed: isSealed)
        let ciphers = try greeting.agree(with: stream.first, isDialler: false, label: node.label)
        try await stream.answer(greeting.bytes)
        let link = link(stream, ciphers, messageMax: settings.wantBytes, watch)
        // A place for a session is taken with the want, which only the one who made the hello can protect.
        while let frame = try await link.receive() {
            guard case .want(let want) = frame.body else { throw SyncFailure.unexpected(frame.name) }
            try await give(want, isRepair: frame.extensions.contains(.repair), over: link)
        }
    }

    /// One session. Each page is made when the stream has room for it.
    private func give(_ want: WantFrame, isRepair: Bool, over link: SyncLink) async throws {
        guard let context = CausalContext(checking: want.context, limits: registry.limits) else {
            throw SyncFailure.badContext
        }
        if let bye = beginSession() { return try await link.send(Frame(.bye(bye))) }
        let start = environment.clock.monotonicMilliseconds()
        var end: SyncEnd?
        defer {
            endSession(after: environment.clock.monotonicMilliseconds() &- start) { side in
                switch end {
                case .complete: side.completed += 1
                case .void: side.void += 1
                case nil: side.aborted += 1
                }
            }
        }
        var source = registry.openSync(to: context, isRepair: isRepair)
        while let page = registry.nextPage(
            of: &source, operationsMax: settings.pageOperations, bytesMax: settings.pageBytes)
        {
            try await link.send(Frame(.page(session: want.session, page)))
            end = page.end
            count { counters in
                counters.served.pages += 1
                counters.served.operations += page.operations.count
                counters.served.resets += page.opening?.context != nil ? 1 : 0
                if case .repair = page.opening { counters.served.repairs += 1 }
            }
        }
    }
}
