/// A lease that has run out and may be ended.
package struct DueLease: Hashable, Sendable {
    package var id: LeaseID
    package var namespace: Namespace
    /// The service of its instance; nil when it has none that is shown.
    package var service: String?
    /// Instances of that service at present, this one included.
    package var serviceCount: Int

    package init(id: LeaseID, namespace: Namespace, service: String?, serviceCount: Int) {
        self.id = id
        self.namespace = namespace
        self.service = service
        self.serviceCount = serviceCount
    }
}
