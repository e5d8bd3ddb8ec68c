/// What the sync streams counted, from the start on.
package struct SyncCounters: Hashable, Sendable {
    /// Sessions of one side.
    package struct Side: Hashable, Sendable {
        package var started = 0
        package var completed = 0
        /// All pages came, and a removal was forgotten on the way, or somebody began anew.
        package var void = 0
        /// All pages came, and some operations could not be taken over.
        package var refused = 0
        /// Ended before their last page, for any reason but `busy`.
        package var aborted = 0
        /// Not begun: the peer, or this node, had too many.
        package var busy = 0
        package var resets = 0
        package var repairs = 0
        package var pages = 0
        package var operations = 0
        package var milliseconds: Int64 = 0

        package var seconds: Double { Double(milliseconds) / 1_000 }

        package init() {}
    }

    /// What this node asked others for.
    package var pulled = Side()
    /// What others asked this node for. `completed` and `void` say what was sent; `refused` is not known here.
    package var served = Side()
    /// Pulls that this node itself had no place for; in `pulled.busy` too.
    package var busyHere = 0
    /// Octets of records.
    package var bytesIn = 0
    package var bytesOut = 0

    // Streams that were given up, and why.
    /// More streams of others than may be.
    package var streamsBeyondLimit = 0
    /// Hellos that are none, of unknown versions, or without encryption.
    package var badHellos = 0
    /// Records that were changed, cut, repeated, reordered, or of another stream.
    package var notAuthentic = 0
    /// Messages, frames, contexts and pages that cannot be, or have no place.
    package var malformed = 0
    package var messagesTooLong = 0
    package var stalled = 0
    package var overTime = 0
    /// Streams that the other side closed in the middle, or that were never opened.
    package var closed = 0
    /// Frames of kinds or versions that are not known here: skipped.
    package var unknownFrames = 0

    package init() {}

    /// Counts what ended a stream.
    mutating func count(_ failure: SyncFailure) {
        switch failure {
        case .versions, .plainRefused, .badKey: badHellos += 1
        case .notAuthentic: notAuthentic += 1
        case .badRecord, .frame, .unexpected, .otherSession, .page, .badContext: malformed += 1
        case .messageTooLong: messagesTooLong += 1
        case .stalled: stalled += 1
        case .overTime: overTime += 1
        case .unreachable, .closed: closed += 1
        case .stopped, .cancelled, .busyHere, .busy, .bye, .unsealable: break
        }
    }
}
