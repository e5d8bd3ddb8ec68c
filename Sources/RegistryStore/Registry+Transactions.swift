import Synchronization

extension Registry {
    /// Runs steps as one batch: under one revision, each seeing what those before it did, all or nothing. When no step
    /// changes anything there is no new revision.
    package func transact(_ steps: [Step]) throws(RegistryError) -> (results: [StepResult], receipt: Receipt) {
        try perform { (core, now) throws(RegistryError) in
            let (results, outcome) = try core.transact(steps, now: now)
            return ((results, outcome.receipt), outcome)
        }
    }

    /// Entries with keys in `lower ..< upper` (nil: to the end) as they were after an earlier revision. Throws
    /// `compacted` when the changes since are not kept any more, and `futureRevision`.
    package func range(
        namespace: Namespace, lower: [UInt8], upper: [UInt8]?, limit: Int = .max, at revision: Int64
    ) throws(RegistryError) -> RangeResult {
        try state.withLock { (state) throws(RegistryError) in
            try state.core.range(namespace, lower: lower, upper: upper, limit: limit, at: revision)
        }
    }
}
