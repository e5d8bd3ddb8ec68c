import HTTPTypes
import Testing

@testable import HTTPAdmin

struct RouteTableTests {
    private static let table: RouteTable<String> = {
        var table = RouteTable<String>()
        table.add(.get, "/", "root")
        table.add(.get, "/a/{x}", "get x")
        table.add(.put, "/a/{x}", "put x")
        table.add(.get, "/a/{x}/b/{y}", "x and y")
        return table
    }()

    @Test(arguments: [
        ("GET", "/", "root"), ("GET", "/a/1", "get x 1"), ("PUT", "/a/1", "put x 1"),
        ("GET", "/a/x%20y", "get x x y"), ("GET", "/a/%3a%3A", "get x ::"), ("GET", "/a/a+b", "get x a+b"),
        ("GET", "/a/1/b/2", "x and y 1 2"), ("DELETE", "/a/1", "405 GET,PUT"), ("HEAD", "/", "405 GET"),
        ("GET", "/a", "404"), ("GET", "/a/", "404"), ("GET", "/a//b/2", "404"), ("GET", "//", "404"),
        ("GET", "/A/1", "404"), ("GET", "", "404"), ("GET", "/a/%2", "400"), ("GET", "/a/%zz", "400"),
        ("GET", "/a/%ff", "400"), ("DELETE", "/a/%zz", "400"),
    ])
    func match(method: String, path: String, expected: String) throws {
        let method = try #require(HTTPRequest.Method(method))
        let result =
            switch Self.table.match(method, path: path) {
            case .found(let target, let parameters):
                [target, parameters[0], parameters[1]].filter { !$0.isEmpty }.joined(separator: " ")
            case .methodNotAllowed(let allowed): "405 " + allowed.map(\.rawValue).joined(separator: ",")
            case .notFound: "404"
            case .malformed: "400"
            }
        #expect(result == expected)
    }

    @Test func parameterBeyondThePatternIsEmpty() {
        #expect(PathParameters(["a"])[1].isEmpty)
        #expect(PathParameters(["a"])[-1].isEmpty)
    }
}

struct TextTests {
    @Test(arguments: [
        ("a=1&b=2", "a=1;b=2"), ("a=%2B+%20", "a=+  "), ("a", "a="), ("a=", "a="), ("&&a=1&", "a=1"), ("=x", "=x"),
        ("a=b=c", "a=b=c"), ("a=%", "bad"), ("%zz=1", "bad"), ("a=%ff", "bad"), ("", ""), ("s%C3%A9=%E2%82%AC", "sé=€"),
    ])
    func query(text: String, expected: String) {
        let items = URLText.queryItems(text)
        #expect((items?.map { "\($0.name)=\($0.value)" }.joined(separator: ";") ?? "bad") == expected)
    }

    @Test(arguments: ["", "abc-._~:09", "a b/c?d#e%", "é日"])
    func pathSegmentsRoundTrip(text: String) {
        let encoded = URLText.encodePathSegment(text)
        #expect(!encoded.contains("/") && !encoded.contains("?"))
        #expect(URLText.decodePathSegment(encoded[...]) == text)
    }

    @Test(
        arguments: [
            ("/a?b=c", nil, "/a", "b=c"), ("/a", nil, "/a", nil), ("/a?", nil, "/a", ""),
            ("http://h:1/a?b", "h:1", "/a", "b"), ("http://h", "h", "/", nil), ("http://h?x", "h", "/", "x"),
            ("*", nil, "*", nil), ("/a://b", nil, "/a://b", nil), ("", nil, "/", nil), ("/a?b?c", nil, "/a", "b?c"),
        ] as [(String, String?, String, String?)])
    func target(text: String, authority: String?, path: String, query: String?) {
        let split = HTTPCall.splitTarget(text)
        #expect(split.authority == authority)
        #expect(split.path == path)
        #expect(split.query == query)
    }

