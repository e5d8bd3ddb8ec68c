/// One number of a metric with its labels.
package struct MetricSample: Sendable {
    /// Appended to the family's name: `_bucket`, `_sum`, `_count` of histograms, else empty.
    package let suffix: String
    package let labels: [(name: String, value: String)]
    package let value: Double

    package init(_ value: Double, labels: [(name: String, value: String)] = [], suffix: String = "") {
        self.value = value
        self.labels = labels
        self.suffix = suffix
    }

    package init(_ value: Int, labels: [(name: String, value: String)] = [], suffix: String = "") {
        self.init(Double(value), labels: labels, suffix: suffix)
    }
}

/// All samples of one metric. Names follow Prometheus: base units, counters end in `_total`.
package struct MetricFamily: Sendable {
    package enum Kind: String, Sendable {
        case counter
        case gauge
        case histogram
    }

    package let name: String
    package let help: String
    package let kind: Kind
    package let samples: [MetricSample]

    package init(_ name: String, _ kind: Kind, help: String, samples: [MetricSample]) {
        self.name = name
        self.kind = kind
        self.help = help
        self.samples = samples
    }

    /// A family of one sample without labels.
    package init(_ name: String, _ kind: Kind, help: String, value: Int) {
        self.init(name, kind, help: help, samples: [MetricSample(value)])
    }
}

/// Reads the figures of one part of the server; called per scrape, from any thread.
package typealias MetricProvider = @Sendable () -> [MetricFamily]

/// Renders metrics as Prometheus text, exposition format 0.0.4.
package enum MetricText {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package static func render(_ families: [MetricFamily]) -> [UInt8] {
        var text = ""
        for family in families {
            text += "# HELP \(family.name) \(escaped(family.help, quotes: false))\n"
            text += "# TYPE \(family.name) \(family.kind.rawValue)\n"
            for sample in family.samples {
                text += family.name + sample.suffix + labels(sample.labels) + " " + number(sample.value) + "\n"
            }
        }
        return Array(text.utf8)
    }

    private static func labels(_ labels: [(name: String, value: String)]) -> String {
        if labels.isEmpty { return "" }
        return "{" + labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }.joined(separator: ",") + "}"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return Int64(exactly: value).map(String.init) ?? String(value)
    }
}
