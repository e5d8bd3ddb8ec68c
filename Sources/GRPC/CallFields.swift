import Basics
import NIOCore
import NIOHPACK

/// Header blocks of gRPC over HTTP/2 (PROTOCOL-HTTP2.md of the gRPC project).
enum CallFields {
    static let contentType = "application/grpc"

    /// The head of an ordinary answer, and the trailers of an ordinary end: the same for every call.
    static let responseHead = HPACKHeaders([(":status", "200"), ("content-type", contentType)])
    static let okTrailers = HPACKHeaders([("grpc-status", "0"), ("grpc-message", "")])

    static func responseHead(contentType: String) -> HPACKHeaders {
        contentType == Self.contentType
            ? responseHead : HPACKHeaders([(":status", "200"), ("content-type", contentType)])
    }

    static func trailers(_ status: GRPCStatus) -> HPACKHeaders {
        guard status != .ok else { return okTrailers }
        var trailers = HPACKHeaders()
        trailers.add(name: "grpc-status", value: String(status.code.rawValue))
        trailers.add(name: "grpc-message", value: StatusText.encode(status.message))
        return trailers
    }

    /// An answer that is only an end.
    ///
    /// - Parameter http: 200 for everything but what is no gRPC call at all.
    static func trailersOnly(_ status: GRPCStatus, contentType: String, http: Int = 200) -> HPACKHeaders {
        var fields = HPACKHeaders([(":status", String(http)), ("content-type", contentType)])
        for (name, value, _) in trailers(status) { fields.add(name: name, value: value) }
        return fields
    }

    /// The content type to answer with; nil when the request's is not gRPC's. `application/grpc`, `…+proto`, `…;x=y`,
    /// which grpc-go answers with `…+x=y`.
    static func answerType(to requestType: String?) -> String? {
        guard let requestType, requestType.hasPrefix(contentType) else { return nil }
        let rest = requestType.utf8.dropFirst(contentType.utf8.count)
        guard let separator = rest.first else { return contentType }
        guard separator == UInt8(ascii: "+") || separator == UInt8(ascii: ";") else { return nil }
        let subtype = String(Substring(rest.dropFirst()))
        return subtype.isEmpty ? contentType : "\(contentType)+\(subtype)"
    }
}

/// `grpc-timeout`: up to eight digits and a unit.
enum CallTimeout {
    private static let units: [UInt8: Int64] = [
        UInt8(ascii: "H"): 3_600_000_000_000, UInt8(ascii: "M"): 60_000_000_000, UInt8(ascii: "S"): 1_000_000_000,
        UInt8(ascii: "m"): 1_000_000, UInt8(ascii: "u"): 1000, UInt8(ascii: "n"): 1,
    ]

    /// The time a caller gives; nil when the text is no timeout. As grpc-go, it takes a sign: such a time is over.
    static func parse(_ text: String) -> TimeAmount? {
        guard (2...9).contains(text.utf8.count), let unit = text.utf8.last.flatMap({ units[$0] }),
            let number = Int64(text.utf8.dropLast().reduce(into: "") { $0.unicodeScalars.append(UnicodeScalar($1)) })
        else { return nil }
        // Eight digits of hours are 11,000 years, more than nanoseconds in 64 bits can say.
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        return .nanoseconds(overflow ? Self.longest : min(product, Self.longest))
    }

    /// A hundred years; a deadline is this plus the clock, which must not overflow.
    private static let longest: Int64 = 3_155_760_000_000_000_000

    /// The shortest text that is not shorter than the time.
    static func text(_ time: Duration) -> String {
        let (seconds, attoseconds) = time.components
        guard seconds >= 0, attoseconds >= 0 else { return "0n" }
        if seconds < 90 {
            return "\(min(99_999_999, seconds * 1_000_000 + (attoseconds + 999_999_999_999) / 1_000_000_000_000))u"
        }
        return seconds < 99_999_999 ? "\(seconds + 1)S" : "\(min(99_999_999, seconds / 3600 + 1))H"
    }
}

/// `grpc-message`: UTF-8 with everything but printable ASCII, and the percent sign, percent-encoded.
enum StatusText {
    static func encode(_ text: String) -> String {
        guard text.utf8.contains(where: { !isPlain($0) }) else { return text }
        return String(decoding: PercentText.encode(text.utf8, where: isPlain), as: UTF8.self)
    }

    /// Takes what is no encoding for what it is, as the protocol demands.
    static func decode(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        return String(decoding: PercentText.decode(Array(text.utf8)[...]) { _ in }, as: UTF8.self)
    }

    private static func isPlain(_ byte: UInt8) -> Bool { (0x20...0x7E).contains(byte) && byte != UInt8(ascii: "%") }
}
