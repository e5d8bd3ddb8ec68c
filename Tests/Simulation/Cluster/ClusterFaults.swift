import Memberlist
import RegdnsTestKit
import RegistryStore
import Replication

extension ClusterWorld {
    /// Applies what holds from the beginning.
    func set(_ fault: ClusterFault) {
        let node = nodes[fault.node]
        if fault.kind == .drift {
            node.drift = fault.amount
        } else {
            node.clock.shiftWallClock(milliseconds: fault.amount)
        }
    }

    func begin(_ place: Int) {
        let fault = scenario.faults[place]
        tell("begins \(fault.text)")
        figures.faults[fault.kind, default: 0] += 1
        active.insert(place)
        let node = nodes[fault.node]
        switch fault.kind {
        case .loss: network.lossPercent = Int(clamping: fault.amount)
        case .duplicate: network.duplicatePercent = Int(clamping: fault.amount)
        case .flip: network.flipPercent = Int(clamping: fault.amount)
        case .cut, .split, .ring, .isolate: cut(fault, 1)
        case .slow: network.slow(fault.node, fault.other, by: fault.amount)
        case .pause: if node.process != nil, !node.isPaused { pause(node, place) }
        case .crash, .stop, .gone: if node.process != nil { crash(node, fault, place) }
        case .leave: if node.running != nil, !node.isLeaving { leave(node, place) }
        case .late: node.late = fault.amount
        case .jump: node.clock.shiftWallClock(milliseconds: fault.amount)
        case .babble:
            network.isRecording = true
            heap.insert(.babble(place), at: now)
        case .offset, .drift, .silence: break
        }
    }

    func end(_ place: Int) {
        let fault = scenario.faults[place]
        active.remove(place)
        tell("ends \(fault.text)")
        let node = nodes[fault.node]
        switch fault.kind {
        case .loss: network.lossPercent = 0
        case .duplicate: network.duplicatePercent = 0
        case .flip: network.flipPercent = 0
        case .cut, .split, .ring, .isolate: cut(fault, -1)
        case .slow: network.slow(fault.node, fault.other, by: -fault.amount)
        case .pause: if node.trouble == place, node.isPaused { resume(node) }
        case .crash, .stop, .leave:
            guard node.trouble == place else { return }
            if node.process != nil { endProcess(node, gracefully: true) }
            if fault.kind == .leave { node.kept = scenario.hasDisk ? node.disk.read(losesPower: false, now: now) : nil }
            boot(node, from: node.kept)
        case .gone: break
        case .late: node.late = 0
        case .jump: node.clock.shiftWallClock(milliseconds: -fault.amount)
        case .babble: network.isRecording = false
        case .offset, .drift, .silence: break
        }
    }

    private func cut(_ fault: ClusterFault, _ count: Int) {
        switch fault.kind {
        case .cut: network.cut(fault.node, fault.other, count)
        case .split:
            for a in nodes.indices {
                for b in nodes.indices where (fault.amount >> Int64(a)) & 1 != (fault.amount >> Int64(b)) & 1 {
                    network.cut(a, b, count)
                }
            }
        case .ring:
            for a in nodes.indices {
                for b in nodes.indices where a != b {
                    let distance = (a - b + nodes.count) % nodes.count
                    if distance != 1, distance != nodes.count - 1 { network.cut(a, b, count) }
                }
            }
        default:
            for other in nodes.indices where other != fault.node {
                network.cut(fault.node, other, count)
                network.cut(other, fault.node, count)
            }
        }
    }

    // MARK: Processes

    private func pause(_ node: ClusterNode, _ place: Int) {
        node.isPaused = true
        node.hasMissedTick = false
        node.trouble = place
    }

    private func resume(_ node: ClusterNode) {
        guard let process = node.process else { return }
        node.isPaused = false
        node.resumedAt = now
        let waiting = node.inbox
        node.inbox = []
        step(node)
        give(.timer, to: node)
        if node.hasMissedTick {
            heap.insert(.tick(node: node.number, boot: process.boot), at: now + scenario.tick * 1_000)
        }
        for event in waiting { heap.insert(event, at: now) }
    }

    private func crash(_ node: ClusterNode, _ fault: ClusterFault, _ place: Int) {
        endProcess(node, gracefully: false)
        node.trouble = place
        node.kept = nil
        if fault.kind == .gone { stopClients(of: node) }
        if fault.kind == .stop, scenario.hasDisk {
            node.kept = node.disk.read(losesPower: fault.amount == 1, now: now)
        } else {
            node.disk = ClusterDisk()
            watch.lossAt = now
        }
    }

    /// A machine takes those with it who run there.
    private func stopClients(of node: ClusterNode) {
        for index in clients.indices where clients[index].location == node.number && clients[index].isOn {
            clients[index].stop(at: now)
        }
    }

    private func leave(_ node: ClusterNode, _ place: Int) {
        guard let process = node.process else { return }
        node.isLeaving = true
        node.trouble = place
        give(.leaving, to: node)
        give(.leave, to: node)
        heap.insert(.left(node: node.number, boot: process.boot), at: now + 6_000_000)
    }

    // MARK: Strangers

    /// An operation that went with the last process that knew of it is as good as a new one when somebody sends it
    /// again.
    private func noteRevived(_ operations: [RemoteOperation], at node: ClusterNode) {
        guard let registry = node.running?.registry else { return }
        let context = registry.context()
        let isNews = operations.contains {
            $0.version.origin != registry.origin
                && !context.contains(origin: $0.version.origin, sequence: $0.version.sequence)
        }
        if isNews { books.noteRevived(at: now) }
    }

    /// Sends something recorded, or rubbish.
    func babble(_ place: Int) {
        guard active.contains(place) else { return }
        heap.insert(.babble(place), at: now + 1_000_000 / max(1, scenario.faults[place].amount))
        figures.babbled += 1
        if networkRandom.oneIn(3) {
            var bytes: [UInt8] = [0xd0, 0x10, UInt8(networkRandom.below(12))] + networkRandom.octets(upTo: 60)
            if networkRandom.oneIn(4) { bytes[1] = UInt8(networkRandom.below(256)) }
            let node = nodes[networkRandom.below(nodes.count)]
            // What can be read would be a part of the truth.
            if (try? Frame(decoding: bytes)) == nil { give(.message(bytes), to: node) }
            return
        }
        guard !network.recorded.isEmpty else { return }
        let old = network.recorded[networkRandom.below(network.recorded.count)]
        switch try? Frame(decoding: old.bytes).body {
        // Clocks in old digests are lies that nothing but the key protects from.
        case .digest?: return
        case .delta(let operations)?: noteRevived(operations, at: nodes[old.to])
        default: break
        }
        for bytes in planted.incoming(old.bytes, at: nodes[old.to], self) { give(.message(bytes), to: nodes[old.to]) }
    }
}
