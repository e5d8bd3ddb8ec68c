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

    /// TXT RDATA of a text, in strings of 255 octets; a trailing empty one is not written (SkyDNS writes it for
    /// multiples).
    static func characterStrings(_ text: [UInt8]) -> [UInt8] {
        var rdata: [UInt8] = []
        rdata.reserveCapacity(text.count + text.count / 255 + 1)
        var position = 0
        repeat {
            let end = min(position + 255, text.count)
            let string = unescaped(text[position..<end])
            rdata.append(UInt8(string.count))
            rdata.append(contentsOf: string)
            position = end
        } while position < text.count
        return rdata
    }

    /// A text as SkyDNS sends it: it takes the value for master-file text, so `\DDD` is an octet and `\x` is `x`.
    private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
        guard text.contains(UInt8(ascii: "\\")) else { return Array(text) }
        var result: [UInt8] = []
        var rest = text
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "\\") else {
                result.append(octet)
                continue
            }
            let digits = rest.prefix(3)
            if digits.count == 3, let number = UInt8(String(decoding: digits, as: UTF8.self)) {
                result.append(number)
                rest = rest.dropFirst(3)
            } else if let next = rest.popFirst() {
                result.append(next)
            }
        }
        return result
    }
}
