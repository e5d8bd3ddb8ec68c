import Glibc

/// What memberlist computes from the number of nodes, digit for digit as it does.
package enum GossipFormulas {
    /// How often one message is sent.
    package static func transmitLimit(multiplier: Int, nodes: Int) -> Int {
        // The least d with 10^d > nodes, which is ceil(log10(nodes + 1)).
        var digits = 0
        var power = 1
        while power < nodes + 1 {
            digits += 1
            power *= 10
        }
        return multiplier * digits
    }

    /// The shortest suspicion.
    package static func suspicionMin(_ timing: GossipTiming, nodes: Int) -> Milliseconds {
        let scale = max(1, log10(max(1, Double(nodes))))
        return Milliseconds(timing.suspicionMultiplier) * Milliseconds(scale * 1_000) * timing.probeInterval / 1_000
    }

    /// How long a suspicion lasts from its start, after `confirmations` independent ones of `wanted`.
    package static func suspicion(
        min shortest: Milliseconds, max longest: Milliseconds, confirmations: Int, wanted: Int
    ) -> Milliseconds {
        guard wanted > 0 else { return shortest }
        let part = log(Double(confirmations) + 1) / log(Double(wanted) + 1)
        let seconds = Double(longest) / 1_000 - part * (Double(longest) / 1_000 - Double(shortest) / 1_000)
        return max(shortest, Milliseconds((1_000 * seconds).rounded(.down)))
    }

    /// The period of push/pulls, which grows beyond 32 nodes.
    package static func pushPullInterval(_ base: Milliseconds, nodes: Int) -> Milliseconds {
        guard nodes > 32 else { return base }
        return base * (Milliseconds((log2(Double(nodes)) - 5).rounded(.up)) + 1)
    }
}
