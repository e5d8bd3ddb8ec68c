import HTTPAdmin
import Memberlist
import RegistryStore
import Replication

/// What the data part answers to the cluster door.
protocol ReplicationControl: Sendable {
    func sync() async throws(ClusterError) -> ClusterSync
    func verify() async throws(ClusterError) -> ClusterVerification
    func preserves() async throws(ClusterError) -> Bool
    func preserve(_ isOn: Bool) async throws(ClusterError)
}

/// The cluster as its door sees it.
struct GossipControl: ClusterControl {
    let service: GossipService
    let data: any ReplicationControl

    private var node: GossipNode { service.node }

    // MARK: Members

    func members() async throws(ClusterError) -> [ClusterMember] {
        let view = try await view()
        return view.members.map { member in
            var shown = ClusterMember(member, now: view.now, unixNow: service.clock.unixMilliseconds())
            shown.isSelf = member.name == node.name
            shown.roundTripMilliseconds = view.roundTrips[member.name].map { Double($0) / 1_000 }
            return shown
        }
    }

    func join(_ addresses: [String]) async throws(ClusterError) -> ClusterJoin {
        var targets: [GossipAddress] = []
        for text in addresses {
            // What is no address and what has none are one to who asks.
            let found = try? await service.lookup.addresses(of: try Seed(text))
            guard let found, !found.isEmpty else {
                throw .invalid(
                    field: "addresses", value: text, expected: "HOST:PORT, where the host has an address")
            }
            targets += found.filter { !targets.contains($0) }
        }
        let dialled = targets
        let wasHere = service.phase == .here
        let joined =
            wasHere
            ? try await ask { node throws(GossipNodeError) in try await node.join(dialled) }
            : try await service.comeBack(by: dialled)
        return ClusterJoin(
            dialled: dialled.count, joined: joined.sorted().map(\.description),
            isMember: wasHere || !joined.isEmpty)
    }

    func leave() async throws(ClusterError) { try await service.leave() }

    func forceLeave(_ name: String) async throws(ClusterError) {
        guard service.phase == .here else { throw .left }
        let name = NodeName(name)
        let view = try await view()
        guard let member = view.members.first(where: { $0.name == name }) else { throw .unknownMember("\(name)") }
        guard member.state == .dead || member.state == .left else {
            throw .refused("\(name) is \(member.state); only a dead member can be given up")
        }
        try await ask { node throws(GossipNodeError) in try await node.forceLeave(name) }
    }

    func events() async throws(ClusterError) -> any AsyncSequence<ClusterEvent, Never> & Sendable {
        let clock = service.clock
        let events = try await ask { node throws(GossipNodeError) in try await node.events() }
        return events.compactMap { event in
            ClusterEvent(event, now: clock.monotonicMilliseconds(), unixNow: clock.unixMilliseconds())
        }
    }

    // MARK: Keys

    func keys() async throws(ClusterError) -> ClusterKeys {
        let chain = try await view().keys
        let keys = chain.sources.enumerated().map { place, source in
            let kind: ClusterKeys.Key.Kind = if case .key = source { .key } else { .passphrase }
            return ClusterKeys.Key(
                kind: kind, fingerprint: KeyChain.fingerprint(of: source), isPrimary: place == 0)
        }
        return ClusterKeys(keys: keys, epoch: chain.epoch, loss: service.keyKeeper.loss(of: chain))
    }

    /// Each step waits for the one before to be done everywhere, or members would not understand each other.
    func changeKeys(_ change: ClusterKeyChange) async throws(ClusterError) {
        guard service.keyKeeper.begin() else {
            throw .unavailable("the keys are being changed; ask again in some seconds")
        }
        defer { service.keyKeeper.end() }
        let view = try await view()
        guard !view.keys.isEmpty else {
            throw .refused("nothing is encrypted; restart all nodes with --gossip-key to begin with it")
        }
        switch change {
        case .install(let octets): try await service.change(.install(source(octets)))
        case .use(let octets):
            let source = try source(octets)
            let short = GossipTags.short(KeyChain.fingerprint(of: source))
            if let late = service.peers(view).first(where: { !$0.tags.keys.contains(short) }) {
                throw .refused("\(late.member.name) has not installed the key, as far as is known here")
            }
            try await service.change(.use(source))
        case .remove(let octets):
            let source = try source(octets)
            let short = GossipTags.short(KeyChain.fingerprint(of: source))
            if let late = service.peers(view).first(where: { $0.tags.keys.first == short }) {
                throw .refused("\(late.member.name) encrypts with the key, as far as is known here")
            }
            try await service.change(.remove(source))
        }
        try await ask { _ throws(GossipNodeError) in try await service.tellTags() }
    }

