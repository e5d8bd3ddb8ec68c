package import Logging
package import Memberlist

/// Where to look for the cluster.
package struct JoinSettings: Sendable {
    /// Asked at the start; those with names, again while nobody is there.
    package var seeds: [Seed] = []
    /// Names with SRV records, or with addresses.
    package var names: [Seed] = []
    package var directory: MemberDirectory?
    package var candidates: CandidateFile?

    package init() {}
}

/// Finds the cluster and keeps finding it: what seeds, DNS, a shared directory and the last run know is joined. The
/// core calls those again that it knows and that are missing.
package actor GossipJoiner {
    /// Between questions for names while nobody is there, and otherwise.
    static let namesWhileAlone: Milliseconds = 30_000
    static let namesOtherwise: Milliseconds = 300_000
    static let saveInterval: Milliseconds = 5_000
    /// Addresses that are dialled at a time.
    static let addressesMax = 64
    /// How often the same absent address is dialled from here; the core does so on its own.
    static let retry: Milliseconds = 30_000
    private static let triedMax = 1_024

    private let node: GossipNode
    private let settings: JoinSettings
    private let lookup: NameLookup
    private let clock: @Sendable () -> Milliseconds
    private let wallClock: @Sendable () -> Milliseconds
    private let logger: Logger

    private var hasStarted = false
    private var nextNames: Milliseconds = 0
    private var nextScan: Milliseconds = 0
    private var nextRewrite: Milliseconds = 0
    private var nextSave: Milliseconds = 0
    private var saved: [GossipAddress] = []
    /// When an address was dialled last.
    private var tried: [GossipAddress: Milliseconds] = [:]

    /// - Parameters:
    ///   - clock: milliseconds that never go back.
    ///   - wallClock: milliseconds since 1970, for the shared directory.
    package init(
        _ node: GossipNode, _ settings: JoinSettings, lookup: NameLookup,
        clock: @escaping @Sendable () -> Milliseconds, wallClock: @escaping @Sendable () -> Milliseconds,
        logger: Logger
    ) {
        self.node = node
        self.settings = settings
        self.lookup = lookup
        self.clock = clock
        self.wallClock = wallClock
        self.logger = logger
    }

    /// Runs until it is cancelled, or the node has been shut down; then takes this node out of the shared directory.
    package func run() async {
        while !Task.isCancelled {
            do {
                let next = try await step()
                try await Task.sleep(for: .milliseconds(max(next - clock(), 1)))
            } catch {
                break
            }
        }
        end()
    }

    /// Does what is due.
    ///
    /// - Returns: when to come again.
    /// - Throws: `stopped` when the node has been shut down.
    package func step() async throws(GossipNodeError) -> Milliseconds {
        let now = clock()
        var found: [GossipAddress] = []
        if !hasStarted {
            hasStarted = true
            found += readCandidates()
            for case .address(let address) in settings.seeds { found.append(address) }
        }
        let members = try await node.members().filter { !$0.state.isGone && $0.name != node.name }
        if nextNames <= now {
            found += await askNames()
            nextNames = now + (members.isEmpty ? Self.namesWhileAlone : Self.namesOtherwise)
        } else if members.isEmpty {
            nextNames = min(nextNames, now + Self.namesWhileAlone)
        }
        found += useDirectory(now)
        await join(found, members, now)
        try await save(now)
        var due = [nextNames]
        if settings.directory != nil { due += [nextScan, nextRewrite] }
        if settings.candidates != nil { due.append(nextSave) }
        // Within the half minute, so that it is seen when the last peer goes.
        return min(due.min() ?? now, now + Self.namesWhileAlone)
    }

    private func join(_ found: [GossipAddress], _ members: [Member], _ now: Milliseconds) async {
        let present = Set(members.map(\.address)).union([node.address])
        tried = tried.filter { now - $0.value < Self.retry }
        var wanted: [GossipAddress] = []
        for address in found where !present.contains(address) && tried[address] == nil && !wanted.contains(address) {
            guard wanted.count < Self.addressesMax, tried.count < Self.triedMax else { break }
            wanted.append(address)
            tried[address] = now
        }
        guard !wanted.isEmpty else { return }
        do {
            let merged = try await node.join(wanted)
            logger.info("joined", metadata: ["dialled": "\(wanted.count)", "answered": "\(merged.count)"])
        } catch {
            logger.debug("not joined", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Sources

    private func askNames() async -> [GossipAddress] {
        var found: [GossipAddress] = []
        for name in settings.names { found += await ask(name) { try await self.lookup.members(named: name) } }
        for seed in settings.seeds {
            if case .host = seed { found += await ask(seed) { try await self.lookup.addresses(of: seed) } }
        }
        return found
    }

    private func ask(
        _ seed: Seed, _ question: @Sendable () async throws -> [GossipAddress]
    ) async -> [GossipAddress] {
        do {
            return try await question()
        } catch {
            logger.warning("a seed has no address", metadata: ["seed": "\(seed)", "error": "\(error)"])
            return []
        }
    }

    private func useDirectory(_ now: Milliseconds) -> [GossipAddress] {
        guard let directory = settings.directory else { return [] }
        do {
            if nextRewrite <= now {
                nextRewrite = now + MemberDirectory.rewrite
                try directory.write(unixMilliseconds: wallClock())
            }
            guard nextScan <= now else { return [] }
            nextScan = now + MemberDirectory.scan
            return try directory.members(unixMilliseconds: wallClock())
        } catch {
            logger.warning("the directory of members cannot be used", metadata: ["error": "\(error)"])
            return []
        }
    }

    private func readCandidates() -> [GossipAddress] {
        do {
            return try settings.candidates?.read() ?? []
        } catch {
            logger.warning("the peers of the last run are not known", metadata: ["error": "\(error)"])
            return []
        }
    }

    private func save(_ now: Milliseconds) async throws(GossipNodeError) {
        guard let file = settings.candidates, nextSave <= now else { return }
        nextSave = now + Self.saveInterval
        let candidates = try await node.candidates()
        // A node that lost everybody remembers whom it knew.
        guard candidates != saved, !candidates.isEmpty else { return }
        do {
            try file.write(candidates)
            saved = candidates
        } catch {
            logger.warning("the known peers cannot be kept", metadata: ["error": "\(error)"])
        }
    }

    private func end() {
        do {
            try settings.directory?.remove()
        } catch {
            logger.warning("this node's file stays in the directory", metadata: ["error": "\(error)"])
        }
    }
}
