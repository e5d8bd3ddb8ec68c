import Foundation
import Memberlist
import RegistryStore
import Replication

/// Closes the sockets of one node after another, and waits until all others know.
func kill(_ options: Options) async throws {
    try await withThrowingTaskGroup { group in
        for number in 0..<options.clusters { group.addTask { try await kill(options, cluster: number) } }
        try await group.waitForAll()
    }
}

private func kill(_ options: Options, cluster number: Int) async throws {
    var cluster = try await Cluster.form(number, options)
    try await pause(3)
    for trial in 0..<options.trials {
        try await jitter()
        let gone = cluster.nodes.remove(at: .random(in: 1..<cluster.nodes.count))
        let (name, before, at) = (gone.name, cluster.deaths, now())
        await gone.stop()
        var seen: [Double] = []
        while now() - at < 60, seen.count < cluster.nodes.count {
            try await pause(0.02)
            seen = cluster.nodes.compactMap { node in node.sight.see { $0.gone[name] } }.map { $0 - at }.sorted()
        }
        var line: [String: any Sendable] = [
            "scenario": "kill", "nodes": options.nodes, "survivors": cluster.nodes.count, "cluster": number,
            "trial": trial, "missing": cluster.nodes.count - seen.count,
            "false_deaths": cluster.deaths - before - seen.count,
        ]
        if let first = seen.first, let last = seen.last { (line["first"], line["all"]) = (first, last) }
        try say(line)
        try await pause(2)
    }
    await cluster.stop()
}

/// Sends one message of 100 octets to all at a time, changes the metadata of one node, or registers one instance.
func change(_ options: Options) async throws {
    let cluster = try await Cluster.form(0, options)
    try await pause(3)
    var changes: [(by: Int, mark: [UInt8], at: Double)] = []
    for trial in 0..<options.trials {
        let by = Int.random(in: cluster.nodes.indices)
        let node = cluster.nodes[by]
        let at = now()
        switch options.kind {
        case "metadata":
            try await node.node.update(meta: Array("role=regdns;v\(trial + 2)".utf8))
            changes.append((by, [], at))
        case "registration": changes.append((by, try node.put("i\(trial)"), at))
        default:
            let text = Array("\(trial)".utf8)
            let mark = text + Array(repeating: UInt8(ascii: " "), count: 100 - text.count)
            node.sight.see { $0.heard[mark] = at }
            try await node.node.broadcast(mark)
            changes.append((by, mark, at))
        }
        try await pause(options.gap + .random(in: 0..<1))
        if options.kind == "metadata" {
            try report(options, trial, cluster.times(besides: by, since: at) { $0.updated[node.name] }, copies: nil)
        }
    }
    if options.kind != "metadata" {
        try await pause(5)
        let copies = cluster.nodes.reduce(0) { $0 + $1.copies }
        let perDelivery = Double(copies) / Double(changes.count * (options.nodes - 1))
        for (trial, change) in changes.enumerated() {
            let times = cluster.times(besides: change.by, since: change.at) { $0.heard[change.mark] }
            try report(options, trial, times, copies: perDelivery)
        }
    }
    await cluster.stop()
}

private func report(_ options: Options, _ trial: Int, _ times: [Double], copies: Double?) throws {
    var line: [String: any Sendable] = [
        "scenario": "change", "kind": options.kind, "nodes": options.nodes, "trial": trial, "ms": times,
        "missing": options.nodes - 1 - times.count,
    ]
    if let copies { line["copies"] = copies }
    try say(line)
}

/// Starts nodes one after another, each joining a random earlier one.
func join(_ options: Options) async throws {
    for trial in 0..<options.trials {
        let (began, processor) = (now(), cpuSeconds())
        var cluster = Cluster()
        for number in 0..<options.nodes {
            try await cluster.add(0, number, options)
            if number > 0 { try await cluster.nodes[number].dial(cluster.nodes[.random(in: 0..<number)]) }
        }
        let joining = now() - began
        var line: [String: any Sendable] = ["scenario": "join", "nodes": options.nodes, "trial": trial]
        if let full = try await cluster.untilFull(options.nodes, within: 90) { line["full"] = full }
        line["joining"] = joining
        line["deaths"] = cluster.deaths
        line["cpu"] = cpuSeconds() - processor
        try say(line)
        await cluster.stop()
    }
}

/// memberlist's first periodic push/pull comes after up to 90 s at 64 nodes.
private let settleSeconds = 95.0

/// Counts what nodes send while nothing happens.
func idle(_ options: Options) async throws {
    let cluster = try await Cluster.form(0, options)
    try await pause(settleSeconds)
    func sums() async throws -> [Int] {
        var (packets, packetBytes, streamBytes) = (0, 0, 0)
        for node in cluster.nodes {
            let transport = try await node.node.counters().transport
            packets += transport.packetsOut
            packetBytes += transport.packetBytesOut
            streamBytes += transport.streamBytesOut
        }
        return [packets, packetBytes, streamBytes]
    }
    let (before, died, processor, began) = (try await sums(), cluster.deaths, cpuSeconds(), now())
    try await pause(options.seconds)
    let seconds = (now() - began) * Double(options.nodes)
    let rates = zip(try await sums(), before).map { Double($0 - $1) / seconds }
    try say([
        "scenario": "idle", "nodes": options.nodes, "replicates": options.replicates, "packets": rates[0],
        "packet_bytes": rates[1], "stream_bytes": rates[2], "cpu": (cpuSeconds() - processor) / seconds,
        "deaths": cluster.deaths - died,
    ])
    await cluster.stop()
}

/// One node in a process of its own, which prints what it sees.
func single(_ options: Options) async throws {
    guard let bind = address(options.bind) else { throw BadOption("an address for --bind") }
    let node = try await BenchNode.start(options.name, at: bind, replicates: options.replicates)
    try say(["event": "started"])
    if !options.join.isEmpty { try await node.node.join(options.join.split(separator: ",").compactMap(address)) }
    var (known, members): (Set<NodeName>, Int) = ([], 0)
    while true {
        let (gone, count) = node.sight.see { ($0.gone, $0.members.count) }
        for (name, at) in gone where known.insert(name).inserted {
            let age = now() - at
            try say([
                "event": "gone", "name": "\(name)", "at": Double(SystemTime.unixMilliseconds()) / 1_000 - age,
            ])
        }
        if count != members {
            members = count
            try say(["event": "members", "count": members])
        }
        try await pause(0.02)
    }
}

/// `1.2.3.4:5`.
private func address(_ text: some StringProtocol) -> GossipAddress? {
    let parts = text.split(separator: ":")
    guard parts.count == 2, let port = UInt16(parts[1]) else { return nil }
    return GossipAddress(ip: parts[0].split(separator: ".").compactMap { UInt8($0) }, port: port)
}
