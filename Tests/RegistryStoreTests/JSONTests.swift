import RegdnsTestKit
import Testing

@testable import RegistryStore

/// The JSON reader and writer by themselves.
struct JSONTests {
    @Test(
        "values are read as they are",
        arguments: [
            ("null", .null), (" true ", .bool(true)), ("false", .bool(false)), ("-0.0e+10", .number("-0.0e+10")),
            ("123456789012345678901234567890", .number("123456789012345678901234567890")),
            (#""""#, .string("")), (#""\u00e9\n\/""#, .string("é\n/")), ("[]", .array([])), ("{ }", .object([])),
            (#"[1,"a",[null]]"#, .array([.number("1"), .string("a"), .array([.null])])),
            (#"{"b":1,"a":2,"b":3}"#, .object([("b", .number("1")), ("a", .number("2")), ("b", .number("3"))])),
        ] as [(String, JSONValue)])
    func reading(text: String, value: JSONValue) throws {
        #expect(try JSONValue.parse(Array(text.utf8)) == value)
    }

    @Test(
        "errors name the place and what was expected",
        arguments: [
            ("", 0, "a value"), ("  ", 2, "a value"), ("[1,]", 3, "a value"), ("[1 2]", 3, "',' or ']'"),
            (#"{"a" 1}"#, 5, "':'"), (#"{"a":1 "b":2}"#, 7, "',' or '}'"), (#"{1:2}"#, 1, "a member's name"),
            ("[1", 2, "',' or ']'"), ("tru", 0, "a value"), ("-", 1, "a digit"), ("1.", 2, "a digit"),
            ("1e", 2, "a digit"), (#""ab"#, 3, "the end of the string"), (#""\q""#, 2, "an escape"),
            (#""\u12"#, 5, "four hexadecimal digits"), ("\"a\u{1}\"", 2, "no control character in a string"),
            ("1 2", 2, "the end of the text"), ("01", 1, "the end of the text"), ("NaN", 0, "a value"),
            ("\u{feff}1", 0, "a value"), (#""\"#, 2, "the end of the string"),
        ])
    func errors(text: String, offset: Int, expected: String) {
        #expect(throws: JSONError(offset: offset, expected: expected)) { try JSONValue.parse(Array(text.utf8)) }
        if !text.isEmpty {
            #expect(throws: JSONError(offset: offset, expected: expected)) { try JSONText.compact(Array(text.utf8)) }
        }
    }

    @Test("nesting is bounded", arguments: ["[", #"{"a":"#])
    func depth(opening: String) throws {
        let closing = opening == "[" ? "]" : "}"
        let deep = { (count: Int) in
            Array((String(repeating: opening, count: count) + "1" + String(repeating: closing, count: count)).utf8)
        }
        #expect(throws: Never.self) { try JSONValue.parse(deep(JSONReader.depthMax)) }
        #expect(throws: JSONError.self) { try JSONValue.parse(deep(JSONReader.depthMax + 1)) }
        #expect(throws: JSONError.self) { try JSONText.compact(deep(JSONReader.depthMax + 1)) }
        #expect(throws: JSONError.self) { try JSONValue.parse(Array(String(repeating: opening, count: 100_000).utf8)) }
    }

    @Test("members are found as Go finds them")
    func members() throws {
        let value = try JSONValue.parse(Array(#"{"TTL":1,"ttl":2,"Ttl":null,"x":{"y":true},"n":-5}"#.utf8))
        #expect(value.member("ttl")?.int64Value == 2)
        #expect(value.member("x")?.member("Y")?.boolValue == true)
        #expect(value.member("n")?.int64Value == -5)
        #expect(value.member("n")?.uint32Value == nil)
        #expect(value.member("missing") == nil)
        #expect(JSONValue.null.member("ttl") == nil)
        #expect(JSONValue.array([.string("a")]).arrayValue?.first?.stringValue == "a")
    }

    @Test("text is written with Go's escapes")
    func writing() {
        let value = JSONValue.object([
            ("a<b", .string("\u{0}\u{8}\t\n\u{c}\r\u{1f}\"\\/<>&\u{2028}\u{2029}\u{2027}é🙂\u{7f}")),
            ("n", .array([.number("1.50"), .null, .bool(false)])),
        ])
        let expected =
            #"{"a\u003cb":"\u0000\b\t\n\f\r\u001f\"\\/\u003c\u003e\u0026\u2028\u2029"# + "\u{2027}é🙂\u{7f}"
            + #"","n":[1.50,null,false]}"#
        #expect(text(value.serialized()) == expected)
    }

    @Test(
        "compacting takes blanks away and changes nothing else but HTML's characters",
        arguments: [
            ("{ }", "{}"), (" [ 1 , 2 ] ", "[1,2]"),
            (#"{ "a" : "\u0041 b" , "a" : 1.50e+0 }"#, #"{"a":"\u0041 b","a":1.50e+0}"#),
            (#"["<&>"]"#, #"["\u003c\u0026\u003e"]"#), (#"{"<":null}"#, #"{"\u003c":null}"#), ("\t\nnull\r", "null"),
        ])
    func compacting(text given: String, expected: String) throws {
        #expect(text(try JSONText.compact(Array(given.utf8))) == expected)
    }

    @Test("any bytes are read or refused, and what is read survives writing", arguments: 0..<40 * SeededRandom.effort)
    func fuzz(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        let tokens = [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d83d", "null", "true", "1", "-", "e", ".", " ", "a",
            "\"a\"", "{\"host\":", "\u{e9}",
        ]
        for _ in 0..<500 {
            var bytes: [UInt8] = []
            for _ in 0..<random.below(14) {
                bytes += random.below(6) == 0 ? random.bytes(2) : Array(tokens[random.below(tokens.count)].utf8)
            }
            let value = try? JSONValue.parse(bytes)
            let compact = try? JSONText.compact(bytes)
            #expect((value == nil) == (compact == nil), "\(bytes)")
            _ = try? SkyDNSMessage.decode(bytes)
            guard let value, let compact else { continue }
            #expect(try JSONValue.parse(value.serialized()) == value, "\(bytes)")
            #expect(try JSONValue.parse(compact) == value, "\(bytes)")
        }
    }
}
