import CDatagram
import DNSWire
import RegistryStore

/// Question bytes in, answer bytes out: the hot path of one thread.
///
/// SAFETY: the invariants of this file: the query has `length` octets and 64 readable octets of slack behind them; the
/// output has `capacity` octets, at least 64 more than any `limit` the caller gives. Published answers are read only
/// between `enter` and `leave`. Every length used for copying is checked against the room computed from `limit`.
@safe
struct AnswerEngine: ~Copyable {
    /// Why a question could not be answered at once.
    enum Deferral {
        case forward
        case external(Set<ExternalQuestion>)
        case stub
    }

    enum Transport {
        case udp
        case tcp
    }

    let view: DNSView
    let table: NameTable
    let deadlines: LeaseDeadlines
    let reader: Int
    var zones: ZoneTable
    var zoneGeneration: UInt64
    let scratch: RawBlock
    /// Where the folded name of the query being answered begins in the scratch.
    var name = 0
    var random: UInt64
    let stubs: StubMatcher?
    /// UDP answers are at most so long whatever the client offers.
    let udpPayloadMax: Int
    let forwards: Bool
    let version: [UInt8]
    var deferral: Deferral?
    var counters = EngineCounters()
    /// Time of the batch: monotonic milliseconds and Unix seconds.
    var now: Int64 = 0
    /// Above every TTL of an answer, in seconds: bounded while the store behind the registry cannot be followed.
    var ttlMax = UInt32.max
    var unixSeconds: Int64 = 0
    /// Whether answers may rest on leases that are over and preserved.
    var preserves = false
    /// Whether the registry's names may be answered without asking the view.
    private var isVouchedFor = true

    /// nil when the view has no place for another reader.
    init?(view: DNSView, deadlines: LeaseDeadlines, stubs: StubMatcher?, udpPayloadMax: Int, version: String) {
        guard let reader = view.epochs.register() else { return nil }
        self.view = view
        table = view.table
        self.deadlines = deadlines
        self.reader = reader
        self.stubs = stubs
        self.udpPayloadMax = udpPayloadMax
        self.version = Array(version.utf8)
        forwards = view.configuration.forwards
        zoneGeneration = view.currentZoneGeneration
        zones = view.currentZones
        scratch = .allocate(Self.slotStride * Self.slots + 64)
        random = .random(in: 1 ... .max)
    }

    deinit { scratch.free() }

    /// Before a batch of questions.
    mutating func enter(now: Int64, unixSeconds: Int64) {
        self.now = now
        ttlMax = deadlines.answerSecondsMax
        preserves = deadlines.preservedCount > 0
        self.unixSeconds = unixSeconds
        isVouchedFor = view.isVouchedFor(now: now)
        view.epochs.enter(reader)
        let generation = view.currentZoneGeneration
        if generation != zoneGeneration {
            zones = view.currentZones
            zoneGeneration = generation
        }
    }

    /// After a batch.
    func leave() { view.epochs.leave(reader) }

    // MARK: looking ahead

    /// Scratch of one slot: the folded name with its slack, its hash, and the parsed query.
    static let slotStride = 320
    private static let hashOffset = 272
    private static let parsedOffset = 280
    static let slots = 64

    /// Parses the query of a slot (below 64), hashes its name and asks for the cache line the search begins at.
    mutating func prepare(_ slot: Int, _ query: UnsafeRawPointer, length: Int) {
        let base = slot &* Self.slotStride
        let parsed = unsafe QueryParser.parse(
            RawSpan(_unsafeStart: query, byteCount: length &+ 16), length: length)
        scratch.store(parsed, at: base &+ Self.parsedOffset)
        guard parsed.disposition == .answer else { return }
        let name = unsafe scratch.pointer + base
        unsafe NameHash.fold(query + 12, parsed.nameLength, to: name)
        let hash = unsafe table.hash(UnsafeRawPointer(name), parsed.nameLength)
        scratch.store(hash, at: base &+ Self.hashOffset)
        unsafe cdatagram_prefetch(table.prefetchAddress(hash))
    }

    /// Asks for the memory that the first `count` prepared queries will need, one dependent step after the other.
    func lookAhead(_ count: Int) {
        guard count > 1 else { return }
        for slot in 0..<count {
            let candidate = table.firstCandidate(hash(slot))
            if candidate != 0 {
                unsafe cdatagram_prefetch(UnsafeRawPointer(bitPattern: candidate))
                unsafe cdatagram_prefetch(UnsafeRawPointer(bitPattern: candidate &+ 64))
            }
        }
        for slot in 0..<count {
            let candidate = table.firstCandidate(hash(slot))
            guard candidate != 0 else { continue }
            let answers = NameNode(block: RawBlock(address: candidate)).answers
            if answers != 0 {
                for line in 0..<3 {
                    unsafe cdatagram_prefetch(UnsafeRawPointer(bitPattern: answers &+ UInt(line) &* 64))
                }
            }
        }
    }

