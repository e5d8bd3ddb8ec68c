import DNSWire
import RegdnsTestKit
import RegistryStore
import Testing

@testable import Replication

/// Whose clock is wrong stops writing; the others go on.
struct ClockWatchTests {
    private static func moment(_ milliseconds: Int64) -> Moment {
        Moment(monotonic: milliseconds, unix: 1_700_000_000_000 + milliseconds)
    }

    private static func watch(_ offsets: [Int64], allowsSkew: Bool = false, at time: Int64 = 0) -> ClockWatch {
        var watch = ClockWatch(allowsSkew: allowsSkew)
        for (peer, offset) in offsets.enumerated() {
            watch.heard(from: "p\(peer)", sentUnix: moment(time).unix + offset, now: moment(time))
        }
        return watch
    }

    @Test(
        "the median of the peers decides",
        arguments: [
            ([], ClockWatch.Verdict.fine), ([500], .fine), ([-500], .fine), ([501], .warn(offset: 501)),
            ([5000], .warn(offset: 5000)), ([5001], .fence(WriteFence(offsetMilliseconds: 5001))),
            ([-90_000], .fence(WriteFence(offsetMilliseconds: -90_000))), ([0, 90_000], .fine),
            ([90_000, 90_001, 0], .fence(WriteFence(offsetMilliseconds: 90_000))), ([90_000, 10, -10], .fine),
            ([.max], .fence(WriteFence(offsetMilliseconds: .max - 1_700_000_000_000))),
        ] as [([Int64], ClockWatch.Verdict)])
    func median(offsets: [Int64], verdict: ClockWatch.Verdict) {
        guard offsets != [.max] else {
            var watch = ClockWatch(allowsSkew: false)
            watch.heard(from: "p", sentUnix: .max, now: Self.moment(0))
            #expect(watch.verdict(now: Self.moment(0)) == verdict)
            watch.heard(from: "q", sentUnix: .min, now: Self.moment(0))
            #expect(watch.offset(now: Self.moment(0)) == Int64.max - 1_700_000_000_000)
            return
        }
        var watch = Self.watch(offsets)
        #expect(watch.verdict(now: Self.moment(0)) == verdict)
    }

    @Test("a switch lets the node write all the same")
    func allowed() {
        var watch = Self.watch([90_000], allowsSkew: true)
        #expect(watch.verdict(now: Self.moment(0)) == .warn(offset: 90_000))
    }

    @Test("a fence falls a little below where it rose, and with the last word of the peers")
    func hysteresis() {
        var watch = Self.watch([5001])
        #expect(watch.verdict(now: Self.moment(0)) == .fence(WriteFence(offsetMilliseconds: 5001)))
        watch = {
            var copy = watch
            for time in stride(from: Int64(60_000), to: 61_000, by: 100) {
                copy.heard(from: "p0", sentUnix: Self.moment(time).unix + 4600, now: Self.moment(time))
            }
            return copy
        }()
        #expect(watch.verdict(now: Self.moment(61_000)) == .fence(WriteFence(offsetMilliseconds: 4600)))
        #expect(watch.verdict(now: Self.moment(130_000)) == .fine)
    }

    @Test("when this node's own clock is set, what the peers said before still counts")
    func ownStep() {
        for step in [-3_600_000, -90_000, 90_000, 3_600_000] as [Int64] {
            var watch = Self.watch([0, 10])
            var set = Self.moment(1000)
            set.unix += step
            #expect(watch.verdict(now: Self.moment(1000)) == .fine)
            #expect(watch.verdict(now: set) == .fence(WriteFence(offsetMilliseconds: step < 0 ? -step : 10 - step)))
            #expect(watch.verdict(now: Self.moment(2000)) == .fine)
        }
    }

    @Test("the time of a message is told by its sender's clock as far as that is known")
    func ownTime() {
        for offset in [-3_600_000, 90_000] as [Int64] {
            let watch = Self.watch([offset])
            let sent = Self.moment(500).unix + offset
            let known = watch.ownTime(of: sent, from: "p0", now: Self.moment(700))
            #expect(known == max(sent, Self.moment(500).unix))
            #expect(watch.ownTime(of: sent, from: "q", now: Self.moment(700)) == sent)
        }
    }

    @Test("what was long on its way does not count against a clock")
    func delay() {
        var watch = ClockWatch(allowsSkew: false)
        for delay in [9000, 40, 7000] as [Int64] {
            watch.heard(from: "p", sentUnix: Self.moment(0).unix - delay, now: Self.moment(0))
        }
        #expect(watch.offset(now: Self.moment(0)) == -40)
    }

    @Test("a fenced node makes no versions; it counts its leases, merges and reads")
    func fence() throws {
        let clock = VirtualClock()
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        let registry = Registry(layout: layout, node: "a", origin: 7, clock: clock.registryClock)
        let key = layout.primaryKey(service: "s", id: "i")
        let instance = InstanceAttributes(service: "s", id: "i", endpointType: "tcp", endpoint: "e")
        func put(_ host: UInt32) -> Intent {
            .put(
                namespace: .default, key: key,
                value: .registration(Registration(host: .ipv4(host), instance: instance)),
                lease: .own(milliseconds: 1000))
        }
        try registry.apply([put(1)])
        registry.setFence(WriteFence(offsetMilliseconds: -90_000))
        let expected = RegistryError.unavailable(
            reason: "this node's clock is 90 s ahead of the cluster's; writes are refused until it is set right",
            retryAfterSeconds: 5)
        #expect(throws: expected) { try registry.apply([put(2)]) }
        #expect(throws: expected) { try registry.apply([.delete(namespace: .default, key: key)]) }
        #expect(throws: expected) { try registry.transact([.intent(put(2))]) }
        #expect(throws: expected) { try registry.grantLease(id: nil, milliseconds: 1000) }
        try registry.renew(namespace: .default, id: "i")
        // The heartbeat of SkyDNS's clients.
        try registry.apply([put(1)])
        try registry.apply([.renew(namespace: .default, key: key)])
        _ = try registry.transact([.range(namespace: .default, lower: [], upper: nil, limit: 1)])
        let foreign = RemoteOperation(
            namespace: .default, key: [1], version: Version(hlc: 1, kind: .write, origin: 1, sequence: 1),
            value: .bytes([1]),
            lease: RemoteOperation.RemoteLease(
                id: LeaseID(5), milliseconds: 1000, isShared: false, isSuspended: false, home: "b"))
        #expect(registry.merge([foreign]).changes.count == 1)
        #expect(throws: expected) { try registry.keepAlive(LeaseID(5)) }
        clock.advance(milliseconds: 1001)
        #expect(registry.expireDue()?.changes.map(\.kind) == [.expiry])
        registry.setFence(nil)
        try registry.apply([put(2)])
    }
}
