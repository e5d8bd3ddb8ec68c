import RegdnsTestKit
import RegistryStore
import Testing

@testable import Replication

@Suite("A replicator")
struct ReplicatorTests {
    @Test("A write, a change and a removal at one node come to all within a second", arguments: [2, 3, 5, 16, 64])
    func spreads(count: Int) throws {
        let net = try ReplicatorNet(count: count)
        try net.run(milliseconds: 500)
        try net.put("a", at: 0)
        let all = 0..<count
        let seen = try net.run(atMost: 3_000) { all.allSatisfy { net.shows("a", at: $0) } }
        #expect(try #require(seen) <= 1_000)
        try net.put("a", at: count - 1, text: "changed")
        try net.run(milliseconds: 2_000)
        #expect(net.areEqual)
        try net.delete("a", at: 1)
        let gone = try net.run(atMost: 3_000) { all.allSatisfy { !net.shows("a", at: $0) } }
        #expect(try #require(gone) <= 1_000)
        try net.run(milliseconds: 2_000)
        #expect(net.areEqual)
    }

    @Test("After a standstill a node vouches for nothing until it has what another one has, or nobody answers")
    func standstill() throws {
        for isCut in [false, true] {
            let net = try ReplicatorNet(count: 3)
            try net.run(milliseconds: 500)
            try net.put("a", at: 1)
            try net.run(milliseconds: 2_000)
            #expect(net[0].replicator.vouchedUntil != nil && net.shows("a", at: 0))
            try net.run(milliseconds: 9_000, without: 0) { try net.delete("a", at: 1) }
            if isCut { for other in 1...2 { net.hide(other) } }
            try net.run(milliseconds: ReplicatorNet.step)
            #expect(net[0].replicator.vouchedUntil == nil && net[0].replicator.counters.standstills == 1)
            let told = try net.run(atMost: 10_000) { net[0].replicator.vouchedUntil != nil }
            #expect(net.shows("a", at: 0) == isCut)
            #expect(isCut ? (2_900...3_100).contains(try #require(told)) : try #require(told) <= 500)
        }
    }

