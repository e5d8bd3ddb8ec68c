import DNSWire
import RegistryStore

/// TXT answers.
extension ViewState {
    func textRecords(_ members: [Member], owner: [UInt8]) -> [PlainRecord] {
        members.compactMap { member in
            guard !member.registration.text.isEmpty else { return nil }
            return PlainRecord(
                owner: owner, type: .txt, ttl: ttl(of: member), deadlineSlot: member.entry.deadlineSlot,
                data: .bytes(Self.characterStrings(Array(member.registration.text.utf8))))
        }
    }

    /// TXT RDATA of a text, in strings of 255 octets; a trailing empty one is not written (SkyDNS writes it for multiples).
    static func characterStrings(_ text: [UInt8]) -> [UInt8] {
        var rdata: [UInt8] = []
        rdata.reserveCapacity(text.count + text.count / 255 + 1)
        var position = 0
        repeat {
            let end = min(position + 255, text.count)
            rdata.append(UInt8(end - position))
            rdata.append(contentsOf: text[position..<end])
            position = end
        } while position < text.count
        return rdata
    }
}
