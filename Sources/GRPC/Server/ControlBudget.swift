import NIOCore

/// Tells a client that works from one that floods: frames that cost us work and move no call are paid from a credit
/// that time and our own answers refill.
///
/// Pings are excused by answers because gRPC clients measure bandwidth by a ping for what they receive; window updates
/// because reading causes them. A client that pings every few seconds never comes near.
struct ControlBudget {
    private static let perFrameSent = 4

    private let bound: Int
    private let perSecond: Int
    private var credit: Int
    private var refilled: NIODeadline

    init(bound: Int, perSecond: Int, now: NIODeadline) {
        self.bound = bound
        self.perSecond = perSecond
        credit = bound
        refilled = now
    }

    mutating func sentFrame() { credit = min(bound, credit + Self.perFrameSent) }

    /// Takes the price of one frame; false when the credit is used up.
    mutating func spend(now: @autoclosure () -> NIODeadline) -> Bool {
        if credit == 0 {
            let now = now()
            let elapsed = min((now - refilled).nanoseconds, 3_600_000_000_000)
            let earned = Int(elapsed / 1_000_000) * perSecond / 1000
            guard earned > 0 else { return false }
            credit = min(bound, earned)
            refilled = now
        }
        credit -= 1
        return true
    }
}
