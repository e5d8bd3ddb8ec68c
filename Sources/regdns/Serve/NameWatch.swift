import Logging
import Memberlist
import RegistryStore
import Replication
import Synchronization

/// What is known of other addresses that claim this node's name.
final class NameWatch: Sendable {
    /// Between two looks at one address, in milliseconds.
    private static let pause: Int64 = 10_000
    /// A claim that is not repeated for so long is over: whole views go round twice in that time.
    private static let keep: Int64 = 70_000
    /// Addresses whose owners are remembered; beyond, all are asked again.
    private static let addressesMax = 16

    private struct State {
        var hasServed = false
        /// Another living node of the name.
        var twin: GossipAddress?
        /// When it was last asked who is at an address.
        var judged: [GossipAddress: Int64] = [:]
        /// Claims by an address where nobody answered.
        var vain: NameClaim?
    }

    private let state = Mutex(State())

    /// The node has been ready: from now on a twin does not end it.
    func serve() { state.withLock { $0.hasServed = true } }

    var hasServed: Bool { state.withLock { $0.hasServed } }
    var twin: GossipAddress? { state.withLock { $0.twin } }

    /// Where others know the name and nobody answers; nil when no such claim was heard lately.
    func former(now: Int64) -> GossipAddress? {
        state.withLock { state in
            guard let vain = state.vain, now &- vain.at < Self.keep else { return nil }
            return vain.address
        }
    }

    /// Whether it is to be asked who is at the address, now.
    func isDue(_ claim: NameClaim, now: Int64) -> Bool {
        state.withLock { state in
            guard let last = state.judged[claim.address] else { return true }
            return now &- last >= Self.pause && (state.twin != nil || claim.at > last)
        }
    }

    /// Whether a node that has not served yet must wait for an answer.
    func isInDoubt(_ claim: NameClaim?) -> Bool {
        state.withLock { state in
            guard let claim, !state.hasServed else { return false }
            return state.judged[claim.address] == nil
        }
    }

    /// Takes a finding in.
    ///
    /// - Returns: what was believed before: the twin, and whether somebody else's silence at this address was known.
    func judge(_ claim: NameClaim, _ finding: Namesake, now: Int64) -> (twin: GossipAddress?, wasVain: Bool) {
        state.withLock { state in
            let before = (state.twin, state.vain?.address == claim.address)
            if state.judged.count >= Self.addressesMax, state.judged[claim.address] == nil { state.judged = [:] }
            state.judged[claim.address] = now
            state.twin = finding == .other ? claim.address : nil
            state.vain = finding == .nobody ? claim : nil
            return before
        }
    }

    /// All are to be asked anew.
    func forget() {
        state.withLock { state in
            state.judged = [:]
            state.twin = nil
            state.vain = nil
        }
    }
}

extension GossipService {
    /// For one look at the start, which goes on when it takes longer, and for those after it. In milliseconds.
    static let firstNamePatience: Milliseconds = 1_000
    private static let namePatience: Milliseconds = 3_000

    /// Looks who else has this node's name, whenever somebody is said to.
    ///
    /// - Throws: when it is a living node and this one has not served yet.
    func watchName() async throws(UserError) {
        repeat { try await judgeName() } while (try? await Task.sleep(for: .milliseconds(250))) != nil
    }

    /// Asks who is at the address that claims this node's name, if it is time to.
    ///
    /// - Parameter isHasty: at the start: then silence is no finding yet.
    func judgeName(isHasty: Bool = false) async throws(UserError) {
        let now = clock.monotonicMilliseconds()
        guard let claim = replication.nameClaim, names.isDue(claim, now: now) else { return }
        let finding = await replication.namesake(
            at: claim.address, on: node, patience: isHasty ? Self.firstNamePatience : Self.namePatience)
        guard !Task.isCancelled, !(isHasty && finding == .nobody) else { return }
        let before = names.judge(claim, finding, now: clock.monotonicMilliseconds())
        switch finding {
        case .other:
            guard names.hasServed else { throw twinError(claim.address) }
            guard before.twin != claim.address else { return }
            logger.error(
                "another living node has this node's name: give one of them another (--node)",
                metadata: ["name": "\(node.name)", "other": "\(claim.address)"])
        case .nobody where before.twin == nil && !before.wasVain:
            logger.warning(
                "others know this node at another address, where nobody answers, and take it in when they give that up",
                metadata: ["name": "\(node.name)", "other": "\(claim.address)"])
        case .nobody, .itself:
            guard before.twin != nil else { return }
            logger.notice(
                "no other node answers to this node's name any more", metadata: ["name": "\(node.name)"])
        }
    }

    private func twinError(_ address: GossipAddress) -> UserError {
        UserError(
            what: "--node \(node.name)", why: "another living node has this name, at \(address)",
            remedy: "give each node a name of its own by --node, or stop the other one")
    }

    var nameDegradations: [String] {
        if let twin = names.twin { return ["\(twin) has this node's name, \(node.name), too (--node)"] }
        return names.former(now: clock.monotonicMilliseconds()).map { former in
            [
                "others know \(node.name) at \(former), where nobody answers; they take this node in when they have "
                    + "given that one up"
            ]
        } ?? []
    }
}
