import EtcdMessages
import Foundation
import GRPC
import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdStore

/// The follower's decisions, by script: no clock, no sockets.
struct CoreTests {
    /// A core with its time and what it wanted.
    struct Script {
        var core = FollowerCore(endpoints: 3, range: KeyRange(prefix: Array("/p/".utf8)))
        var random = SeededRandom(seed: 1)
        var now: Int64 = 1_000

        @discardableResult
        mutating func hand(_ input: FollowerCore.Input) -> [String] {
            core.handle(input, now: now, random: &random).map(Script.text)
        }

        mutating func wait(_ milliseconds: Int64) -> [String] {
            now += milliseconds
            return hand(.tick)
        }

        /// Connected, listed at a revision, and watching.
        @discardableResult
        mutating func follow(from revision: Int64, _ kvs: [EtcdKeyValue] = []) -> [String] {
            hand(.start)
            hand(.connected(epoch: core.epoch))
            let listed = hand(.page(Self.page(revision, kvs), isAudit: false, epoch: core.epoch))
            return listed + hand(.watched(Self.created(revision), epoch: core.epoch))
        }

        static func header(_ revision: Int64, cluster: UInt64 = 7, term: UInt64 = 2) -> EtcdResponseHeader {
            var header = EtcdResponseHeader()
            header.clusterID = cluster
            header.revision = revision
            header.raftTerm = term
            return header
        }

        static func kv(_ key: String, _ revision: Int64) -> EtcdKeyValue {
            var kv = EtcdKeyValue()
            kv.key = Data(key.utf8)
            kv.modRevision = revision
            kv.createRevision = revision
            kv.version = 1
            return kv
        }

        static func page(
            _ revision: Int64, _ kvs: [EtcdKeyValue] = [], more: Bool = false, cluster: UInt64 = 7
        ) -> EtcdRangeResponse {
            var page = EtcdRangeResponse()
            page.header = header(revision, cluster: cluster)
            page.kvs = kvs
            page.more = more
            return page
        }

        static func created(_ revision: Int64, cluster: UInt64 = 7, term: UInt64 = 2) -> EtcdWatchResponse {
            var response = EtcdWatchResponse()
            response.header = header(revision, cluster: cluster, term: term)
            response.created = true
            return response
        }

        static func events(
            _ events: [(key: String, revision: Int64, isDelete: Bool)], fragment: Bool = false
        ) -> EtcdWatchResponse {
            var response = EtcdWatchResponse()
            response.header = header(events.last?.revision ?? 0)
            response.fragment = fragment
            response.events = events.map {
                var event = EtcdEvent()
                event.type = $0.isDelete ? .delete : .put
                event.kv = kv($0.key, $0.revision)
                return event
            }
            return response
        }

        static func text(_ effect: FollowerCore.Effect) -> String {
            func key(_ bytes: some Sequence<UInt8>) -> String {
                String(decoding: Array(bytes), as: UTF8.self).replacing("\0", with: "+")
            }
            switch effect {
            case .connect(let endpoint, _): return "connect \(endpoint)"
            case .disconnect: return "disconnect"
            case .forgetToken: return "forget token"
            case .list(let request, let isAudit, _):
                return "\(isAudit ? "audit" : "list") \(key(request.key)) of \(request.limit) at \(request.revision)"
                    + (request.serializable ? " serializable" : "")
            case .watch(let request, _): return "watch from \(request.startRevision)"
            case .endWatch: return "end watch"
            case .askProgress: return "progress?"
            case .replace(let values, let revision, let restarts):
                return "replace by \(values.count) at \(revision)" + (restarts ? " restarting" : "")
            case .apply(let batches):
                return batches.map { batch in
                    "\(batch.revision): "
                        + batch.changes.map { change in
                            if case .delete = change { "-\(key(change.key))" } else { "+\(key(change.key))" }
                        }.joined(separator: " ")
                }.joined(separator: "; ")
            case .repair(let values, let revision, let deleted):
                return "repair by \(values.count) at \(revision), \(deleted.count) deleted since"
            case .wake: return "wake"
            case .note(let note):
                switch note {
                case .live: return "live"
                case .lost(let reason, _): return "lost: \(reason)"
                case .compacted(let revision): return "compacted \(revision)"
                case .listsAnew: return "lists anew"
                case .historyChanged: return "history changed"
                case .staleList: return "stale list"
                case .auditFailed: return "audit failed"
                case .tooMuch: return "too much"
                }
            }
        }
    }

