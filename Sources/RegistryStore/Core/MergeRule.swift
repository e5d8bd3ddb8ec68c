/// Last writer wins: per key the greatest version stays, be it a value or a removal.
///
/// Versions are totally ordered and unique (a dot belongs to one operation), so keeping the greatest is commutative,
/// associative and idempotent: any set of operations leads to one state, in any order and with any repetition.
enum MergeRule {
    /// Whether an operation replaces what is known of its key; `known` is the version of the entry or its tombstone.
    static func wins(_ incoming: Version, over known: Version?) -> Bool {
        guard let known else { return true }
        return known < incoming
    }
}
