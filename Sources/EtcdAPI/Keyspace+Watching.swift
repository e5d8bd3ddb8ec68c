extension Keyspace {
    /// Begins to wait for changes at a path.
    ///
    /// - Parameters:
    ///   - since: the index of the first event wanted; 0 for the next one.
    /// - Returns: the events, and the index of the store as the wait began.
    func watch(
        _ path: [UInt8], recursive: Bool, stream: Bool, since: UInt64
    ) throws(V2Error) -> (events: EtcdEvents, index: Int64) {
        let (queue, index) = try history.watch(
            path, recursive: recursive, stream: stream, since: since == 0 ? nil : since)
        return (EtcdEvents(keyspace: self, queue: queue), index)
    }
}
