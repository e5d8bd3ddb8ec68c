import DNSWire
import RegdnsTestKit
import RegistryStore

/// Somebody who registers something, and what he knows of it.
struct ClusterClient {
    enum Kind: Hashable {
        /// Heartbeats; registers again when told that there is no such instance.
        case renewing
        /// Puts the same again, as SkyDNS's and etcd's clients do.
        case putting
        /// No lease.
        case permanent
        /// A granted lease with some keys.
        case granted
        /// No lease, and others write the same key.
        case contested
    }

    let kind: Kind
    let name: String
    let keys: [[UInt8]]
    /// The machine that it runs on.
    var location: Int
    /// Whether its heartbeats go to any node, or to its own as long as that is there.
    let roams: Bool
    let lease: Int64
    var body = 0
    var isOn = false
    /// When it began, stopped, and stopped by a removal that was acknowledged, in microseconds.
    var onSince: Int64 = 0
    var offSince: Int64 = 0
    var grantedID: LeaseID?
    /// When all of it was last written, in microseconds.
    var putAt: Int64 = .min / 2
    /// The last word with a node: when, and since when all of them were with this one, none too late.
    var lastAck: Int64 = .min / 2
    var steadySince: Int64 = .max
    var stickNode = -1
    var stickSince: Int64 = .max
    /// The last word with each node.
    var acks: [Int: Int64] = [:]

    var isLeased: Bool { kind == .renewing || kind == .putting || kind == .granted }

    /// The longest time between two heartbeats, in microseconds.
    var interval: Int64 { lease * 1_000 / 3 }

    mutating func acknowledged(by node: Int, at now: Int64) {
        let isLate = now - lastAck > interval + 50_000
        if isLate { steadySince = now }
        if isLate || stickNode != node {
            stickNode = node
            stickSince = now
        }
        lastAck = now
        acks[node] = now
    }

    mutating func stop(at now: Int64) {
        isOn = false
        offSince = now
        steadySince = .max
        stickSince = .max
        stickNode = -1
        lastAck = .min / 2
        acks = [:]
    }
}

extension ClusterWorld {
    func makeClients() {
        add(.renewing, scenario.renewing)
        add(.putting, scenario.putting)
        add(.permanent, scenario.permanent)
        add(.granted, scenario.granted)
        add(.contested, scenario.contested)
    }

    private func add(_ kind: ClusterClient.Kind, _ count: Int) {
        for _ in 0..<count {
            let name = "c\(clients.count)"
            let keys = (0..<(kind == .granted ? 3 : 1)).map { number in
                layout.primaryKey(service: "s\(clients.count % 3)", id: kind == .granted ? "\(name)-\(number)" : name)
            }
            for key in keys { _ = books.number(of: key) }
            clients.append(
                ClusterClient(
                    kind: kind, name: name, keys: keys, location: clientRandom.below(nodes.count),
                    roams: clientRandom.oneIn(3), lease: scenario.lease))
            clients[clients.count - 1].isOn = clientRandom.below(4) > 0
        }
    }

    // MARK: Calls

    /// Nodes that a client can talk to, its own first.
    private func reachable(from location: Int) -> [ClusterNode] {
        guard !isSilent(location) else { return [] }
        let others = nodes.indices.filter { $0 != location }.shuffled(using: &clientRandom)
        return ([location] + others).map { nodes[$0] }.filter { node in
            guard let process = node.running, process.isReady, !node.isLeaving else { return false }
            return node.number == location || passes(location, node.number)
        }
    }

    /// Whether clients of a machine reach nobody.
    private func isSilent(_ location: Int) -> Bool {
        active.contains { place in
            let fault = scenario.faults[place]
            return fault.kind == .silence && (fault.amount == 1 || fault.node == location)
        }
    }

    private enum Answer {
        case done
        /// The node refuses writes; another may take them.
        case refused
        case notFound
    }

    private func call(_ node: ClusterNode, _ body: (Registry) throws(RegistryError) -> Void) -> Answer {
        guard let process = node.running else { return .refused }
        node.setClock(now)
        defer {
            drain(node)
            // An answer is given when everything is kept.
            flush(node)
        }
        do throws(RegistryError) {
            try body(process.registry)
            return .done
        } catch {
            tell("n\(node.number) answers \(error)")
            switch error {
            case .notFound, .unknownLease: return .notFound
            case .unavailable: return .refused
            default:
                fail(.bounds, "n\(node.number) refuses a write: \(error)")
                return .refused
            }
        }
    }

    /// Asks nodes until one does it.
    ///
    /// - Returns: who did it, or said that there is nothing to do it to.
    private func ask(
        _ targets: [ClusterNode], _ body: (Registry) throws(RegistryError) -> Void
    ) -> (node: Int, answer: Answer)? {
        for target in targets.prefix(3) {
            let answer = call(target, body)
            if answer != .refused { return (target.number, answer) }
        }
        return nil
    }

    private func value(_ client: ClusterClient, _ body: Int) -> PutValue {
        switch client.kind {
        case .renewing:
            let attributes = InstanceAttributes(
                service: "s", id: client.name, endpointType: "tcp", endpoint: "10.0.0.1:\(body)")
            return .registration(Registration(host: .ipv4(0x0a00_0001), port: body, instance: attributes))
        default: return .bytes(Array("{\"host\":\"10.0.0.1\",\"port\":\(body)}".utf8))
        }
    }

