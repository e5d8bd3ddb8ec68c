import EtcdAPI
import Foundation
import Testing

/// Plays what `Tests/Vectors/etcd_v2_capture.py` recorded from a real etcd 3.4 and expects the same bytes.
struct RecordedAnswersTests {
    struct Recording: Decodable {
        let etcd: String
        let cases: [Case]
    }

    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        let name: String
        let steps: [Step]

        var testDescription: String { name }
    }

    struct Step: Decodable, Sendable {
        struct Request: Decodable, Sendable {
            let method: String
            let target: String
            let headers: [String: String]?
            /// Bytes as the characters U+0000 to U+00FF.
            let body: String?
        }

        struct Response: Decodable, Sendable {
            let status: Int
            let headers: [String: String]
            let body: String
        }

        let wait: Double?
        let request: Request?
        let response: Response?
    }

    static let recording = Result {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Vectors/etcd_v2.json")
        return try JSONDecoder().decode(Recording.self, from: Data(contentsOf: file))
    }

    /// Requests that regdns answers otherwise, with the reason.
    static let exceptions = [
        "GET /v3": "the v3 gateway is not served yet, so there is no path to redirect to"
    ]

    @Test(arguments: try recording.get().cases)
    func answersAsRecorded(_ recorded: Case) async throws {
        let door = try Door()
        let base = Int(try required(try await door.get("/").fields["x-etcd-index"]))!
        for step in recorded.steps {
            if let seconds = step.wait { door.wait(milliseconds: Int64(seconds * 1000)) }
            guard let request = step.request, let expected = step.response else { continue }
            let line = "\(request.method) \(request.target)"
            guard Self.exceptions[line] == nil else { continue }
            let body = (request.body ?? "").unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
            let answer = try await door.send(
                request.method, fill(request.target, base), body: Array(fill(body, base)),
                fields: request.headers ?? [:])
            #expect(answer.status == expected.status, "\(line)")
            // The listener leaves out the body of an answer to HEAD.
            if request.method != "HEAD" { #expect(mark(answer.text) == fill(expected.body, base), "\(line)") }
            for (name, value) in expected.headers { check(answer, name, fill(value, base), line) }
            #expect(Set(answer.fields.keys) == Set(expected.headers.keys).union(["content-length"]), "\(line)")
        }
    }

    @Test func versionIsTheRecordedOne() throws {
        #expect(try Self.recording.get().etcd == EtcdHTTPHandler.version)
    }

    /// Compares a field; of those whose values are the server's own only the form.
    private func check(_ answer: Door.Answer, _ name: String, _ expected: String, _ line: String) {
        switch expected {
        case "{cluster}": #expect(answer.fields[name]?.count == 16, "\(line)")
        case "{raft}": #expect(answer.fields[name].flatMap(Int.init) != nil, "\(line)")
        default: #expect(answer.fields[name] == expected, "\(line): \(name)")
        }
    }

    /// Fills in `{+n}`, `{+n:20}` and `{version}`.
    private func fill(_ text: String, _ base: Int) -> String {
        text.replacing(/\{([+-]\d+)(:20)?\}/) { match in
            let number = String(base + (Int(match.1) ?? 0))
            return match.2 == nil ? number : String(repeating: "0", count: 20 - number.count) + number
        }.replacing("{version}", with: EtcdHTTPHandler.version)
    }

    private func fill(_ bytes: [UInt8], _ base: Int) -> [UInt8] {
        bytes.contains(UInt8(ascii: "{")) ? Array(fill(String(decoding: bytes, as: UTF8.self), base).utf8) : bytes
    }

    /// Puts the mark in the place of expirations, whose form it checks.
    private func mark(_ text: String) -> String {
        text.replacing(
            /"expiration":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,2}[1-9])?Z"/, with: "\"expiration\":\"{time}\"")
    }
}