    @Test(
        arguments: [
            ("application/json", true), ("Application/JSON", true), ("application/json; charset=utf-8", true),
            ("application/json;charset=\"UTF-8\"", true), ("application/json; charset=latin1", false),
            ("application/json; version=1", true), ("text/plain", false), ("application/jsonx", false), ("", false),
            (nil, false),
        ] as [(String?, Bool)])
    func contentType(field: String?, isJSON: Bool) {
        #expect(HeaderText.isJSON(contentType: field) == isJSON)
    }

    @Test(
        arguments: [
            ("gzip", true), ("deflate, gzip", true), ("deflate,gzip", true), ("gzip;q=0.5", true), ("gzip;q=0", false),
            ("gzip; q=0.000", false), ("GZIP", true), ("deflate", false), ("gzipx", false), ("", false), (nil, false),
            ("br;q=1, gzip ; q=0.1", true), (",,", false),
        ] as [(String?, Bool)])
    func acceptEncoding(field: String?, accepts: Bool) {
        #expect(HeaderText.acceptsGzip(field) == accepts)
    }

    @Test func fieldValuesAreSafe() {
        #expect(HeaderText.fieldValue("a\r\nX: y\u{0}é") == "a??X: y???")
        #expect(HeaderText.fieldValue(String(repeating: "a", count: 999)).count == 300)
    }

    @Test(
        arguments: [
            (0, "0s"), (5, "5ms"), (1_000, "1s"), (1_250, "1.25s"), (61_000, "1m1s"), (3_600_000, "1h0m0s"),
            (90_061_500, "25h1m1.5s"), (-3, "0s"),
        ] as [(Int64, String)])
    func goDuration(milliseconds: Int64, text: String) {
        #expect(GoText.duration(milliseconds: milliseconds) == text)
    }

    @Test(
        arguments: [
            (nil, BearerToken.absent), ("", .absent), ("  ", .absent), ("Bearer x", .token("x")),
            ("bearer x", .token("x")), ("BEARER x", .malformed), ("Bearer", .malformed), ("Bearer ", .malformed),
            ("Basic x", .malformed), ("Bearer a b", .token("a b")), ("x", .malformed),
        ] as [(String?, BearerToken)])
    func bearer(field: String?, token: BearerToken) {
        var headers = HTTPFields()
        if let field { headers[.authorization] = field }
        #expect(BearerToken(headers) == token)
    }
}

struct JSONOutputTests {
    @Test func commasAndEscapes() {
        var json = JSONOutput()
        json.beginObject()
        json.member("a", "<\"\n>")
        json.member("b", ["x", "y"])
        json.name("c")
        json.beginArray()
        json.beginObject()
        json.endObject()
        json.integer(-1)
        json.bool(false)
        json.number(0.5)
        json.number(.infinity)
        json.number(3)
        json.raw(Array("null".utf8))
        json.endArray()
        json.member("d", [String]())
        json.endObject()
        let expected = #"{"a":"\u003c\"\n\u003e","b":["x","y"],"c":[{},-1,false,0.5,null,3,null],"d":[]}"#
        #expect(String(decoding: json.bytes, as: UTF8.self) == expected)
    }
}

struct MetricTextTests {
    @Test func rendering() {
        let families = [
            MetricFamily("a_total", .counter, help: "An \\ and\na line.", value: 3),
            MetricFamily(
                "b", .gauge, help: "B.",
                samples: [
                    MetricSample(0.25, labels: [("x", "q\"\\\n"), ("y", "z")]), MetricSample(.nan),
                    MetricSample(-.infinity),
                ]),
            MetricFamily("c", .histogram, help: "C.", samples: [MetricSample(7, suffix: "_count")]),
        ]
        let expected = """
            # HELP a_total An \\\\ and\\na line.
            # TYPE a_total counter
            a_total 3
            # HELP b B.
            # TYPE b gauge
            b{x="q\\"\\\\\\n",y="z"} 0.25
            b NaN
            b -Inf
            # HELP c C.
            # TYPE c histogram
            c_count 7

            """
        #expect(String(decoding: MetricText.render(families), as: UTF8.self) == expected)
    }
}
