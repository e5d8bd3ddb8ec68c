import Memberlist
import NIOCore
import Replication
import Testing

@Suite("The application's streams")
struct OwnStreamTests {
    @Test("One question, one answer", arguments: GossipNodeTests.Wrapping.allCases)
    func request(wrapping: GossipNodeTests.Wrapping) async throws {
        try await withCluster(of: 2, wrapping.apply) { nodes in
            let question = [UInt8](0...255) + [UInt8](repeating: 3, count: 100_000)
            let answer = try await nodes[0].node.request(question, to: nodes[1].node.address)
            #expect(answer == question.reversed())
        }
    }

    @Test("Frames go both ways, more than buffers hold", arguments: GossipNodeTests.Wrapping.allCases)
    func frames(wrapping: GossipNodeTests.Wrapping) async throws {
        try await withCluster(of: 2, wrapping.apply) { nodes in
            let count = 64
            let received = try await within(.seconds(20), "frames") {
                try await nodes[0].node.withStream(to: nodes[1].node.address, first: [1, 2]) { stream in
                    #expect(stream.first == [2, 1])
                    return try await withThrowingTaskGroup(of: Int.self) { group in
                        group.addTask {
                            for number in 0..<count {
                                let bytes = [UInt8](repeating: UInt8(number), count: number * 4_000)
                                try await stream.writer.write(ByteBuffer(bytes: bytes))
                            }
                            return 0
                        }
                        group.addTask {
                            var place = 0
                            for try await frame in stream.frames {
                                let isSame =
                                    Array(frame.readableBytesView)
                                    == [UInt8](repeating: UInt8(place), count: place * 4_000)
                                #expect(isSame, "frame \(place)")
                                place += 1
                                if place == count { break }
                            }
                            return place
                        }
                        return try await group.reduce(0, +)
                    }
                }
            }
            #expect(received == count)
        }
    }

    @Test("A frame right behind the first message is not lost")
    func behind() async throws {
        let node = try await TestNode.start("target") { $0.compresses = false }
        let heard = try await RawPeer.ask(
            node.node.bound, [[208, 0, 0, 0, 2, 1, 2] + [0, 0, 3, 7, 8, 9] + [0, 0], [1, 5]], closing: true)
        #expect(heard == [208, 0, 0, 0, 2, 2, 1] + [0, 0, 3, 7, 8, 9] + [0, 0, 1, 5])
        let tooLong = try await RawPeer.ask(node.node.bound, [[208, 0, 0, 0, 1, 1] + [255, 255, 255, 0]])
        #expect(tooLong.isEmpty || tooLong == [208, 0, 0, 0, 1, 1])
        await node.node.shutdown()
    }

    @Test("More streams than taken are refused, and room comes back")
    func bound() async throws {
        try await withCluster(of: 2) {
            $0.limits.ownStreams = 1
        } _: { nodes in
            let target = nodes[1].node.address
            _ = try await nodes[0].node.withStream(to: target, first: [1]) { _ in
                await #expect(throws: (any Error).self) { try await nodes[0].node.request([2], to: target) }
            }
            try await within(.seconds(5), "room") {
                while (try? await nodes[0].node.request([2, 3], to: target)) != [3, 2] {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            let counters = try await nodes[1].node.counters().transport
            let own = try await nodes[0].node.counters().transport
            #expect(counters.ownStreamsBeyondLimit + own.ownStreamsBeyondLimit > 0)
        }
    }

    @Test("Nobody there, or nobody who understands")
    func failures() async throws {
        let node = try await TestNode.start("alone")
        let gone = try await TestNode.start("gone")
        await gone.node.shutdown()
        await #expect(throws: GossipNodeError.badAnswer) { try await node.node.request([1], to: gone.node.address) }
        await node.node.shutdown()
        await #expect(throws: GossipNodeError.stopped) { try await node.node.request([1], to: gone.node.address) }
    }
}
