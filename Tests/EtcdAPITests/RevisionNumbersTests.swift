import Testing

@testable import EtcdAPI

struct RevisionNumbersTests {
    static let start: Int64 = 1_700_000_000_000
    static let startCount: Int64 = start - 1_577_836_800_000

    @Test(arguments: [UInt8(0), 1, 7, 255])
    func numbersGoThereAndBack(_ tag: UInt8) {
        let numbers = RevisionNumbers(tag: tag, startUnixMilliseconds: Self.start)
        #expect(numbers.number(of: 0) == Int64(tag) << 45 + Self.startCount)
        for revision: Int64 in [0, 1, 2, 1_000_000] {
            let number = numbers.number(of: revision)
            #expect(number < 1 << 53)
            #expect(number >> 45 == Int64(tag))
            #expect(numbers.meaning(of: number, current: 1_000_000) == .known(revision: revision))
        }
        #expect(numbers.meaning(of: numbers.number(of: 6), current: 5) == .future(revision: 6))
        #expect(numbers.meaning(of: numbers.boot, current: 0) == .known(revision: 0))
    }

    @Test(arguments: [
        Int64.min, -1, 0, 1, 5, startCount - 1, startCount + 1 << 45, startCount + 3 << 45, 1 << 45, 1 << 53, .max,
    ])
    func whatIsOlderOrForeignIsCompacted(_ number: Int64) {
        let numbers = RevisionNumbers(startUnixMilliseconds: Self.start)
        #expect(numbers.meaning(of: number, current: 10) == .compacted)
    }

    /// 1 ms before the year 2051.
    @Test func numbersAreShort() {
        #expect(RevisionNumbers(startUnixMilliseconds: 2_556_143_999_999).boot < 1_000_000_000_000)
    }

    @Test func numbersOfTagZeroAreForeignToOthers() {
        let (mine, other) = (
            RevisionNumbers(tag: 3, startUnixMilliseconds: Self.start),
            RevisionNumbers(tag: 4, startUnixMilliseconds: Self.start)
        )
        #expect(mine.meaning(of: other.number(of: 1), current: 10) == .compacted)
        #expect(other.meaning(of: mine.number(of: 1), current: 10) == .compacted)
    }

    @Test func aRestartGoesOnFromTheReservedNumberOrTheClock() {
        let first = RevisionNumbers(startUnixMilliseconds: Self.start)
        let later = RevisionNumbers(startUnixMilliseconds: Self.start + 5000)
        #expect(later.boot > first.number(of: 4999))
        let reserved = Self.startCount + 90_000
        let behind = RevisionNumbers(startUnixMilliseconds: Self.start + 5000, reservedThrough: reserved)
        #expect(behind.boot == reserved + 1)
        #expect(behind.meaning(of: reserved, current: 0) == .compacted)
        #expect(RevisionNumbers(startUnixMilliseconds: Self.start, reservedThrough: 5).boot == Self.startCount)
    }

    @Test(arguments: [(Int64.min, Int64.min), (.max, 0), (0, .max), (.max, .max), (-5, 0), (0, 0)])
    func clocksAndFilesThatAreOffStayWithinTheTag(_ start: Int64, _ reserved: Int64) {
        let numbers = RevisionNumbers(tag: 255, startUnixMilliseconds: start, reservedThrough: reserved)
        #expect(numbers.boot >> 45 == 255)
        #expect(numbers.number(of: 1 << 43) < 1 << 53)
        #expect(numbers.boot > 255 << 45)
    }
}