    @inline(__always)
    private func hash(_ slot: Int) -> UInt64 {
        scratch.load(slot &* Self.slotStride &+ Self.hashOffset, as: UInt64.self)
    }

    // MARK: answering

    /// Answers one query into `out`. Returns the answer's length, 0 to stay silent, -1 when `deferral` says what to do.
    mutating func answer(
        _ query: UnsafeRawPointer, length: Int, out: UnsafeMutableRawPointer, capacity: Int, transport: Transport
    ) -> Int {
        unsafe prepare(0, query, length: length)
        return unsafe answerPrepared(0, query, length: length, out: out, capacity: capacity, transport: transport)
    }

    /// As `answer`, for a slot that was prepared with the same query.
    mutating func answerPrepared(
        _ slot: Int, _ query: UnsafeRawPointer, length: Int, out: UnsafeMutableRawPointer, capacity: Int,
        transport: Transport
    ) -> Int {
        name = slot &* Self.slotStride
        let parsed = scratch.load(name &+ Self.parsedOffset, as: ParsedQuery.self)
        counters.queries &+= 1
        guard parsed.disposition == .answer else { return unsafe reject(parsed, query, length, out, capacity) }
        let limit = transport == .tcp ? 65_535 : udpLimit(parsed)
        guard parsed.qclass == .in else {
            return unsafe special(parsed, query, length, out, capacity, limit)
        }
        if let stubs, stubs.isActive, stubs.zone(for: foldedName(parsed)) != nil {
            if parsed.stubLoop { return 0 }
            deferral = .stub
            return -1
        }
        guard isVouchedFor else { return unsafe cold(parsed, query, length, out, capacity, limit) }
        let folded = unsafe UnsafeRawPointer(scratch.pointer + name)
        if let node = unsafe table.find(folded, parsed.nameLength, hash(slot)) {
            let zone = node.zone
            if zone >= 0 {
                var address = node.answers
                while address != 0 {
                    let block = AnswerBlock(block: RawBlock(address: address))
                    if block.type == parsed.qtype.rawValue {
                        guard block.isCurrent(changes: view.changeCount, now: now) else { break }
                        return unsafe write(block, parsed, query, out, capacity, limit, zone: Int(zone))
                    }
                    address = block.next
                }
            }
        } else if let zone = missingName(parsed) {
            return unsafe negative(parsed, query, out, capacity, limit, zone: zone, rcode: .nxDomain)
        }
        return unsafe cold(parsed, query, length, out, capacity, limit)
    }

    mutating func udpLimit(_ parsed: ParsedQuery) -> Int {
        parsed.hasEDNS ? max(512, min(parsed.udpPayloadSize, udpPayloadMax)) : 512
    }

    func foldedName(_ parsed: ParsedQuery) -> [UInt8] { scratch.bytes(name, parsed.nameLength) }

    /// The zone of a name that certainly does not exist: its closest existing ancestor is ours, and nothing in the name
    /// or above could make it up (wildcards, delegations, virtual names). nil: ask the cold path.
    private func missingName(_ parsed: ParsedQuery) -> Int? {
        guard view.isFilled else { return nil }
        var offset = 0
        var zone: Int?
        while offset < parsed.nameLength {
            let size = Int(scratch.load(name &+ offset, as: UInt8.self))
            if size == 0 || isSpecial(name &+ offset &+ 1, size) { return size == 0 ? zone : nil }
            offset &+= 1 &+ size
            if zone != nil { continue }
            let left = parsed.nameLength &- offset
            let rest = unsafe UnsafeRawPointer(scratch.pointer + name + offset)
            if let node = unsafe table.find(rest, left, table.hash(rest, left)) {
                guard node.zone >= 0, node.flags == 0 else { return nil }
                zone = Int(node.zone)
            }
        }
        return zone
    }

    /// Whether a label may be a wildcard (`*`, `any`) or part of a virtual name (`_…`).
    @inline(__always)
    private func isSpecial(_ label: Int, _ size: Int) -> Bool {
        let first = scratch.load(label, as: UInt8.self)
        if first == UInt8(ascii: "_") || (size == 1 && first == UInt8(ascii: "*")) { return true }
        return size == 3 && first == UInt8(ascii: "a") && scratch.load(label &+ 1, as: UInt8.self) == UInt8(ascii: "n")
            && scratch.load(label &+ 2, as: UInt8.self) == UInt8(ascii: "y")
    }
}
