package import RegistryStore

/// Why a sync stream came to nothing. What its pages brought stays; the next one brings the rest.
package enum SyncFailure: Error, Hashable, Sendable {
    /// This node, or its side of the streams, is shut down or not attached.
    case stopped
    case cancelled
    /// As many of this node's own are under way as may be.
    case busyHere
    /// The peer serves as many as it does at a time.
    case busy(retryMilliseconds: Int64)
    /// The peer said good bye for another reason.
    case bye(ByeFrame.Reason)
    /// No stream: nobody there, no answer, another key or label.
    case unreachable(String)
    /// The peer closed before the end.
    case closed
    /// Nothing went on for so long.
    case stalled(milliseconds: Int64)
    /// It took longer than a stream may.
    case overTime(milliseconds: Int64)
    /// None of the versions that the peer speaks is known here.
    case versions(ClosedRange<UInt8>)
    /// A hello without public key, although there are gossip keys.
    case plainRefused
    /// A public key that is none, or that nobody asked for.
    case badKey
    /// The record with this number, counted from 0, is changed, cut, repeated, out of order, or of another stream.
    case notAuthentic(record: UInt64)
    case unsealable(String)
    /// A record that is no part of a message.
    case badRecord
    case messageTooLong(limit: Int)
    /// Bytes that are no frame.
    case frame(FrameError)
    /// A frame of this kind has no place here.
    case unexpected(String)
    /// A page of a session that was not asked for.
    case otherSession
    /// A page that contradicts others.
    case page(SyncError)
    /// A context that cannot be.
    case badContext
}

extension SyncFailure: CustomStringConvertible {
    package var description: String {
        switch self {
        case .stopped: "sync streams are shut down"
        case .cancelled: "the sync was given up"
        case .busyHere: "too many syncs of this node at a time"
        case .busy(let milliseconds): "the peer is busy; come back in \(milliseconds) ms"
        case .bye(let reason): "the peer said good bye (reason \(reason.rawValue))"
        case .unreachable(let reason): "no sync stream: \(reason)"
        case .closed: "the peer closed before the end"
        case .stalled(let milliseconds): "nothing went on for \(milliseconds) ms"
        case .overTime(let milliseconds): "not done within \(milliseconds) ms"
        case .versions(let range):
            "the peer speaks versions \(range.lowerBound) to \(range.upperBound), expected \(Frame.version)"
        case .plainRefused: "the peer does not encrypt, although there are gossip keys"
        case .badKey: "the hello's public key is no X25519 key, or was not asked for"
        case .notAuthentic(let record):
            "record \(record) was changed, cut, repeated or reordered, or is of another stream"
        case .unsealable(let reason): "a record cannot be sealed: \(reason)"
        case .badRecord: "a record is no part of a message"
        case .messageTooLong(let limit): "a message is longer than \(limit) octets"
        case .frame(let error): "bytes that are no frame: \(error)"
        case .unexpected(let kind): "a frame of kind \(kind) has no place here"
        case .otherSession: "a page of another session"
        case .page(let error): "a page cannot be taken: \(error)"
        case .badContext: "the peer's context cannot be"
        }
    }
}

extension Frame {
    /// The kind, for people.
    var name: String {
        switch body {
        case .delta: "delta"
        case .digest: "digest"
        case .want: "want"
        case .renew: "renew"
        case .renewAnswer: "renew-answer"
        case .handover: "handover"
        case .hello: "hello"
        case .page: "page"
        case .bye: "bye"
        case .unknown(let kind, _): "\(kind)"
        }
    }
}
