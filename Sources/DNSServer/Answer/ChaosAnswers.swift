import DNSWire

/// Class CHAOS: who and what answers (SkyDNS's names).
enum ChaosAnswers {
    private static let authors = ["Erik St. Martin", "Brian Ketelsen", "Miek Gieben", "Michael Crosby"]

    /// The TXT answer of a folded name; nil for names that are refused.
    static func answer(_ name: [UInt8], domain: [UInt8], version: [UInt8]) -> ComposedAnswer? {
        let texts: [[UInt8]]
        switch TreeName.labels(of: name).map({ String(decoding: $0, as: UTF8.self) }) {
        case ["version", "bind"], ["version", "server"]: texts = [version]
        case ["hostname", "bind"], ["id", "server"]: texts = [Array("localhost".utf8)]
        case ["authors", "bind"]: texts = authors.shuffled().map { Array($0.utf8) }
        default:
            guard name == domain else { return nil }
            texts = authors.shuffled().map { Array($0.utf8) }
        }
        var answer = ComposedAnswer(type: .txt)
        var writer = BodyWriter(question: name)
        for text in texts {
            let start = writer.begin(owner: name, type: .txt, rrclass: .ch, ttl: 0)
            writer.put(ViewState.characterStrings(text))
            writer.end(rdata: start)
        }
        answer.answerCount = texts.count
        answer.records = writer.records
        answer.body = writer.body
        return answer
    }
}
