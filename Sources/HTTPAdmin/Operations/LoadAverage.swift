import FoundationEssentials

/// The machine's load as the kernel averages it.
enum LoadAverage {
    /// Over 1, 5 and 15 minutes; empty where the kernel does not tell.
    static func read() -> [Double] {
        guard let text = try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8) else { return [] }
        return parse(text)
    }

    static func parse(_ text: String) -> [Double] {
        text.split(separator: " ").prefix(3).compactMap { Double($0) }
    }
}
