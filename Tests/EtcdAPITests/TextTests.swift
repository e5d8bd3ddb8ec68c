import Foundation
import RegdnsTestKit
import Testing

@testable import EtcdAPI

/// Texts that clients compare or parse: dates, JSON strings, forms, paths.
struct TextTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z", "Mon, 28 Feb 2000 23:59:59 GMT"),
        (951_782_400_000, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_709_251_199_500, "2024-02-29T23:59:59.5Z", "Thu, 29 Feb 2024 23:59:59 GMT"),
        (4_107_542_400_010, "2100-03-01T00:00:00.01Z", "Mon, 01 Mar 2100 00:00:00 GMT"),
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

    @Test(arguments: [
        ([0x61, 0x22, 0x5C, 0x2F, 0x08, 0x1F, 0x7F], "\"a\\\"\\\\/\\u0008\\u001f\u{7F}\""),
        ([0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0x80], "\"é€😀\""),
        ([0xE2, 0x80, 0xA7, 0xE2, 0x80, 0xA8, 0xE2, 0x80, 0xA9], "\"\u{2027}\\u2028\\u2029\""),
        // Overlong, surrogate, beyond U+10FFFF, cut short, lone continuation.
        ([0xC0, 0x80], "\"\\ufffd\\ufffd\""),
        ([0xED, 0xA0, 0x80], "\"\\ufffd\\ufffd\\ufffd\""),
        ([0xF4, 0x90, 0x80, 0x80], "\"\\ufffd\\ufffd\\ufffd\\ufffd\""),
        ([0xF0, 0x9F, 0x98], "\"\\ufffd\\ufffd\\ufffd\""),
        ([0x80, 0x41], "\"\\ufffdA\""),
        ([], "\"\""),
    ])
    func jsonStrings(_ bytes: [UInt8], _ expected: String) {
        var json = GoJSON()
        json.string(bytes)
        #expect(String(decoding: json.bytes, as: UTF8.self) == expected)
    }

    @Test(arguments: [
        ("", ""), ("/", "/"), ("/a", "/a"), ("/a/", "/a/"), ("//a", "/a"), ("/a//", "/a/"), ("/./a", "/a"),
        ("/a/../b", "/b"), ("/a/..", "/"), ("/..", "/"), ("/../../x", "/x"), ("/a/.", "/a"), ("/a/...", "/a/..."),
        ("/.a/..b", "/.a/..b"), ("/a%2F%2e%2e/b", "/b"), ("/a/%2e%2e/%2e%2e/%2e%2e", "/"),
    ])
    func cleanPaths(_ target: String, _ clean: String) throws {
        let target = try #require(RequestTarget("http://host" + target + "?x=//.."))
        #expect(String(decoding: target.cleanPath, as: UTF8.self) == (clean.isEmpty ? "/" : clean))
        #expect(target.query.elementsEqual("x=//..".utf8))
    }

    @Test(arguments: ["", "*", "a", "ftp://x/y", "/%", "/%4", "/%zz", "/a%"])
    func targetsThatAreNone(_ target: String) {
        #expect(RequestTarget(target) == nil)
    }

    @Test(arguments: [
        ("application/x-www-form-urlencoded", true), ("Application/X-WWW-Form-Urlencoded ; a=b", true),
        ("\tapplication/x-www-form-urlencoded\t;", true), ("application/x-www-form-urlencodedx", false),
        ("text/plain", false), ("", false), ("form", false), ("multipart/form-data; boundary=x", false),
    ])
    func contentTypes(_ type: String, _ isForm: Bool) throws {
        #expect(try FormValues.isForm(contentType: type) == isForm)
    }

    /// What reads a request must take any bytes: seeded, so that a failure can be seen again.
    @Test(arguments: 0..<64)
    func anyBytesAreRead(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let door = try Door()
        for _ in 0..<64 {
            let noise = random.bytes(upTo: 48, of: Array("%+&=;/.?_aZ0\u{0}\u{FF}".utf8) + [0xFF, 0xC3])
            _ = try? FormValues(form: noise[...], query: noise[...])
            _ = try? FormValues.isForm(contentType: String(decoding: noise, as: UTF8.self))
            let target =
                "/v2/keys/" + String(decoding: random.bytes(upTo: 32, of: Array("%2FaA/.?_&=".utf8)), as: UTF8.self)
            let method = ["PUT", "GET", "DELETE", "POST", "HEAD"][random.below(5)]
            let answer = try await door.send(method, target, body: noise, fields: formFields)
            #expect((200..<500).contains(answer.status))
        }
    }
}
