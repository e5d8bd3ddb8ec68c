import DNSWire
import RegdnsTestKit
import Testing

/// The battery of `Tests/Conformance/malformed`: for each packet the outcomes that BIND, Knot and NSD agree on.
@Suite struct MalformedQueryTests {
    struct Battery: Decodable {
        struct Case: Decodable {
            var id: String
            var group: String
            var hex: String
            var accept: [String]
        }
        var zone: String
        var cases: [Case]
    }

    static let battery = Result { try TestFiles.json("Conformance/malformed/malformed.json", as: Battery.self) }
    static let groups = Set(((try? battery.get().cases) ?? []).map(\.group)).sorted()

    @Test func theBatteryIsWhole() throws {
        #expect(try Self.battery.get().cases.count == 920)
        #expect(Self.groups.count == 12)
    }

    @Test(arguments: groups)
    func parserVerdict(group: String) throws {
        let battery = try Self.battery.get()
        let zone = try OwnerName(battery.zone)
        for example in battery.cases where example.group == group {
            let message = try octets(hex: example.hex)
            let query = parseQuery(message)
            let possible: Set<String>
            switch query.disposition {
            case .drop: possible = ["DROP"]
            case .answer:
                let inside = try questionName(query, in: message).isSubdomain(of: zone)
                possible = inside && query.qclass == .in ? ["NOERROR/data", "NOERROR/empty", "NXDOMAIN"] : ["REFUSED"]
            case let verdict: possible = [verdict.rcode.name]
            }
            #expect(
                !possible.isDisjoint(with: example.accept),
                "\(example.id): \(query.disposition), accepted \(example.accept)")
        }
    }
}
