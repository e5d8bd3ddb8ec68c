/// Why a node must not make versions: its clock is too far from the others', and what it wrote would win or lose
/// against their clients' writes by that error.
package struct WriteFence: Hashable, Sendable {
    /// Median of the peers' clocks minus this node's, in milliseconds.
    package let offsetMilliseconds: Int64

    package init(offsetMilliseconds: Int64) { self.offsetMilliseconds = offsetMilliseconds }
}

extension StoreCore {
    /// Throws while the node is fenced. Heartbeats of leases counted here, puts that repeat what is
    /// there among them, expiries, merging and reading go on.
    func checkFence() throws(RegistryError) {
        guard let fence else { return }
        let seconds = fence.offsetMilliseconds.magnitude / 1000
        let side = fence.offsetMilliseconds > 0 ? "behind" : "ahead of"
        throw .unavailable(
            reason: "this node's clock is \(seconds) s \(side) the cluster's; writes are refused until it is set right",
            retryAfterSeconds: 5)
    }
}
