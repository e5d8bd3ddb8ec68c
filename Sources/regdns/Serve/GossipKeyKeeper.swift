import HTTPAdmin
import Logging
import Memberlist
import Replication
import Synchronization

/// Keeps the keys in use and the key file alike: what is changed over HTTP is written to the file, what the file has at
/// SIGHUP is used. One change at a time.
final class GossipKeyKeeper: Sendable {
    private struct State {
        /// Of the key file, as it was read or written last.
        var fileKeys: [GossipKey]
        var isBusy = false
    }

    private let settings: GossipKeys
    private let state: Mutex<State>

    init(_ settings: GossipKeys) {
        self.settings = settings
        state = Mutex(State(fileKeys: settings.fromFile))
    }

    // MARK: Turns

    /// Takes the turn to change keys; `end` gives it back.
    ///
    /// - Returns: false while somebody else has it.
    func begin() -> Bool {
        state.withLock { state in
            defer { state.isBusy = true }
            return !state.isBusy
        }
    }

    func end() { state.withLock { $0.isBusy = false } }

    // MARK: Keeping

    /// Writes the keys of a chain to the file, before they are used. Does nothing without a file.
    ///
    /// - Throws: why that cannot be; then the keys must not change either.
    func keep(_ chain: KeyChain) throws(UserError) {
        guard let file = settings.file else { return }
        let known = state.withLock { $0.fileKeys }
        let wanted = chain.plainKeys.filter { !settings.given.contains($0) }
        guard wanted != known else { return }
        guard !wanted.isEmpty else {
            throw UserError(
                what: file.place, why: "this is its last key, and a file without keys cannot be read",
                remedy: "install and use another one first, or leave the file out")
        }
        try file.write(wanted, known: known)
        state.withLock { $0.fileKeys = wanted }
    }

    /// What a restart would forget of the keys in use, and what to do; nil for nothing.
    func loss(of chain: KeyChain) -> String? {
        let fileKeys = state.withLock { $0.fileKeys }
        let kept = settings.given + fileKeys
        let first: GossipKey? = if case .key(let key)? = chain.sources.first { key } else { nil }
        guard Set(kept) != Set(chain.plainKeys) || kept.first != first && !kept.isEmpty else { return nil }
        switch (settings.file, settings.givenPlace) {
        case (nil, nil): return "the key is written nowhere: a restart forgets it; use --gossip-key-file"
        case (nil, let place?):
            return "a restart begins with the keys of \(place) again: change it as well, or use --gossip-key-file"
        case (let file?, nil): return "\(file.path) has other keys, with which a restart begins: send SIGHUP"
        case (let file?, let place?):
            return "a restart begins with the keys of \(place), which come before those of \(file.path): "
                + "change it as well"
        }
    }

    /// What the file asks for since it was read or written last; nothing when it is as it was. `took` when it is done.
    ///
    /// - Throws: for a file that is broken.
    func news() throws(UserError) -> (changes: [KeyChain.Change], keys: [GossipKey]) {
        guard let file = settings.file else { return ([], []) }
        let new = try file.read().keys
        return (settings.changes(from: state.withLock { $0.fileKeys }, to: new), new)
    }

    func took(_ keys: [GossipKey]) { state.withLock { $0.fileKeys = keys } }
}

extension KeyChain {
    /// Those that are no passphrase's, in order.
    var plainKeys: [GossipKey] {
        sources.compactMap { if case .key(let key) = $0 { key } else { nil } }
    }
}

extension GossipService {
    /// One step of a rotation by hand: into the file first, then into use.
    func change(_ change: KeyChain.Change) async throws(ClusterError) {
        var chain = try await node.ask { node throws(GossipNodeError) in try await node.keys() }
        do throws(KeyRingError) {
            try chain.apply(change)
        } catch {
            throw ClusterError(.keys(error))
        }
        do throws(UserError) {
            try keyKeeper.keep(chain)
        } catch {
            throw .refused("\(error.what): \(error.why); \(error.remedy)")
        }
        try await node.ask { node throws(GossipNodeError) in try await node.change(change) }
        logger.notice(
            "gossip keys changed",
            metadata: [
                "keys": "\(chain.plainKeys.map(\.fingerprint))", "loss": "\(keyKeeper.loss(of: chain) ?? "none")",
            ])
    }

    /// Reads the key file again. One that is as it was changes nothing; one that is broken changes nothing either.
    func reloadKeys() async {
        while !keyKeeper.begin() {
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
        defer { keyKeeper.end() }
        do {
            let (changes, keys) = try keyKeeper.news()
            guard !changes.isEmpty else { return }
            for change in changes { try await node.change(change) }
            keyKeeper.took(keys)
            logger.notice("gossip keys read", metadata: ["keys": "\(keys.map(\.fingerprint))"])
            try await tellTags()
        } catch let error as UserError {
            logger.error("\(error.what): \(error.why); the keys read before stay in use")
        } catch {
            logger.error("the gossip keys of the file could not be used", metadata: ["error": "\(error)"])
        }
    }
}
