/// A lease that has run out and may be ended.
package struct DueLease: Hashable, Sendable {
    package var id: LeaseID
    package var namespace: Namespace
    /// The service of its instance; nil when it has none that is shown.
    package var service: String?
    /// Instances of that service at present, this one included.
    package var serviceCount: Int
    /// Instances of that service which end with this lease: more than one of a granted lease.
    package var instances = 1
    /// Whether it was over before and is preserved since.
    package var isPreserved = false

    package init(id: LeaseID, namespace: Namespace, service: String?, serviceCount: Int) {
        self.id = id
        self.namespace = namespace
        self.service = service
        self.serviceCount = serviceCount
    }
}
