import DNSWire
import RegdnsTestKit

/// Random names, data and messages that are well formed, and ways to damage them.
enum MessageMaker {
    static func name(_ random: inout SeededRandom) -> DomainName {
        // Few labels and letters, so that names share suffixes and differ in case.
        let words = ["a", "b", "web", "WEB", "Example", "example", "test", "_tcp"]
        var wire: [UInt8] = []
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let label: [UInt8]
            if random.oneIn(8) {
                label = random.octets(upTo: 62) + [UInt8.random(in: 0...255, using: &random)]
            } else {
                label = Array((words.randomElement(using: &random) ?? "a").utf8)
            }
            guard wire.count + label.count + 2 <= 255 else { break }
            wire += [UInt8(label.count)] + label
        }
        return (try? DomainName(wire: wire + [0])) ?? .root
    }

    /// Data in the form of its type, as far as this maker knows one.
    static func rdata(_ type: RRType, _ random: inout SeededRandom) -> [UInt8] {
        func fixed(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
        func string() -> [UInt8] {
            let octets = random.octets(upTo: 255)
            return [UInt8(octets.count)] + octets
        }
        switch type {
        case .a: return fixed(4)
        case .aaaa: return random.oneIn(2) ? fixed(16) : fixed(4) + [UInt8](repeating: 0, count: 10) + fixed(2)
        case .ns, .cname, .ptr, .dname: return name(&random).wire
        case .soa: return name(&random).wire + name(&random).wire + fixed(20)
        case .mx: return fixed(2) + name(&random).wire
        case .txt, .spf: return string() + (random.oneIn(2) ? string() : [])
        case .srv: return fixed(6) + name(&random).wire
        case .hinfo: return string() + string()
        case .naptr: return fixed(4) + string() + string() + string() + name(&random).wire
        case .rrsig: return fixed(18) + name(&random).wire + fixed(64)
        case .nsec: return name(&random).wire + [0, 2, 0x40, 0x80, 1, 1, 0x40]
        case .caa: return [0, 5] + Array("issue".utf8) + random.octets(upTo: 40)
        case .ds, .cds, .dnskey, .cdnskey: return fixed(4) + fixed(32)
        case .svcb, .https:
            let parameters = [
                [0, 1, 0, 6, 2, 0x68, 0x32, 2, 0x2c, 0x5c], [0, 2, 0, 0], [0, 3, 0, 2] + fixed(2),
                [0, 4, 0, 8] + fixed(8),
                [0, 5, 0, 3] + fixed(3), [0, 6, 0, 16] + fixed(16), [0, 77, 0, 5] + fixed(5), [1, 0, 0, 0],
            ].filter { _ in random.oneIn(2) }
            return fixed(2) + name(&random).wire + parameters.flatMap { $0 }
        case .sshfp: return fixed(2) + fixed(20)
        case .tlsa: return fixed(3) + fixed(32)
        default: return random.octets(upTo: 50)
        }
    }

    /// Whether RDATA has the form of its type, asked through the reader of messages.
    static func isSound(_ type: RRType, _ rdata: [UInt8]) -> Bool {
        var writer = ResponseWriter(limit: 65_535, id: 0)
        let kept = writer.append(.answer, owner: DomainName.root, type: type, ttl: 0, rdata: rdata)
        return kept && (try? Message(reading: writer.finish()))?.answers.first?.rdata.count == rdata.count
    }

    static func edns(_ random: inout SeededRandom) -> EDNS {
        var options = (0..<Int.random(in: 0...3, using: &random)).map { _ in
            EDNS.Option(
                code: EDNSOptionCode(rawValue: .random(in: 100...65_000, using: &random)), data: random.octets(upTo: 20)
            )
        }
        if random.oneIn(2) { options.append(.init(code: .cookie, data: Array("8 octets".utf8))) }
        return EDNS(
            payloadSize: .random(in: 0...65_535, using: &random), version: random.oneIn(8) ? 1 : 0,
            dnssecOK: random.oneIn(2), options: options)
    }

    static func record(_ random: inout SeededRandom) -> ResourceRecord {
        let type = PropertyTests.types.randomElement(using: &random) ?? .a
        return ResourceRecord(
            owner: name(&random), type: type, ttl: .random(in: 0...0x7fff_ffff, using: &random),
            rdata: rdata(type, &random))
    }

    static func message(_ random: inout SeededRandom) -> Message {
        func records() -> [ResourceRecord] { (0..<Int.random(in: 0...5, using: &random)).map { _ in record(&random) } }
        let rcode: RCODE = random.oneIn(2) ? .noError : .nxDomain
        let flags = MessageFlags(rawValue: .random(in: 0...0xffff, using: &random))
        return Message(
            id: .random(in: 0...0xffff, using: &random), flags: flags.with(opcode: flags.opcode, rcode: rcode),
            rcode: rcode, questions: random.oneIn(8) ? [] : [Question(name: name(&random), type: .a)],
            answers: records(), authorities: records(), additionals: records(),
            edns: random.oneIn(2) ? nil : edns(&random))
    }

    /// Changes, removes, inserts or cuts a few octets.
    static func damage(_ octets: inout [UInt8], _ random: inout SeededRandom) {
        for _ in 0..<Int.random(in: 0...4, using: &random) where !octets.isEmpty {
            let at = Int.random(in: 0..<octets.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: octets[at] = UInt8.random(in: 0...255, using: &random)
            case 1: octets[at] = [0, 0x3f, 0x40, 0x80, 0xc0, 0xff].randomElement(using: &random) ?? 0
            case 2: octets.remove(at: at)
            case 3: octets.insert(UInt8.random(in: 0...255, using: &random), at: at)
            default: octets.removeSubrange(at...)
            }
        }
        if random.oneIn(3), octets.count > 2 { octets[2] &= 0x07 }
    }
}
