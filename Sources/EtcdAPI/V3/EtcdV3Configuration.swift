/// What of etcd's v3 services an operator or the cluster decides.
package struct EtcdV3Configuration: Sendable {
    /// Whether more than one member is configured. Locks and elections, which only one truth could keep, are refused
    /// then (contract section 4.3); a lone node serves them.
    package var hasSeveralMembers = false
    /// The shortest lease, in seconds; shorter ones are lengthened to it. etcd's: one and a half election timeouts.
    package var leaseSecondsMin: Int64 = 2
    /// Watches over all streams; more are answered with `canceled`.
    package var watchersMax = 131_072
    /// Watches of one stream; more are answered with `canceled`.
    package var watchersPerStreamMax = 16_384
    /// Answers to the client's requests that wait in one stream because the client does not read; with more the stream
    /// ends with `RESOURCE_EXHAUSTED`.
    package var unreadAnswersMax = 4096
    /// After how long without an event a watch that asked for it is told the revision.
    package var progressInterval: Duration = .seconds(600)

    package init() {}
}
