/// Why the store refused. Each dialect maps it to its own words in one place.
package enum RegistryError: Error, Hashable, Sendable {
    /// Nothing under this key, id or lease; a heartbeat must be answered with a clear "gone".
    case notFound(key: [UInt8])
    case unknownLease(LeaseID)
    case leaseExists(LeaseID)
    /// A precondition does not hold; `index` is the intent's place in the batch.
    case preconditionFailed(index: Int, precondition: Precondition, current: Entry?)
    /// A limit would be passed: its name, the value, the bound.
    case limitExceeded(limit: String, value: Int, bound: Int)
    /// A field of a registration is wrong: field, value (shortened), what was expected.
    case invalid(field: String, value: String, expected: String)
    /// A range at a revision that is not kept any more; the oldest that is.
    case compacted(oldest: Int64)
    case futureRevision(current: Int64)
    /// The external store that holds the truth cannot be written now, or did not say in time whether it did; when it
    /// is worth another try.
    case unavailable(reason: String, retryAfterSeconds: Int)

    package static func == (a: RegistryError, b: RegistryError) -> Bool {
        String(describing: a) == String(describing: b)
    }
    package func hash(into hasher: inout Hasher) { hasher.combine(String(describing: self)) }
}