    @Test("What packets lose is found and asked for", arguments: [10, 30, 60])
    func loss(percent: Int) throws {
        let net = try ReplicatorNet(count: 16, seed: 5)
        net.lossPercent = percent
        try net.run(milliseconds: 500)
        for number in 0..<40 { try net.put("i\(number)", at: number % 16) }
        let seen = try net.run(atMost: 20_000) { net.areEqual }
        #expect(try #require(seen) <= (percent <= 30 ? 3_000 : 20_000))
        for node in 0..<16 { for number in 0..<40 { #expect(net.shows("i\(number)", at: node)) } }
    }

    @Test("A burst beyond the allowance comes by other ways")
    func burst() throws {
        let net = try ReplicatorNet(count: 5)
        try net.run(milliseconds: 500)
        for number in 0..<3_000 { try net.put("i\(number)", at: 0) }
        let before = net.messageBytes
        let seen = try net.run(atMost: 5_000) { net.areEqual && net.shows("i2999", at: 4) }
        #expect(seen != nil)
        let perSecond = (net.messageBytes - before) * 1_000 / Int(max(seen ?? 1, 1_000))
        // Five nodes with 64 KiB each, one second of it saved up, and digests.
        #expect(perSecond < 5 * 2 * 65_536 + 100_000)
        #expect(net.pulls > 0)
    }

    @Test("A value too long for a packet comes as well")
    func long() throws {
        let net = try ReplicatorNet(count: 3)
        try net.run(milliseconds: 500)
        try net.put("long", at: 0, text: String(repeating: "x", count: 5_000))
        let seen = try net.run(atMost: 3_000) { (0..<3).allSatisfy { net.shows("long", at: $0) } }
        #expect(seen != nil)
        #expect(net[0].replicator.counters.announcementsTooLong == 1)
    }

    @Test("When nothing happens, little is said")
    func idle() throws {
        let net = try ReplicatorNet(count: 8)
        for number in 0..<8 { try net.put("i\(number)", at: number, lease: .permanent) }
        try net.run(milliseconds: 70_000)
        let before = net.messageBytes
        try net.run(milliseconds: 60_000)
        #expect(net.areEqual)
        let perSecond = (net.messageBytes - before) / 60 / 8
        #expect(perSecond <= 200, "octets per node and second")
        #expect(net.messageBytes > before)
    }

    @Test("A lone node is ready at once, one that expects others after ten seconds, with a minimum never")
    func solo() throws {
        let net = try ReplicatorNet(count: 1)
        #expect(net[0].replicator.phase == .ready)
        let waiting = net.add(expectsPeers: true)
        let bound = net.add(expectsPeers: true) { $0.minPeers = 1 }
        try net.run(milliseconds: 9_900)
        #expect(net[waiting].replicator.phase == .joining)
        #expect(net[waiting].replicator.notReady != nil)
        try net.run(milliseconds: 200)
        #expect(net[waiting].replicator.phase == .ready)
        #expect(net[bound].replicator.notReady?.contains("0 of 1 other nodes") == true)
    }

    @Test("A new node is ready once it has what two others have")
    func bootstrap() throws {
        let net = try ReplicatorNet(count: 2)
        for number in 0..<2_000 { try net.put("i\(number)", at: number % 2) }
        try net.run(milliseconds: 3_000)
        let new = net.add(expectsPeers: true)
        #expect(net[new].replicator.phase == .joining)
        net.tellPeers()
        let ready = try net.run(atMost: 5_000) { net[new].replicator.phase == .ready }
        #expect(ready != nil)
        #expect(net.shows("i0", at: new) && net.shows("i1999", at: new))
        #expect(net.pulls >= 2)
    }

    @Test(
        "New nodes that come together do not take each other's nothing for everything",
        arguments: 1...8 as ClosedRange<UInt64>)
    func together(seed: UInt64) throws {
        let net = try ReplicatorNet(count: 1, seed: seed)
        for number in 0..<300 { try net.put("i\(number)", at: 0) }
        try net.run(milliseconds: 1_000)
        let new = (0..<5).map { _ in net.add(expectsPeers: true) }
        net.tellPeers()
        for _ in 0..<200 {
            try net.run(milliseconds: 50)
            net.tellPeers()
            for node in new where net[node].replicator.phase == .ready {
                #expect(net.shows("i0", at: node) && net.shows("i299", at: node), "n\(node) is ready with nothing")
            }
        }
        #expect(new.allSatisfy { net[$0].replicator.phase == .ready })
    }

    @Test("A heartbeat at another node keeps a lease, and without heartbeats it ends everywhere")
    func leases() throws {
        let net = try ReplicatorNet(count: 3)
        try net.run(milliseconds: 500)
        try net.put("a", at: 0)
        try net.run(milliseconds: 2_000)
        for _ in 0..<10 {
            try net.registry(2).renew(namespace: .default, id: "a")
            try net.run(milliseconds: 10_000)
            for node in 0..<3 { #expect(net.shows("a", at: node)) }
        }
        try net.run(milliseconds: 22_000)
        for node in 0..<3 { #expect(!net.shows("a", at: node)) }
        #expect(net.areEqual)
    }

    @Test("The leases of a node that is gone are counted by another one")
    func steward() throws {
        let net = try ReplicatorNet(count: 3)
        try net.run(milliseconds: 500)
        try net.put("kept", at: 0)
        try net.put("lost", at: 0)
        try net.run(milliseconds: 2_000)
        net.set(0, isUp: false)
        for _ in 0..<8 {
            try net.registry(1).renew(namespace: .default, id: "kept")
            try net.run(milliseconds: 10_000)
            #expect(net.shows("kept", at: 1) && net.shows("kept", at: 2))
        }
        #expect(!net.shows("lost", at: 1) && !net.shows("lost", at: 2))
        net.set(0, isUp: true)
        try net.run(milliseconds: 3_000)
        #expect(net.areEqual && net.shows("kept", at: 0) && !net.shows("lost", at: 0))
    }

    @Test("A node whose clock is off by more than five seconds writes nothing until it is set right")
    func fence() throws {
        let net = try ReplicatorNet(count: 3)
        try net.run(milliseconds: 5_000)
        net[1].clock.shiftWallClock(milliseconds: 90_000)
        let fenced = try net.run(atMost: 70_000) {
            if case .fence = net[1].replicator.clockVerdict { true } else { false }
        }
        #expect(fenced != nil)
        #expect(throws: RegistryError.self) { try net.put("a", at: 1) }
        try net.put("a", at: 0)
        net[1].clock.shiftWallClock(milliseconds: -90_000)
        #expect(
            try net.run(atMost: 70_000) { net[1].replicator.clockVerdict == .fine } != nil)
        try net.put("b", at: 1)
        try net.run(milliseconds: 3_000)
        #expect(net.areEqual)
    }

    @Test("After a split both sides have everything")
    func split() throws {
        let net = try ReplicatorNet(count: 2)
        try net.run(milliseconds: 500)
        net.set(1, isUp: false)
        try net.put("left", at: 0)
        try net.put("right", at: 1)
        try net.put("both", at: 0, text: "left")
        try net.run(milliseconds: 100)
        try net.put("both", at: 1, text: "right")
        try net.run(milliseconds: 5_000)
        net.set(1, isUp: true)
        let healed = try net.run(atMost: 10_000) { net.areEqual }
        #expect(try #require(healed) <= 3_000)
        for node in 0..<2 { for id in ["left", "right", "both"] { #expect(net.shows(id, at: node)) } }
    }

    @Test("Who left and meets others again has what they have before it is ready, and ends nothing of theirs meanwhile")
    func comesBack() throws {
        let net = try ReplicatorNet(count: 3)
        try net.run(milliseconds: 500)
        try net.put("mine", at: 0)
        try net.put("renewed", at: 1)
        try net.put("removed", at: 1)
        try net.put("silent", at: 2)
        try net.run(milliseconds: 2_000)
        net.give(.leaving, to: 0)
        net.set(0, isUp: false)
        for id in ["new0", "new1"] { try net.put(id, at: 1, lease: .permanent) }
        try net.delete("removed", at: 2)
        try net.put("alone", at: 0)
        // Longer than any lease and its grace.
        for _ in 0..<12 {
            for id in ["mine", "alone"] { try net.registry(0).renew(namespace: .default, id: id) }
            try net.registry(1).renew(namespace: .default, id: "renewed")
            try net.run(milliseconds: 10_000)
            for id in ["mine", "alone", "renewed", "removed", "silent"] { #expect(net.shows(id, at: 0), "\(id)") }
        }
        #expect(net[0].replicator.phase == .ready, "it serves on, alone")
        #expect(!net.shows("mine", at: 1) && !net.shows("silent", at: 1))

        net.set(0, isUp: true)
        #expect(net[0].replicator.phase == .syncing && net[0].replicator.notReady != nil)
        let ready = try net.run(atMost: 5_000) {
            #expect(net.shows("renewed", at: 1) && net.shows("renewed", at: 2), "it never ends")
            return net[0].replicator.phase == .ready
        }
        #expect(ready != nil)
        #expect(net.shows("new0", at: 0) && net.shows("new1", at: 0))
        #expect(!net.shows("removed", at: 0) && !net.shows("silent", at: 0))
        try net.run(milliseconds: 3_000)
        for node in 0..<3 {
            for id in ["mine", "alone", "renewed"] { #expect(net.shows(id, at: node), "\(id) at \(node)") }
        }
        #expect(net.areEqual)
        // Another member that comes and goes later makes nobody unready.
        net.set(2, isUp: false)
        net.set(2, isUp: true)
        #expect(net[0].replicator.phase == .ready)
    }

    @Test("Who left and finds nobody stays as it is; with a minimum of peers it waits for them")
    func comesBackTooFew() throws {
        let net = try ReplicatorNet(count: 3) { $0.minPeers = 2 }
        #expect(try net.run(atMost: 3_000) { (0..<3).allSatisfy { net[$0].replicator.phase == .ready } } != nil)
        net.give(.leaving, to: 0)
        net.set(0, isUp: false)
        try net.run(milliseconds: 60_000)
        #expect(net[0].replicator.phase == .ready)
        net.set(2, isUp: false)
        net.set(0, isUp: true)
        try net.run(milliseconds: 30_000)
        #expect(net[0].replicator.notReady?.contains("1 of 2 other nodes") == true)
        net.set(2, isUp: true)
        #expect(try net.run(atMost: 5_000) { net[0].replicator.phase == .ready } != nil)
    }

    @Test("Rubbish, strangers and kinds of later versions are counted and do nothing")
    func strangers() throws {
        let net = try ReplicatorNet(count: 2)
        let digest = DigestFrame(clock: 0, summary: ReplicaSummary(context: 1, entries: 1))
        net.give(.message([]), to: 0)
        net.give(.message([0xd0, 0x70, 1]), to: 0)
        net.give(.message(Frame(.unknown(kind: 99, [1])).encoded()), to: 0)
        net.give(.message(Frame(.digest(digest)).encoded()), to: 0)
        let stranger = FrameExtension(type: Replicator.senderExtension, bytes: Array("nobody".utf8))
        net.give(.message(Frame(.digest(digest), extensions: [stranger]).encoded()), to: 0)
        let counters = net[0].replicator.counters
        #expect(counters.badFrames == 1)
        #expect(counters.unknownVersions == 1)
        #expect(counters.unknownKinds == 1)
        #expect(counters.strangers == 2)
    }
}
