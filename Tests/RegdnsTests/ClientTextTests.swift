import Foundation
import Logging
import Testing

@testable import regdns

@Suite("What the client verbs read and print")
struct ClientTextTests {
    @Test(
        "Server URLs",
        arguments: [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"), ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:9/base/", "http://[::1]:9/base"), ("HTTP://registry.example", "http://registry.example:80"),
        ])
    func serverURLs(text: String, expected: String) throws {
        #expect(try ServerURL(text).description == expected)
    }

    @Test(
        "Texts that are no server URL",
        arguments: [
            "", "http://", "ftp://h", "http://h?x", "http://u:p@h", "https://h", "http://h:99999999", "http://h#f",
        ])
    func noServerURLs(text: String) {
        #expect(throws: UserError.self) { try ServerURL(text) }
    }

    @Test("Names become one part of a path")
    func percentEncoding() {
        #expect(PercentEncoding.part("a/b c?ü%~") == "a%2Fb%20c%3F%C3%BC%25~")
    }

    @Test(
        "Reverse names",
        arguments: [
            ("10.0.0.7", "7.0.0.10.in-addr.arpa."),
            ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."),
        ])
    func reverseNames(text: String, expected: String) {
        #expect(ReverseName.of(text) == expected)
        #expect(ReverseName.of("web.skydns.local") == nil)
    }

    @Test("Events arrive whole whatever the pieces")
    func events() {
        let text =
            ": hello\n\nid: 7\nevent: registered\ndata: {\"a\":\ndata: 1}\n\nid: 8\n\n"
            + "data\r\n\r\nevent: x\n\ndata:y\r\r"
        let expected = [
            ServerSentEvent(id: "7", name: "registered", data: "{\"a\":\n1}"),
            ServerSentEvent(id: "8", name: "message", data: ""),
            ServerSentEvent(id: "8", name: "message", data: "y"),
        ]
        for size in 1...text.utf8.count {
            var parser = EventStreamParser()
            var found: [ServerSentEvent] = []
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                found += parser.feed(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(found == expected, "pieces of \(size)")
            #expect(parser.lastID == "8")
        }
    }

    @Test("An event that is too long is dropped, the next one is read")
    func longEvent() {
        var parser = EventStreamParser()
        #expect(parser.feed([UInt8](repeating: 0x61, count: EventStreamParser.maxEventBytes + 1)).isEmpty)
        #expect(parser.feed(Array("\n\ndata: b\n\n".utf8)).map(\.data) == ["b"])
    }

    @Test("Tables have columns, and values stay on their line")
    func table() {
        let table = TextTable.render(header: ["A", "BB"], rows: [["x\ny", ""], ["long value", "z"]])
        #expect(table == "A           BB\nx\\ny\nlong value  z")
    }
}

@Suite("Log lines")
struct LogLineTests {
    private func line(_ format: LogFormat, message: String = "hello", metadata: [(key: String, value: String)] = [])
        -> String
    {
        let time = Date(timeIntervalSince1970: 1_700_000_000.25)
        return String(
            decoding: LogLine.bytes(
                format, time: time, level: .info, module: "dns", message: message, metadata: metadata), as: UTF8.self)
    }

    @Test("Text is for people: one line, values quoted where they need it")
    func text() {
        #expect(
            line(.text, metadata: [(key: "a", value: "1"), (key: "b", value: "x y"), (key: "c", value: "q\"\\")])
                == "2023-11-14T22:13:20.250Z info    dns: hello a=1 b=\"x y\" c=\"q\\\"\\\\\"\n")
        #expect(line(.text, message: "a\nb\u{1B}[0m") == "2023-11-14T22:13:20.250Z info    dns: a\\nb\\u{1b}[0m\n")
    }

    @Test("json has Amalgam8's fields, logstash those of its event schema")
    func objects() throws {
        let metadata = [(key: "k", value: "a\"b\u{1}\n")]
        let json = try object(line(.json, metadata: metadata))
        #expect(
            json == [
                "time": "2023-11-14T22:13:20.250Z", "level": "info", "module": "dns", "msg": "hello",
                "k": "a\"b\u{1}\n",
            ])
        let logstash = try object(line(.logstash, metadata: metadata))
        #expect(
            logstash == [
                "@timestamp": "2023-11-14T22:13:20.250Z", "@version": "1", "level": "info", "module": "dns",
                "message": "hello", "k": "a\"b\u{1}\n",
            ])
    }

    private func object(_ line: String) throws -> [String: String] {
        #expect(line.hasSuffix("\n") && line.dropLast().allSatisfy { !$0.isNewline })
        return try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
    }
}