    /// Writes what the client has.
    private func put(_ index: Int, at targets: [ClusterNode]) -> Bool {
        let client = clients[index]
        var granted = client.grantedID
        let done = ask(targets) { (registry) throws(RegistryError) in
            let lease: LeaseRequest
            switch client.kind {
            case .renewing, .putting: lease = .own(milliseconds: client.lease)
            case .permanent, .contested: lease = .permanent
            case .granted:
                if granted.flatMap({ registry.lease($0) }) == nil {
                    granted = try registry.grantLease(id: nil, milliseconds: client.lease).id
                }
                lease = .shared(granted ?? LeaseID(1))
            }
            try registry.apply(
                client.keys.map {
                    .put(namespace: .default, key: $0, value: value(client, client.body), lease: lease)
                })
        }
        guard let done, done.answer == .done else { return false }
        clients[index].grantedID = granted
        clients[index].putAt = now
        // A put over a granted lease does not renew it.
        if client.kind != .granted || granted != client.grantedID {
            clients[index].acknowledged(by: done.node, at: now)
        }
        return true
    }

    // MARK: Heartbeats

    func heartbeat(_ index: Int) {
        let client = clients[index]
        guard client.isLeased else {
            if client.isOn { _ = put(index, at: reachable(from: client.location)) }
            return
        }
        var next = client.interval * Int64(60 + clientRandom.below(35)) / 100
        defer { heap.insert(.heartbeat(client: index), at: now + next) }
        guard client.isOn else { return }
        var targets = reachable(from: client.location)
        if client.roams { targets.shuffle(using: &clientRandom) }
        if !renew(index, at: targets) { next = 500_000 }
    }

    private func renew(_ index: Int, at targets: [ClusterNode]) -> Bool {
        let client = clients[index]
        if client.kind == .putting || client.onSince == 0 {
            if client.onSince == 0 { clients[index].onSince = now }
            return put(index, at: targets)
        }
        let done = ask(targets) { (registry) throws(RegistryError) in
            if client.kind == .renewing {
                try registry.renew(namespace: .default, id: client.name)
            } else if let id = client.grantedID {
                _ = try registry.keepAlive(id)
            } else {
                throw .unknownLease(LeaseID(1))
            }
        }
        guard let done else { return false }
        if done.answer == .done {
            clients[index].acknowledged(by: done.node, at: now)
            return true
        }
        if client.lastAck > 0 { figures.lostRegistrations += 1 }
        return put(index, at: [nodes[done.node]])
    }

    // MARK: Actions

    /// Somebody does something new.
    func act() {
        guard now < scenario.calmAt * 1_000 else { return }
        let pause = 60_000_000 / Int64(scenario.actions)
        heap.insert(.action, at: now + pause * Int64(20 + clientRandom.below(160)) / 100)
        guard !clients.isEmpty else { return }
        if clientRandom.oneIn(40) {
            for index in clients.indices where clients[index].isLeased && clients[index].isOn && clientRandom.oneIn(2) {
                clients[index].stop(at: now)
            }
            return
        }
        let index = clientRandom.below(clients.count)
        let client = clients[index]
        tell("\(client.name) of n\(client.location) acts")
        if client.kind == .contested { return contest(index) }
        if scenario.preservation > 0, client.isLeased, !client.isOn || isSilent(client.location), clientRandom.oneIn(3)
        {
            return removeByOperator(index)
        }
        guard client.isOn else { return start(index) }
        switch clientRandom.below(10) {
        case 0...2: change(index)
        case 3...4:
            clients[index].location = clientRandom.below(nodes.count)
            change(index)
        case 5...7: deregister(index)
        default: if client.isLeased { clients[index].stop(at: now) } else { change(index) }
        }
    }

    private func start(_ index: Int) {
        clients[index].body += 1
        guard put(index, at: reachable(from: clients[index].location)) else { return }
        clients[index].isOn = true
        clients[index].onSince = now
    }

    private func change(_ index: Int) {
        clients[index].body += 1
        _ = put(index, at: reachable(from: clients[index].location))
    }

    private func deregister(_ index: Int) {
        let client = clients[index]
        let done = ask(reachable(from: client.location)) { (registry) throws(RegistryError) in
            if client.kind == .granted, let id = client.grantedID, clientRandom.oneIn(2) {
                try registry.revokeLease(id)
            } else {
                try registry.apply(client.keys.map { .delete(namespace: .default, key: $0) })
            }
        }
        // A client with a lease goes whatever the answer; without one it stays until somebody takes the removal.
        if client.isLeased || done?.answer == .done { clients[index].stop(at: now) }
    }

    /// Somebody else removes what a client has, which may be kept by then though its lease is over.
    private func removeByOperator(_ index: Int) {
        let targets = nodes.filter { $0.running?.isReady == true && !$0.isLeaving }.shuffled(using: &clientRandom)
        let keys = clients[index].keys
        let done = ask(targets) { (registry) throws(RegistryError) in
            try registry.apply(keys.map { .delete(namespace: .default, key: $0) })
        }
        if done != nil, clients[index].isOn { clients[index].stop(at: now) }
    }

    /// The same key is written from two sides.
    private func contest(_ index: Int) {
        let first = reachable(from: clientRandom.below(nodes.count))
        let second = reachable(from: clientRandom.below(nodes.count))
        for targets in [first, second] {
            clients[index].body += 1
            if clientRandom.below(10) < 7 {
                _ = put(index, at: targets)
            } else {
                let keys = clients[index].keys
                _ = ask(targets) { (registry) throws(RegistryError) in
                    try registry.apply(keys.map { .delete(namespace: .default, key: $0) })
                }
            }
        }
    }
}
