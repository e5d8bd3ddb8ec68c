import RegdnsTestKit
import Testing

@testable import EtcdAPI

/// Texts that clients compare or parse: JSON strings, forms, paths.
struct TextTests {
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
    @Test(arguments: 0..<64 * SeededRandom.effort)
    func anyBytesAreRead(seed: Int) async throws {
        var random = SeededRandom(seed: UInt64(seed))
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
