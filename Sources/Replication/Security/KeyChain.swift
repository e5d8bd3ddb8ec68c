package import Memberlist

/// The keys of a node in order of use: the first one seals, all of them open.
package struct KeyChain: Hashable, Sendable {
    /// A key as it is, or a passphrase, whose key depends on the epoch.
    package enum Source: Hashable, Sendable {
        case key(GossipKey)
        case passphrase(PassphraseKey)
    }

    /// One step of a rotation.
    package enum Change: Hashable, Sendable {
        /// Takes it for opening.
        case install(Source)
        /// Seals with an installed one from now on.
        case use(Source)
        case remove(Source)
        /// Follows the cluster to an epoch.
        case advance(epoch: UInt32)
    }

    package private(set) var sources: [Source] = []
    /// The number that passphrases' keys are derived with.
    package private(set) var epoch: UInt32 = 0

    /// Without any: nothing is sealed.
    package init(_ sources: [Source] = [], epoch: UInt32 = 0) {
        for source in sources where !self.sources.contains(source) { self.sources.append(source) }
        self.epoch = epoch
    }

    package init(keys: [GossipKey]) { self.init(keys.map(Source.key)) }

    package var isEmpty: Bool { sources.isEmpty }

    /// Every key, the one that seals first. Of a passphrase the keys of this epoch, of the next one and of the one
    /// before, so that nodes which hear of a new epoch at different times understand each other.
    package var ring: KeyRing {
        KeyRing(
            sources.flatMap { source in
                switch source {
                case .key(let key): [key]
                case .passphrase(let passphrase): epochs.map { passphrase.key(epoch: $0) }
                }
            })
    }

    private var epochs: [UInt32] {
        [epoch] + (epoch < .max ? [epoch + 1] : []) + (epoch > 0 ? [epoch - 1] : [])
    }

    /// When it throws, nothing has changed.
    package mutating func apply(_ change: Change) throws(KeyRingError) {
        switch change {
        case .install(let source): try install(source)
        case .use(let source): try use(source)
        case .remove(let source): try remove(source)
        case .advance(let epoch): advance(to: epoch)
        }
    }

    /// Follows the cluster to an epoch; an older one than the present is ignored.
    package mutating func advance(to epoch: UInt32) { self.epoch = max(epoch, self.epoch) }

    /// Takes a key, or a passphrase, for opening. The first one of an empty chain seals.
    package mutating func install(_ source: Source) throws(KeyRingError) {
        guard !sources.contains(source) else { return }
        var longer = self
        longer.sources.append(source)
        // Every key of it must fit, or some epoch could not be opened.
        let wanted = longer.sources.reduce(0) { count, source in
            if case .key = source { count + 1 } else { count + 3 }
        }
        guard wanted <= KeyRing.maxKeys else { throw .full(limit: KeyRing.maxKeys) }
        self = longer
    }

    /// Seals with an installed one from now on.
    package mutating func use(_ source: Source) throws(KeyRingError) {
        guard let place = sources.firstIndex(of: source) else { throw .unknownKey }
        sources.insert(sources.remove(at: place), at: 0)
    }

    package mutating func remove(_ source: Source) throws(KeyRingError) {
        guard let place = sources.firstIndex(of: source) else { throw .unknownKey }
        guard place > 0 else { throw .isPrimary }
        sources.remove(at: place)
    }
}
