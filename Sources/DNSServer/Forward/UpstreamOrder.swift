/// Whom to ask next: the policy's order, with servers that lately gave no answer behind the others.
///
/// A pure value; the caller gives the time and the randomness.
struct UpstreamOrder {
    private let policy: ForwardPolicy
    private let holdDownMilliseconds: Int64
    private var turn = 0
    /// Per server, until when it comes last; monotonic milliseconds.
    private var heldUntil: [Int64]

    init(count: Int, policy: ForwardPolicy, holdDown: Duration) {
        self.policy = policy
        self.holdDownMilliseconds = holdDown.milliseconds
        self.heldUntil = Array(repeating: .min, count: count)
    }

    /// The places of all servers in the order in which this question asks them. O(servers).
    mutating func next(now: Int64, random: ForwarderRandom) -> [Int] {
        guard !heldUntil.isEmpty else { return [] }
        var generator = random
        var order = Array(heldUntil.indices)
        switch policy {
        case .sequential: break
        case .random: order.shuffle(using: &generator)
        case .rotate:
            order = Self.rotated(count: order.count, start: turn)
            turn = (turn + 1) % order.count
        }
        return order.filter { heldUntil[$0] <= now } + order.filter { heldUntil[$0] > now }
    }

    /// `start`, `start + 1` … and round to the place before `start`.
    static func rotated(count: Int, start: Int) -> [Int] {
        Array(start..<count) + Array(0..<start)
    }

    /// The server answered, whatever it said.
    mutating func noteAnswer(from place: Int) {
        guard heldUntil.indices.contains(place) else { return }
        heldUntil[place] = .min
    }

    /// The server said nothing within its time, or could not be reached.
    mutating func noteSilence(of place: Int, now: Int64) {
        guard heldUntil.indices.contains(place) else { return }
        heldUntil[place] = now &+ holdDownMilliseconds
    }

    /// The servers that come last now.
    func silent(now: Int64) -> [Int] { heldUntil.indices.filter { heldUntil[$0] > now } }
}
