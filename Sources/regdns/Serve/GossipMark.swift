import Memberlist
import RegistryStore
import Replication

/// The mark that tells a node's etcd revisions and lease ids from those of the others.
enum GossipMark {
    /// As many as a revision has room for; 0 is that of a lone node.
    static let all: ClosedRange<UInt8> = 1...255

    /// The one that follows from a node's name.
    static func preferred(of name: String) -> UInt8 {
        var hash = KeyedHash(.shared)
        hash.append(name)
        return UInt8(hash.value() % UInt64(all.count)) + all.lowerBound
    }

    /// That mark, or another that is free. By lot, since others may look for one at the same time. There are fewer
    /// members than marks, or two must share one.
    static func free(
        _ preferred: UInt8, besides taken: Set<UInt8>, random: inout some RandomNumberGenerator
    ) -> UInt8 {
        guard taken.contains(preferred) else { return preferred }
        return all.filter { !taken.contains($0) }.randomElement(using: &random) ?? preferred
    }
}

extension GossipService {
    /// How long the others are looked for before the mark is chosen, and how long they are told of it.
    private static let patience: Duration = .milliseconds(1_500)
    /// Marks that are tried.
    private static let tries = 8
    /// Members that a choice is made known to before it stands.
    private static let witnesses = 3

    /// Looks for the others, and chooses a mark that none of them has. To be called once, before clients are served.
    ///
    /// Nodes that start together do not know each other's choice. So each tells its own first, then exchanges views
    /// with a few members, the same for all, and looks again: of two that chose the same the later one at such a
    /// member hears of the earlier one, and takes another.
    ///
    /// - Throws: when one of the others has this node's name.
    func chooseMark() async throws(UserError) -> UInt8 {
        if replication.notReady != nil { await withPatience { [joiner] in _ = try? await joiner.step() } }
        do throws(UserError) {
            try await judgeName(isHasty: true)
        } catch {
            await node.shutdown()
            throw error
        }
        var random = SystemRandomNumberGenerator()
        var mark = GossipMark.preferred(of: replication.registry.node)
        for _ in 0..<Self.tries {
            mark = GossipMark.free(mark, besides: Set(await others().compactMap(\.mark)), random: &random)
            await tell(mark)
            let witnesses = await others().prefix(Self.witnesses).map(\.address)
            guard !witnesses.isEmpty else { break }
            await withPatience { [node] in _ = try? await node.exchange(with: witnesses) }
            guard await others().contains(where: { $0.mark == mark }) else { break }
        }
        return mark
    }

    /// The others that are there, by name.
    private func others() async -> [(address: GossipAddress, mark: UInt8?)] {
        let members = (try? await node.members()) ?? []
        return members.filter { $0.name != node.name && !$0.state.isGone }.map { ($0.address, PeerTags($0).mark) }
    }

    /// Waits for something that takes its time where nobody answers; then it goes on by itself.
    private func withPatience(_ body: @escaping @Sendable () async -> Void) async {
        let work = Task { await body() }
        let (ended, end) = AsyncStream<Void>.makeStream()
        Task {
            await work.value
            end.finish()
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in ended {} }
            group.addTask { try? await Task.sleep(for: Self.patience) }
            await group.next()
            group.cancelAll()
        }
    }
}
