/// Columns for people.
enum TextTable {
    /// The rows below a header, columns two blanks apart, without blanks at line ends. Values stay on their line.
    static func render(header: [String], rows: [[String]]) -> String {
        let lines = ([header] + rows).map { $0.map(PlainText.oneLine) }
        let widths = header.indices.map { column in
            lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return lines.map { cells in
            let padded = zip(cells, widths).map { cell, width in
                cell + String(repeating: " ", count: width - cell.count)
            }
            var line = padded.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}