    func rotateKeys() async throws(ClusterError) -> UInt32 {
        let view = try await view()
        guard case .passphrase? = view.keys.sources.first else {
            throw .refused("the key in use is not made from a passphrase; install another one, use it, remove the old")
        }
        let epoch = view.keys.epoch
        guard epoch < .max else { throw .refused("there is no epoch after \(epoch)") }
        if let late = service.peers(view).first(where: { $0.tags.epoch != epoch }) {
            throw .refused("\(late.member.name) is not known to be at epoch \(epoch)")
        }
        try await ask { _ throws(GossipNodeError) in
            try await service.advance(to: epoch + 1)
            try await service.tellTags()
        }
        return epoch + 1
    }

    private func source(_ octets: [UInt8]) throws(ClusterError) -> KeyChain.Source {
        guard let key = GossipKey(octets: octets) else {
            throw .invalid(field: "key", value: nil, expected: "16, 24 or 32 octets in base64")
        }
        return .key(key)
    }

    // MARK: Data

    func sync() async throws(ClusterError) -> ClusterSync {
        var sync = try await data.sync()
        let view = try await view()
        sync.queues += [("gossip_messages", view.queue.messages), ("gossip_user_messages", view.userQueue.messages)]
        return sync
    }

    func verify() async throws(ClusterError) -> ClusterVerification { try await data.verify() }
    func preserves() async throws(ClusterError) -> Bool { try await data.preserves() }
    func preserve(_ isOn: Bool) async throws(ClusterError) { try await data.preserve(isOn) }

    // MARK: The node

    private func view() async throws(ClusterError) -> GossipView {
        try await ask { node throws(GossipNodeError) in try await node.view() }
    }

    private func ask<Value: Sendable>(
        _ question: (GossipNode) async throws(GossipNodeError) -> Value
    ) async throws(ClusterError) -> Value {
        try await node.ask(question)
    }
}

extension GossipNode {
    /// Asks it, with its errors in the words of the cluster door.
    func ask<Value: Sendable>(
        _ question: (GossipNode) async throws(GossipNodeError) -> Value
    ) async throws(ClusterError) -> Value {
        do throws(GossipNodeError) {
            return try await question(self)
        } catch {
            throw ClusterError(error)
        }
    }
}

extension ClusterError {
    init(_ error: GossipNodeError) {
        switch error {
        case .stopped: self = .unavailable("the server is being stopped")
        case .unknownMember(let name): self = .unknownMember("\(name)")
        case .busy, .timedOut: self = .unavailable("\(error)")
        default: self = .refused("\(error)")
        }
    }
}

extension ClusterMember {
    /// - Parameters:
    ///   - now: on the clock of `Member.since`.
    ///   - unixNow: the same moment, since 1970.
    init(_ member: Member, now: Milliseconds, unixNow: Milliseconds) {
        let state: State =
            switch member.state {
            case .alive: .alive
            case .suspect: .suspect
            case .dead: .dead
            case .left: .left
            }
        self.init(
            name: "\(member.name)", address: "\(member.address)", state: state,
            sinceUnixMilliseconds: unixNow - max(now - member.since, 0), incarnation: member.incarnation)
        let peer = PeerTags(member)
        guard let tags = peer.tags else {
            let hex = member.meta.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
            opaqueMetadata = hex.joined()
            return
        }
        role = tags["role"] ?? ""
        self.tags = tags.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        guard peer.isRegdns else { return }
        version = peer.version
        isReady = state == .alive || state == .suspect ? peer.isReady : false
    }
}

extension ClusterEvent {
    /// Nil for what says nothing of the membership.
    init?(_ event: GossipEvent, now: Milliseconds, unixNow: Milliseconds) {
        func of(_ name: String, _ member: Member, _ detail: String = "") -> ClusterEvent {
            ClusterEvent(
                name: name, member: ClusterMember(member, now: now, unixNow: unixNow), node: "\(member.name)",
                detail: detail)
        }
        switch event {
        case .joined(let member): self = of("joined", member)
        case .updated(let member): self = of("updated", member)
        case .left(let member): self = of("left", member)
        case .failed(let member): self = of("failed", member)
        case .suspected(let name, let accuser):
            self.init(name: "suspected", node: "\(name)", detail: "by \(accuser)")
        case .conflict(let member, let other): self = of("conflict", member, "\(other) has the name, too")
        case .refuted(let incarnation): self.init(name: "refuted", node: "", detail: "incarnation \(incarnation)")
        case .answersByStreamOnly(let name): self.init(name: "answers-by-stream-only", node: "\(name)")
        case .mergeRefused(let clash): self.init(name: "merge-refused", node: "\(clash.name)")
        case .incarnationRefused, .userMessage, .userState, .ackPayload, .joinAnswered, .leaveDone: return nil
        }
    }
}
