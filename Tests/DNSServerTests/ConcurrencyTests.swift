import DNSWire
import Foundation
import RegistryStore
import Synchronization
import Testing

@testable import DNSServer

/// Readers beside a busy writer: no answer may be torn, wrong, or read from freed memory.
@Suite struct ConcurrencyTests {
    /// Registers and deregisters names below `s<n>.skydns.local` until its rounds are over.
    private static func churn(_ server: ViewHarness, rounds: Int) throws {
        for round in 0..<rounds {
            let service = "s\(round % 50)"
            let id = "i\(round % 7)"
            try server.register(service, id, host: .ipv4(UInt32(round) | 0x0A00_0000))
            if round % 3 == 0 {
                try server.delete(
                    String(decoding: server.registry.layout.primaryKey(service: service, id: id), as: UTF8.self))
            }
        }
    }

    /// Asks names that come and go, and one that stays, with an engine of its own.
    private static func ask(_ server: ViewHarness, until done: Flag) throws -> Int {
        let reader = try server.anotherReader()
        var questions = 0
        while !done.isSet {
            let churning = try reader.ask("s\(questions % 50).skydns.local", .a)
            #expect(churning.rcode == .noError || churning.rcode == .nxDomain)
            #expect(churning.answers.allSatisfy { $0.rdata.first == 10 })
            let stable = try reader.ask("stable.skydns.local", .srv)
            #expect(stable.texts == ["stable.skydns.local. SRV 10 100 80 s.stable.skydns.local."])
            questions += 2
        }
        return questions
    }

    private final class Flag: Sendable {
        private let value = Atomic<Bool>(false)
        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }

    @Test func readersSeeOnlyWholeAnswersWhileNamesComeAndGo() async throws {
        let server = try ViewHarness()
        try server.register("stable", "s", host: .ipv4(0x0A00_0001))
        let done = Flag()
        // Threads, not tasks: the readers never suspend, and the pool may have no more threads than they are.
        let readers = AsyncStream<Result<Int, any Error>> { continuation in
            for _ in 0..<2 {
                Thread.detachNewThread { continuation.yield(Result { try Self.ask(server, until: done) }) }
            }
        }
        let churn = Result { try Self.churn(server, rounds: 4000) }
        done.set()
        try churn.get()
        var results = readers.makeAsyncIterator()
        for _ in 0..<2 { #expect(try await results.next()?.get() ?? 0 > 0) }
        // Everything that was replaced is freed once nobody reads.
        server.view.reclaim()
        server.view.reclaim()
        #expect(server.view.counts.retired == 0)
    }
}
