package import HTTPTypes

/// Values of the `{…}` segments of a matched path, decoded, in the order of the pattern.
package struct PathParameters: Sendable {
    private let values: [String]
    package init(_ values: [String] = []) { self.values = values }

    /// The n-th parameter; empty when the pattern has fewer, which no route of ours asks for.
    package subscript(_ index: Int) -> String { index >= 0 && index < values.count ? values[index] : "" }
}

/// Finds what a path and method mean. Patterns are literal segments and `{name}`; a trailing slash is another path.
package struct RouteTable<Target: Sendable>: Sendable {
    package enum Match: Sendable {
        case found(Target, PathParameters)
        /// The path exists, the method does not; what it does take, for the Allow field.
        case methodNotAllowed(allowed: [HTTPRequest.Method])
        case notFound
        /// A parameter of an existing path does not decode.
        case malformed
    }

    private enum Segment: Sendable {
        case literal(String)
        case parameter
    }

    private struct Route: Sendable {
        let segments: [Segment]
        var methods: [(method: HTTPRequest.Method, target: Target)]
    }

    private var routes: [String: Int] = [:]
    private var list: [Route] = []

    package init() {}

    /// Adds a method of a path such as `/api/v1/instances/{id}`. O(length of the pattern).
    package mutating func add(_ method: HTTPRequest.Method, _ pattern: String, _ target: Target) {
        if let known = routes[pattern], known < list.count {
            list[known].methods.append((method, target))
            return
        }
        let segments = Self.split(pattern).map { part -> Segment in
            part.hasPrefix("{") ? .parameter : .literal(String(part))
        }
        routes[pattern] = list.count
        list.append(Route(segments: segments, methods: [(method, target)]))
    }

    /// Matches a raw path. O(routes), which are few. A parameter never matches an empty segment.
    package func match(_ method: HTTPRequest.Method, path: String) -> Match {
        let parts = Self.split(path)
        for route in list where Self.matches(route.segments, parts) {
            var values: [String] = []
            for (segment, part) in zip(route.segments, parts) {
                guard case .parameter = segment else { continue }
                guard let value = URLText.decodePathSegment(part) else { return .malformed }
                values.append(value)
            }
            guard let (_, target) = route.methods.first(where: { $0.method == method }) else {
                return .methodNotAllowed(allowed: route.methods.map(\.method))
            }
            return .found(target, PathParameters(values))
        }
        return .notFound
    }

    private static func split(_ path: String) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false)
    }

    private static func matches(_ segments: [Segment], _ parts: [Substring]) -> Bool {
        guard segments.count == parts.count else { return false }
        return zip(segments, parts).allSatisfy { segment, part in
            switch segment {
            case .literal(let text): text.isExactly(part)
            case .parameter: !part.isEmpty
            }
        }
    }
}
