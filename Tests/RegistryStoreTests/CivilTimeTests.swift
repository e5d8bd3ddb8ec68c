import Foundation
import Testing

@testable import RegistryStore

/// Dates as clients compare or parse them.
struct CivilTimeTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z", "Mon, 28 Feb 2000 23:59:59 GMT"),
        (951_782_400_000, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_709_251_199_500, "2024-02-29T23:59:59.5Z", "Thu, 29 Feb 2024 23:59:59 GMT"),
        (4_107_542_400_010, "2100-03-01T00:00:00.01Z", "Mon, 01 Mar 2100 00:00:00 GMT"),
        (784_111_777_000, "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
        (1_700_000_000_120, "2023-11-14T22:13:20.12Z", "Tue, 14 Nov 2023 22:13:20 GMT"),
        (-1, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
        (Int64.max, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ])
    func dates(_ milliseconds: Int64, _ rfc3339: String, _ http: String) {
        let time = CivilTime(unixMilliseconds: milliseconds)
        #expect(time.rfc3339 == rfc3339)
        #expect(time.httpDate == http)
    }

    /// Every day of 400 years, against Foundation.
    @Test func datesAgreeWithFoundation() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        for day in stride(from: 0, to: 146_097, by: 1) {
            let parts = calendar.dateComponents(
                [.year, .month, .day, .weekday], from: Date(timeIntervalSince1970: Double(day) * 86_400))
            let time = CivilTime(unixMilliseconds: Int64(day) * 86_400_000)
            if (time.year, time.month, time.day) != (parts.year, parts.month, parts.day)
                || time.weekday + 1 != parts.weekday
            {
                Issue.record("day \(day): \(time)")
                return
            }
        }
    }
}
