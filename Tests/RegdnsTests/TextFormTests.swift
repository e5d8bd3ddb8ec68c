import Testing

@testable import regdns

@Suite("The texts of settings")
struct TextFormTests {
    @Test(
        "Durations are read as Go reads them",
        arguments: [
            ("30s", Duration.seconds(30)), ("1m30s", .seconds(90)), ("500ms", .milliseconds(500)),
            ("2h", .seconds(7_200)), ("1.5h", .seconds(5_400)), ("0", .zero), ("0s", .zero),
            (".5s", .milliseconds(500)),
            ("1.s", .seconds(1)), ("1h0m0.25s", .milliseconds(3_600_250)), ("3us", .microseconds(3)),
            ("3µs", .microseconds(3)), ("7ns", .nanoseconds(7)),
        ])
    func durations(text: String, expected: Duration) {
        #expect(DurationText.parse(text) == expected)
    }

    @Test(
        "Texts that are no duration",
        arguments: [
            "", "30", "s", "-1s", "1 s", "1d", "1.2.3s", ".s", "1s30", "10000000000h", "9999999999999999999s", "½s",
            "1m30", "inf", "0x10s",
        ])
    func noDurations(text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test(
        "Durations are written as short as Go writes them",
        arguments: [
            ("90s", "1m30s"), ("500ms", "500ms"), ("0", "0s"), ("2h", "2h"), ("1.5s", "1s500ms"), ("1ns", "1ns"),
        ])
    func formattedDurations(text: String, expected: String) throws {
        let duration = try #require(DurationText.parse(text))
        #expect(DurationText.format(duration) == expected)
        #expect(DurationText.parse(DurationText.format(duration)) == duration)
    }

    @Test(
        "Addresses with a port",
        arguments: [
            ("127.0.0.1:53", "127.0.0.1:53"), ("[::]:53", "[::]:53"), ("[0:0::1]:0", "[::1]:0"),
            ("localhost:8080", "127.0.0.1:8080"), ("0.0.0.0:65535", "0.0.0.0:65535"),
        ])
    func endpoints(text: String, expected: String) {
        #expect(SocketEndpoint.parse(text)?.description == expected)
    }

    @Test(
        "Texts that are no address with a port",
        arguments: [
            "", ":", "53", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "::1:53",
            "[::1]", "[::1]53", "[::1:53", "example.org:53", "1.2.3:53", "127.0.0.1:5 3",
            "127.0.0.1:99999999999999999999",
        ])
    func noEndpoints(text: String) {
        #expect(SocketEndpoint.parse(text) == nil)
    }

    @Test(
        "Servers whose port may be left out",
        arguments: [
            ("9.9.9.9", "9.9.9.9:53"), ("2001:db8::1", "[2001:db8::1]:53"), ("[2001:db8::1]:5", "[2001:db8::1]:5"),
        ])
    func serversWithoutPort(text: String, expected: String) {
        #expect(SocketEndpoint.parse(text, defaultPort: 53)?.description == expected)
    }

    @Test(
        "Who can reach a listener",
        arguments: [
            ("127.0.0.1:1", true), ("127.8.0.1:1", true), ("[::1]:1", true), ("0.0.0.0:1", false), ("[::]:1", false),
            ("10.0.0.1:1", false), ("[::ffff:127.0.0.1]:1", false),
        ])
    func loopback(text: String, expected: Bool) {
        #expect(SocketEndpoint.parse(text)?.isLoopback == expected)
    }

    @Test(
        "Networks",
        arguments: [
            ("10.0.0.0/8", "10.0.0.0/8"), ("::/0", "::/0"), ("10.1.2.3", "10.1.2.3/32"), ("fd00::1", "fd00::1/128"),
        ])
    func networks(text: String, expected: String) {
        #expect(NetworkText.parse(text)?.description == expected)
    }

    @Test(
        "Texts that are no network",
        arguments: ["", "/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "a/8", "10.0.0.0/+8"])
    func noNetworks(text: String) {
        #expect(NetworkText.parse(text) == nil)
    }

    @Test("Yes and no in the usual words")
    func booleans() {
        for word in ["true", "TRUE", "t", "yes", "on", "1"] { #expect(ValueForm<Bool>.boolean.read(word) == true) }
        for word in ["false", "F", "no", "Off", "0"] { #expect(ValueForm<Bool>.boolean.read(word) == false) }
        for word in ["", "2", "ja", "truee"] { #expect(ValueForm<Bool>.boolean.read(word) == nil) }
    }

    @Test(
        "Seconds as a number or a whole duration",
        arguments: [("0", 0), ("3600", 3_600), ("1h", 3_600), ("2147483647", 2_147_483_647)])
    func seconds(text: String, expected: Int) {
        #expect(ValueForm<Int>.seconds.read(text) == expected)
    }

    @Test("Texts that are no seconds", arguments: ["", "-1", "1.5s", "500ms", "2147483648", "1e3", "abc"])
    func noSeconds(text: String) {
        #expect(ValueForm<Int>.seconds.read(text) == nil)
    }

    @Test(
        "The nearest known word",
        arguments: [("dsn", "dns"), ("lease-defalt", "lease-default"), ("htttp", "http"), ("zone", "zones")])
    func nearest(word: String, expected: String) {
        #expect(SettingTable.nearest(to: word) == expected)
    }

    @Test("Errors stay one line and cannot steer the terminal")
    func oneLine() {
        let error = UserError(what: "a\nb", why: "\u{1B}[31m", remedy: "x")
        #expect(error.description == "regdns: a\\nb: \\u{1b}[31m; x")
    }
}
