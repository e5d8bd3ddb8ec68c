/// Under which id the HTTP dialects show an entry. It follows from the entries that are there, whatever the order in
/// which they came, so that all nodes agree, and a node with itself after a restart.
///
/// The id that a value names is a *claim*. Of the entries that claim an id the one that was written last has it: the
/// greatest version, in a mirror the greatest mod revision. What has no claim, or lost it, is shown by its key: by
/// `KeyID.short` unless somebody claims that, else by `KeyID.long`, which nobody can claim. Two keys with one short
/// form are told apart as two claims are. An id that becomes free goes to the next one in that order.
extension StoreCore {
    /// The identity that an entry will have; nil when it is the one that its value names, or when it has none.
    ///
    /// - Parameter previous: the key's entry before, whose identity is taken over where the key alone makes it.
    func identity(
        of content: Content, key: [UInt8], version: Version, modRevision: Int64, over previous: Entry?,
        in index: NamespaceIndex
    ) -> InstanceIdentity? {
        guard case .service(let registration) = content else { return nil }
        if registration.instance == nil, let identity = previous?.identityOfKeyAlone { return identity }
        let order = index.claimOrder(key: key, version: version, modRevision: modRevision)
        if let claim = registration.claimedID, index.mayTake(claim, isClaim: true, order, key: key) { return nil }
        let short = KeyID.short(key)
        let id = index.mayTake(short, isClaim: false, order, key: key) ? short : KeyID.long(key)
        if let instance = registration.instance {
            return InstanceIdentity(service: instance.service, id: id, tags: instance.tags)
        }
        return layout.identity(ofKey: key).map { InstanceIdentity(service: $0.service, id: id, tags: $0.tags) }
    }

    /// Puts `current` in the place of `previous` within a batch, after another entry that has its id has given it up.
    /// Either may be nil.
    mutating func replace(
        _ previous: Entry?, by current: Entry?, in index: NamespaceIndex, _ batch: inout Batch
    ) {
        if let current, let id = current.indexedID, let holder = index.find(id: id), holder.key != current.key {
            // At most as often as there are kinds of ids: who gives one up gets one of the next kind.
            reshow(holder, without: id, in: index, &batch)
        }
        swap(previous, for: current, in: index)
        if let previous, let lease = previous.lease, lease != current?.lease, leases.isShared(previous.deadlineSlot),
            leases.owner(previous.deadlineSlot).isEmpty
        {
            batch.left.append(previous.deadlineSlot)
        }
        if let id = previous?.indexedID, index.firstWaiting(for: id) != nil {
            batch.freed.append((index.namespace, id))
        }
    }

    /// Gives ids that became free within a batch to those whose turn it is.
    mutating func settleIDs(_ batch: inout Batch) {
        while let (namespace, id) = batch.freed.popLast() {
            guard let index = namespaces[namespace], let next = index.firstWaiting(for: id) else { continue }
            let order = index.claimOrder(key: next.key, version: next.version, modRevision: next.modRevision)
            if index.mayTake(id, isClaim: next.claims(id), order, key: next.key) {
                reshow(next, without: nil, in: index, &batch)
            }
        }
    }

    /// Shows an entry under the id that is its due now. Everything else stays, its version included.
    ///
    /// - Parameter lost: an id that it has and that another one takes.
    private mutating func reshow(
        _ entry: Entry, without lost: String?, in index: NamespaceIndex, _ batch: inout Batch
    ) {
        let identity: InstanceIdentity?
        if let lost {
            identity = self.identity(of: entry, after: lost, in: index)
        } else {
            identity = self.identity(
                of: entry.content, key: entry.key, version: entry.version, modRevision: entry.modRevision, over: nil,
                in: index)
        }
        let current = Entry(
            namespace: entry.namespace, key: entry.key, content: entry.content, storedValue: entry.storedValue,
            lease: entry.lease, deadlineSlot: entry.deadlineSlot, version: entry.version,
            createRevision: entry.createRevision, modRevision: entry.modRevision, putCount: entry.putCount,
            registeredAt: entry.registeredAt, derivedIdentity: identity)
        replace(entry, by: current, in: index, &batch)
        batch.changes.append(
            Change(
                kind: .write, previous: entry, current: current, contentChanged: true, version: entry.version,
                isRenewal: true))
    }

    /// The identity of an entry that loses an id.
    private func identity(of entry: Entry, after lost: String, in index: NamespaceIndex) -> InstanceIdentity? {
        guard let identity = entry.identity else { return nil }
        var id = KeyID.long(entry.key)
        if entry.claims(lost) {
            let short = KeyID.short(entry.key)
            let order = index.claimOrder(key: entry.key, version: entry.version, modRevision: entry.modRevision)
            // A claim to its own short form that is lost is lost for good.
            if !ByteOrder.same(short, lost), index.mayTake(short, isClaim: false, order, key: entry.key) { id = short }
        }
        return InstanceIdentity(service: identity.service, id: id, tags: identity.tags)
    }
}

/// Ids made of keys.
enum KeyID {
    private static let shortDigits = 16
    private static let longPrefix = "key:"
    private static let longDigits = 64

    /// The first digits of the key's SHA-256.
    static func short(_ key: [UInt8]) -> String { SHA256.hex(key, digits: shortDigits) }

    /// All digits, marked so that nobody can have registered it.
    static func long(_ key: [UInt8]) -> String { longPrefix + SHA256.hex(key, digits: longDigits) }

    static func isShort(_ id: String) -> Bool { id.utf8.count == shortDigits }

    /// Whether an id has the form of the long ones, which is no claim.
    static func isLong(_ id: String) -> Bool {
        id.utf8.count == longPrefix.utf8.count + longDigits && id.utf8.starts(with: longPrefix.utf8)
    }
}

extension Registration {
    /// The id that it names.
    var claimedID: String? {
        guard let id = instance?.id, !id.isEmpty, !KeyID.isLong(id) else { return nil }
        return id
    }
}

extension Entry {
    /// Whether its value names this id.
    func claims(_ id: String) -> Bool { registration?.claimedID.map { ByteOrder.same($0, id) } ?? false }

    /// The ids that it would be shown under if others did not have them.
    var missedIDs: [(id: String, isClaim: Bool)] {
        guard let shown = derivedIdentity?.id else { return [] }
        var missed: [(id: String, isClaim: Bool)] = []
        if let claim = registration?.claimedID { missed.append((claim, true)) }
        if KeyID.isLong(shown) { missed.append((KeyID.short(key), false)) }
        return missed
    }

    /// The identity when nothing but the key made it and it is the first choice.
    fileprivate var identityOfKeyAlone: InstanceIdentity? {
        guard registration != nil, instance == nil, let derivedIdentity, KeyID.isShort(derivedIdentity.id) else {
            return nil
        }
        return derivedIdentity
    }
}
