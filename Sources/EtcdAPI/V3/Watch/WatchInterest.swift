import RegistryStore

/// What a watch wants to be told. Watches with the same interest share the bytes of their events.
struct WatchInterest: Hashable {
    let keys: KeyRange
    var skipsPuts = false
    var skipsDeletes = false
    var withPrevious = false
    /// Responses that are long may be cut within a revision.
    var fragments = false

    /// Whether a change of a key in the range is told.
    func wants(_ change: Change) -> Bool { change.current == nil ? !skipsDeletes : !skipsPuts }
}

/// One watch of a stream; lives on its event loop.
final class Watcher {
    let id: Int64
    let interest: WatchInterest
    let wantsProgress: Bool
    let stream: WatchStream
    /// The revision of the store through which the watch has been told; kept while it is on its own.
    var position: Int64
    /// The group it gets events with, and its place there; nil while it is on its own.
    var group: WatchGroup?
    var place = 0
    /// Nothing was sent since progress was told last.
    var isQuiet = true

    init(id: Int64, interest: WatchInterest, wantsProgress: Bool, stream: WatchStream, position: Int64) {
        self.id = id
        self.interest = interest
        self.wantsProgress = wantsProgress
        self.stream = stream
        self.position = position
    }
}

/// The watches of a loop that have one interest and have been told all that the hub has read.
final class WatchGroup {
    let interest: WatchInterest
    private(set) var members: [Watcher] = []
    /// What the present pass of the hub has for the members.
    var events: [WatchEvent] = []

    init(interest: WatchInterest) { self.interest = interest }

    func insert(_ watcher: Watcher) {
        watcher.group = self
        watcher.place = members.count
        members.append(watcher)
    }

    func remove(_ watcher: Watcher) {
        let last = members.removeLast()
        if last !== watcher {
            members[watcher.place] = last
            last.place = watcher.place
        }
        watcher.group = nil
    }
}