    private static let lost = GRPCStatus(.unavailable, "gone")

    @Test("lists in pages of one revision, then watches from the next")
    func start() {
        var script = Script()
        #expect(script.hand(.start) == ["connect 0"])
        #expect(script.hand(.connected(epoch: 1)) == ["list /p/ of 1000 at 0"])
        #expect(
            script.hand(.page(Script.page(40, [Script.kv("/p/a", 5)], more: true), isAudit: false, epoch: 1))
                == ["list /p/a+ of 1000 at 40"])
        #expect(
            script.hand(.page(Script.page(44, [Script.kv("/p/b", 6)]), isAudit: false, epoch: 1))
                == ["replace by 2 at 40 restarting", "watch from 41"])
        #expect(!script.core.isLive)
        #expect(script.hand(.watched(Script.created(44), epoch: 1)) == ["live"])
        #expect(script.core.isLive)
    }

    @Test("events come by revision, fragments as a whole, repetitions not at all")
    func events() {
        var script = Script()
        script.follow(from: 40)
        func hand(_ events: [(String, Int64, Bool)], fragment: Bool = false) -> [String] {
            script.hand(
                .watched(
                    Script.events(events.map { (key: $0.0, revision: $0.1, isDelete: $0.2) }, fragment: fragment),
                    epoch: script.core.epoch))
        }
        #expect(hand([("a", 41, false), ("b", 41, true), ("c", 43, false)]) == ["41: +a -b; 43: +c"])
        #expect(hand([("a", 41, false), ("c", 43, false)]) == [])
        #expect(hand([("d", 44, false)], fragment: true) == [])
        #expect(script.core.position == 43)
        #expect(hand([("e", 44, false), ("f", 45, false)]) == ["44: +d +e; 45: +f"])
        // A fragment whose rest never came counts for nothing.
        #expect(hand([("g", 46, false)], fragment: true) == [])
        script.hand(.failed(Self.lost, epoch: script.core.epoch))
        _ = script.wait(6_000)
        #expect(script.hand(.connected(epoch: script.core.epoch)) == ["watch from 46"])
    }

    @Test("after a loss: another endpoint, the same position; late news of the old connection are ignored")
    func loss() {
        var script = Script()
        script.follow(from: 40)
        let old = script.core.epoch
        #expect(
            script.hand(.failed(Self.lost, epoch: old)) == ["lost: unavailable: gone", "disconnect", "wake"])
        #expect(script.hand(.watched(Script.events([(key: "a", revision: 41, isDelete: false)]), epoch: old)) == [])
        #expect(script.hand(.failed(Self.lost, epoch: old)) == [])
        #expect(script.wait(5_000) == ["connect 1"])
        #expect(script.hand(.connected(epoch: script.core.epoch)) == ["watch from 41"])
        #expect(script.hand(.watched(Script.created(60), epoch: script.core.epoch)) == ["live"])
    }

    @Test("pauses grow at random up to their bound, and start again after a good watch")
    func backoff() {
        var script = Script()
        script.hand(.start)
        var longest: Int64 = 0
        for round in 0..<200 {
            let effects = script.core.handle(
                .failed(Self.lost, epoch: script.core.epoch), now: script.now, random: &script.random)
            for case .wake(let pause) in effects {
                let bound = min(5_000, 50 * pow(1.6, Double(round)))
                #expect(Double(pause) <= bound + 1)
                longest = max(longest, pause)
            }
            _ = script.wait(5_000)
        }
        #expect(longest > 4_000)
        script.hand(.connected(epoch: script.core.epoch))
        script.hand(.page(Script.page(4), isAudit: false, epoch: script.core.epoch))
        script.hand(.watched(Script.created(4), epoch: script.core.epoch))
        script.now += 30_000
        let effects = script.core.handle(
            .failed(Self.lost, epoch: script.core.epoch), now: script.now, random: &script.random)
        for case .wake(let pause) in effects { #expect(pause <= 50) }
    }

    @Test("cancelled: what was compacted is listed, all else is tried again")
    func cancelled() {
        var script = Script()
        script.follow(from: 40)
        var response = Script.created(90)
        response.created = false
        response.canceled = true
        response.compactRevision = 80
        #expect(
            script.hand(.watched(response, epoch: script.core.epoch))
                == ["compacted 80", "end watch", "list /p/ of 1000 at 0"])
        #expect(
            script.hand(.page(Script.page(90), isAudit: false, epoch: script.core.epoch))
                == ["replace by 0 at 90", "watch from 91"])
        response.compactRevision = 0
        response.cancelReason = "etcdserver: permission denied"
        #expect(
            script.hand(.watched(response, epoch: script.core.epoch)).first
                == "lost: unavailable: the watch was cancelled: etcdserver: permission denied")
    }

    @Test("a revision, a term or a cluster that is not what it was: a list decides")
    func otherHistory() {
        for (created, listed, expected) in [
            // A member that is behind, and a cluster that is not.
            (Script.created(30), Script.page(41), "replace by 0 at 41"),
            (Script.created(60, term: 1), Script.page(60), "replace by 0 at 60"),
            // A restored backup.
            (Script.created(30), Script.page(31), "replace by 0 at 31 restarting"),
            // Another cluster.
            (Script.created(90, cluster: 8), Script.page(90, cluster: 8), "replace by 0 at 90 restarting"),
        ] {
            var script = Script()
            script.follow(from: 40)
            script.hand(.failed(Self.lost, epoch: script.core.epoch))
            _ = script.wait(6_000)
            script.hand(.connected(epoch: script.core.epoch))
            let doubt = script.hand(.watched(created, epoch: script.core.epoch))
            #expect(doubt.dropFirst() == ["end watch", "list /p/ of 1000 at 0"])
            let effects = script.hand(.page(listed, isAudit: false, epoch: script.core.epoch))
            #expect(effects.contains(expected), "\(effects)")
            #expect((doubt + effects).contains("history changed") == expected.hasSuffix("restarting"))
            // The same member may still be behind: it was just asked, so it is not doubted again.
            #expect(script.hand(.watched(created, epoch: script.core.epoch)) == ["live"])
        }
    }

    @Test("cold without a quorum: one member's state after ten seconds, and it says so")
    func cold() {
        var script = Script()
        script.hand(.start)
        script.hand(.connected(epoch: script.core.epoch))
        script.hand(.listFailed(Self.lost, isAudit: false, epoch: script.core.epoch))
        script.now += 9_000
        script.hand(.tick)
        #expect(script.hand(.connected(epoch: script.core.epoch)) == ["list /p/ of 1000 at 0"])
        script.hand(.listFailed(Self.lost, isAudit: false, epoch: script.core.epoch))
        _ = script.wait(2_000)
        #expect(script.hand(.connected(epoch: script.core.epoch)) == ["list /p/ of 1000 at 0 serializable"])
        #expect(
            script.hand(.page(Script.page(9), isAudit: false, epoch: script.core.epoch))
                == ["stale list", "replace by 0 at 9 restarting", "watch from 10"])
        // With content there is no hurry any more.
        script.hand(.failed(Self.lost, epoch: script.core.epoch))
        _ = script.wait(60_000)
        #expect(script.hand(.connected(epoch: script.core.epoch)) == ["watch from 10"])
    }

    @Test("long pages are halved, compacted lists begin again, refused tokens are forgotten")
    func listTrouble() {
        var script = Script()
        script.hand(.start)
        script.hand(.connected(epoch: 1))
        #expect(
            script.hand(.listFailed(GRPCStatus(.resourceExhausted, "too long"), isAudit: false, epoch: 1))
                == ["list /p/ of 500 at 0"])
        script.hand(.page(Script.page(8, [Script.kv("/p/a", 1)], more: true), isAudit: false, epoch: 1))
        #expect(
            script.hand(.listFailed(GRPCStatus(.outOfRange, "compacted"), isAudit: false, epoch: 1))
                == ["lists anew", "list /p/ of 500 at 0"])
        #expect(
            script.hand(.listFailed(GRPCStatus(.unauthenticated, "invalid auth token"), isAudit: false, epoch: 1))
                .contains("forget token"))
    }

    @Test("a silent watch is asked, and given up")
    func silence() {
        var script = Script()
        script.follow(from: 40)
        #expect(script.wait(14_000) == [])
        #expect(script.wait(1_500) == ["progress?"])
        #expect(script.wait(1_000) == [])
        #expect(script.wait(15_000) == ["progress?"])
        var answer = EtcdWatchResponse()
        answer.header = Script.header(99)
        script.hand(.watched(answer, epoch: script.core.epoch))
        #expect(script.core.position == 40, "progress may overtake events in versions before 3.4.25")
        _ = script.wait(44_000)
        #expect(script.wait(2_000).first == "lost: unavailable: the watch is silent")
        // A watch that is never created.
        _ = script.wait(6_000)
        script.hand(.connected(epoch: script.core.epoch))
        #expect(script.wait(5_500).first == "lost: unavailable: the watch was not created in time")
    }

    @Test("every ten minutes everything is compared beside the watch")
    func audit() {
        var script = Script()
        script.follow(from: 40)
        var effects: [String] = []
        var waited: Int64 = 0
        while !effects.contains("audit /p/ of 1000 at 0") {
            effects = script.wait(10_000)
            waited += 10_000
            script.hand(.watched(Script.events([]), epoch: script.core.epoch))
            guard waited < 700_000 else { break }
        }
        #expect((530_000...670_000).contains(waited))

        script.hand(
            .page(Script.page(50, [Script.kv("/p/a", 3)], more: true), isAudit: true, epoch: script.core.epoch))
        script.hand(.watched(Script.events([(key: "/p/b", revision: 51, isDelete: true)]), epoch: script.core.epoch))
        script.hand(.page(Script.page(52, [Script.kv("/p/b", 4)]), isAudit: true, epoch: script.core.epoch))
        #expect(script.core.isLive)
        #expect(!script.wait(500).contains { $0.hasPrefix("repair") })
        #expect(script.wait(600).contains("repair by 2 at 50, 1 deleted since"))
    }

    @Test("random events never confuse it", arguments: 0..<50 * SeededRandom.effort)
    func random(round: Int) {
        var dice = SeededRandom(seed: UInt64(round))
        var script = Script()
        script.hand(.start)
        var position: Int64 = 0
        for _ in 0..<400 {
            let epoch = script.core.epoch - (dice.oneIn(5) ? 1 : 0)
            let revision = Int64(dice.below(300))
            let input: FollowerCore.Input
            switch dice.below(9) {
            case 0: input = .connected(epoch: epoch)
            case 1: input = .failed(Self.lost, epoch: epoch)
            case 2, 3:
                input = .page(
                    Script.page(
                        revision, [Script.kv("/p/\(dice.below(9))", 1)], more: dice.oneIn(3),
                        cluster: dice.oneIn(9) ? 8 : 7),
                    isAudit: dice.oneIn(3), epoch: epoch)
            case 4:
                input = .listFailed(
                    GRPCStatus(dice.oneIn(2) ? .outOfRange : .resourceExhausted, ""), isAudit: dice.oneIn(3),
                    epoch: epoch)
            case 5: input = .watched(Script.created(revision), epoch: epoch)
            case 6:
                let events = (0..<dice.below(4)).map {
                    (key: "k", revision: revision + Int64($0), isDelete: dice.oneIn(2))
                }
                input = .watched(Script.events(events, fragment: dice.oneIn(4)), epoch: epoch)
            case 7:
                var response = Script.created(revision)
                response.canceled = true
                response.compactRevision = dice.oneIn(2) ? revision : 0
                input = .watched(response, epoch: epoch)
            default:
                script.now += Int64(dice.below(60_000))
                input = .tick
            }
            for effect in script.core.handle(input, now: script.now, random: &script.random) {
                switch effect {
                case .apply(let batches):
                    // Every batch is newer than all before it, and the position is the last one's.
                    for batch in batches {
                        #expect(batch.revision > position, "seed \(round)")
                        position = batch.revision
                    }
                case .replace(_, let revision, let restarts):
                    #expect(restarts || revision >= position, "seed \(round)")
                    position = revision
                case .watch(let request, let epoch):
                    #expect(request.startRevision == position + 1, "seed \(round)")
                    #expect(epoch == script.core.epoch)
                case .connect(let endpoint, _): #expect((0..<3).contains(endpoint))
                case .repair: #expect(script.core.isLive)
                default: break
                }
            }
            #expect(script.core.position == position, "seed \(round)")
            #expect(script.core.pageLimit >= 1)
        }
    }
}
