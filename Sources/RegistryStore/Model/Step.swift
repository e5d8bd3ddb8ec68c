/// One step of a transaction. Steps run in order, under one revision, and each sees what those before it did.
package enum Step: Sendable {
    /// A wish, as in a batch.
    case intent(Intent)
    /// Reads keys in `lower ..< upper` (nil: to the end), as they are or as they were after revision `at`.
    case range(namespace: Namespace, lower: [UInt8], upper: [UInt8]?, limit: Int, at: Int64? = nil)
    /// Runs one list of steps or the other. All conditions are looked at before the first step of the whole
    /// transaction, as etcd does, also those of branches inside branches.
    case branch(conditions: [StepCondition], then: [Step], otherwise: [Step])
}

/// What must hold for a branch.
package struct StepCondition: Sendable {
    package let namespace: Namespace
    package let lower: [UInt8]
    /// Nil: to the end.
    package let upper: [UInt8]?
    /// Whether the entries found are as they must be; they come in key order and may be none.
    package let holds: @Sendable ([Entry]) -> Bool

    package init(
        namespace: Namespace, lower: [UInt8], upper: [UInt8]?, holds: @escaping @Sendable ([Entry]) -> Bool
    ) {
        self.namespace = namespace
        self.lower = lower
        self.upper = upper
        self.holds = holds
    }
}

/// What a step did.
package enum StepResult: Sendable {
    /// The changes of an intent, in key order for those that touch many.
    case changes([Change])
    case range(RangeResult)
    case branch(succeeded: Bool, [StepResult])
}
