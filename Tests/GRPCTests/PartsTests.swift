import NIOCore
import RegdnsTestKit
import Testing

@testable import GRPC

/// Timeouts, texts, framing and budgets by themselves.
struct PartsTests {
    @Test(
        arguments: [
            ("1S", 1_000_000_000), ("2m", 2_000_000), ("3u", 3000), ("4n", 4), ("1M", 60_000_000_000),
            ("1H", 3_600_000_000_000), ("-1S", -1_000_000_000), ("99999999H", 3_155_760_000_000_000_000),
            ("99999999M", 3_155_760_000_000_000_000), ("S", nil), ("", nil), ("1", nil), ("1s", nil), ("1 S", nil),
            ("123456789S", nil), ("é1S", nil),
        ] as [(String, Int64?)])
    func timeouts(text: String, nanoseconds: Int64?) {
        #expect(CallTimeout.parse(text)?.nanoseconds == nanoseconds)
    }

    @Test(
        arguments: [.zero, .nanoseconds(1), .microseconds(7), .milliseconds(1500), .seconds(99), .seconds(99_999_999)]
            as [Duration])
    func timeoutTextsAreNotShorter(_ time: Duration) throws {
        let text = CallTimeout.text(time)
        let parsed = try #require(CallTimeout.parse(text))
        #expect(TimeAmount(time) <= parsed, "\(text)")
        #expect(text.utf8.count <= 9)
    }

    @Test func textsThereAndBack() {
        var random = SeededRandom(test: "texts")
        for _ in 0..<200 {
            let text = String(decoding: random.octets(upTo: 40), as: UTF8.self)
            #expect(StatusText.decode(StatusText.encode(text)) == text, "seed \(random.seed)")
            #expect(StatusText.encode(text).utf8.allSatisfy { (0x20...0x7E).contains($0) })
        }
        #expect(StatusText.decode("100% %4") == "100% %4")
    }

    /// Messages cut into pieces anywhere come out whole, copied or not.
    @Test func messagesInPieces() throws {
        var random = SeededRandom(test: "pieces")
        for _ in 0..<50 {
            let messages = (0..<5).map { _ in random.bytes(random.below(random.oneIn(4) ? 20_000 : 30)) }
            var bytes = ByteBuffer()
            for message in messages {
                var (first, rest) = MessageFraming.frames(
                    of: ByteBuffer(bytes: message), allocator: ByteBufferAllocator())
                bytes.writeBuffer(&first)
                if var rest { bytes.writeBuffer(&rest) }
            }
            var reader = MessageReader(bytesMax: 20_000, encoding: nil)
            var found: [[UInt8]] = []
            while bytes.readableBytes > 0 {
                let count = min(bytes.readableBytes, 1 + random.below(random.oneIn(2) ? 4000 : 3))
                if let piece = bytes.readSlice(length: count) { reader.append(piece) }
                while let message = try reader.next() { found.append(Array(message.readableBytesView)) }
            }
            #expect(found == messages, "seed \(random.seed)")
            #expect(reader.bufferedBytes == 0)
        }
    }

    /// Three bytes of a large read are three bytes.
    @Test(arguments: [3, 5, 20]) func waitingBytesKeepNoLargeBufferAlive(_ count: Int) throws {
        let read = ByteBuffer(bytes: [0, 0, 0, 0, 99] + [UInt8](repeating: 1, count: 60_000))
        var reader = MessageReader(bytesMax: 100, encoding: nil)
        reader.append(try #require(read.getSlice(at: 0, length: count)))
        let message = try reader.next()
        #expect(message == nil)
        #expect(reader.bufferedBytes == count)
        let buffer = reader.buffer ?? ByteBuffer()
        #expect(buffer.storageCapacity <= 512 + 2 * buffer.readableBytes)
    }

    @Test func budgetIsRefilledByTimeAndByAnswers() {
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var budget = ControlBudget(bound: 10, perSecond: 2, now: now)
        var paid = 0
        func spendAll() {
            while budget.spend(now: now) { paid += 1 }
        }
        spendAll()
        #expect(paid == 10)
        now = now + .seconds(1)
        spendAll()
        #expect(paid == 12)
        budget.sentFrame()
        spendAll()
        #expect(paid == 16)
        now = now + .hours(100_000)
        spendAll()
        #expect(paid == 26)
    }

    @Test func heldMemoryIsTakenInChunksAndGivenBack() {
        let shared = HeldBytes(bound: 100_000)
        let own = HeldHere.ownBytes
        var one = HeldHere(shared: shared, bound: own + 80_000)
        var two = HeldHere(shared: shared, bound: own + 80_000)
        let answers = [one.hold(own), two.hold(own)]
        #expect(answers == [true, true])
        #expect(shared.count == 0)
        let further = [one.hold(80_000), one.hold(1), two.hold(40_000), two.hold(10_000)]
        #expect(further == [true, false, false, true])
        #expect(two.count == own + 10_000)
        let before = shared.count
        one.letGo(80_000)
        #expect(shared.count < before - 60_000)
        one.letGoOfAll()
        two.letGoOfAll()
        #expect(shared.count == 0)
    }
}
