/// Things to come, the earliest first; of one time in the order in which they were put in.
struct EventHeap<Event> {
    private struct Entry {
        let time: Int64
        let order: UInt64
        let event: Event

        func comes(before other: Entry) -> Bool { time == other.time ? order < other.order : time < other.time }
    }

    private var entries: [Entry] = []
    private var nextOrder: UInt64 = 0

    var nextTime: Int64? { entries.first?.time }

    mutating func insert(_ event: Event, at time: Int64) {
        nextOrder += 1
        entries.append(Entry(time: time, order: nextOrder, event: event))
        var place = entries.count - 1
        while place > 0, entries[place].comes(before: entries[(place - 1) / 2]) {
            entries.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    mutating func removeFirst() -> (time: Int64, event: Event)? {
        guard let first = entries.first else { return nil }
        let last = entries.removeLast()
        guard !entries.isEmpty else { return (first.time, first.event) }
        entries[0] = last
        var place = 0
        while true {
            let left = place * 2 + 1
            guard left < entries.count else { break }
            let right = left + 1
            let child = right < entries.count && entries[right].comes(before: entries[left]) ? right : left
            guard entries[child].comes(before: entries[place]) else { break }
            entries.swapAt(place, child)
            place = child
        }
        return (first.time, first.event)
    }
}
