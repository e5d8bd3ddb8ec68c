extension StoreCore {
    /// Takes over what the sender of a repair shows and remembers, known here or not; per key the greatest version
    /// stays.
    ///
    /// Where that is this node's own, and the sender has heard of it (`heard`) and shows something older all the same,
    /// the sender has lost it. It is written anew, so that the sender hears of it once more, and is not dropped at the
    /// end of the session: neither a write nor a removal is taken back.
    mutating func repair(_ operations: [RemoteOperation], heard: CausalContext, now: Moment) -> Outcome {
        merge(operations, now: now) { core, operation in
            // Beyond the last number this node has given, an own operation is a lie.
            operation.version.origin != core.clock.origin || operation.version.sequence <= core.clock.sequence
        } settle: { core, operation, current, batch in
            guard operation.value != nil else { return }
            if let current {
                guard operation.version < current.version, heard.contains(current.version.dot) else { return }
                core.rewrite(current, over: current.version.hlc, &batch)
            } else if let tombstone = core.tombstones.find(operation.namespace, operation.key) {
                guard operation.version < tombstone.version, heard.contains(tombstone.version.dot) else { return }
                let version = core.clock.next(.delete, over: tombstone.version.hlc, unix: now.unix)
                core.tombstones.insert(
                    tombstone.namespace, tombstone.key, version, at: now.monotonic, wasLeased: tombstone.wasLeased)
            }
        }
    }
}

extension CausalContext {
    fileprivate func contains(_ dot: Dot) -> Bool { contains(origin: dot.origin, sequence: dot.sequence) }
}
