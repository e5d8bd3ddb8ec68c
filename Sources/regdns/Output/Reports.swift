import DNSWire
import RegistryStore

/// How verbs print instances.
enum InstanceReport {
    static func print(_ instances: [InstanceRecord], _ format: OutputFormat) {
        let sorted = instances.sorted { ($0.service, $0.id) < ($1.service, $1.id) }
        switch format {
        case .json: StandardStreams.print(JSONValue.array(sorted.map(\.json)).line)
        case .table: StandardStreams.print(table(sorted))
        }
    }

    /// Lease and TTL stand side by side, for they are often confused.
    static func table(_ instances: [InstanceRecord]) -> String {
        TextTable.render(
            header: ["SERVICE", "ID", "ENDPOINT", "TYPE", "STATUS", "LEASE", "TTL", "TAGS", "IN DNS"],
            rows: instances.map { instance in
                [
                    instance.service, instance.id, instance.endpoint, instance.endpointType,
                    instance.status.isEmpty ? "-" : instance.status,
                    instance.leaseSeconds.map { DurationText.format(.seconds($0)) } ?? "stays",
                    instance.answerTTL.map { DurationText.format(.seconds($0)) } ?? "default",
                    instance.tags.isEmpty ? "-" : instance.tags.joined(separator: ","),
                    instance.silence.map { "no: \($0)" } ?? "yes",
                ]
            })
    }
}

/// How verbs print services.
enum ServiceReport {
    struct Service: Hashable, Sendable {
        let name: String
        let tags: [String]
        let instances: Int
        let up: Int
    }

    static func services(of instances: [InstanceRecord]) -> [Service] {
        Dictionary(grouping: instances, by: \.service).map { name, members in
            Service(
                name: name, tags: Set(members.flatMap(\.tags)).sorted(), instances: members.count,
                up: members.count { $0.status.isEmpty || $0.status.uppercased() == "UP" })
        }.sorted { $0.name < $1.name }
    }

    static func print(_ services: [Service], _ format: OutputFormat) {
        switch format {
        case .table:
            StandardStreams.print(
                TextTable.render(
                    header: ["SERVICE", "INSTANCES", "UP", "TAGS"],
                    rows: services.map {
                        [
                            $0.name, "\($0.instances)", "\($0.up)",
                            $0.tags.isEmpty ? "-" : $0.tags.joined(separator: ","),
                        ]
                    }))
        case .json:
            let rows = services.map { service in
                JSONValue.object([
                    ("service_name", .string(service.name)), ("instances", .integer(service.instances)),
                    ("up", .integer(service.up)), ("tags", .texts(service.tags)),
                ])
            }
            StandardStreams.print(JSONValue.array(rows).line)
        }
    }
}

/// How `status` prints the server's account: one line per fact, nested names joined by dots.
enum StatusReport {
    static func table(_ status: JSONValue) -> String {
        TextTable.render(header: ["WHAT", "VALUE"], rows: rows(status, prefix: "", depth: 0))
    }

    private static func rows(_ value: JSONValue, prefix: String, depth: Int) -> [[String]] {
        // The account is two levels deep; deeper parts are shown as JSON.
        guard depth < 3, case .object(let members) = value else { return [[prefix, value.line]] }
        return members.flatMap { name, value -> [[String]] in
            let path = prefix.isEmpty ? name : "\(prefix).\(name)"
            switch value {
            case .object: return rows(value, prefix: path, depth: depth + 1)
            case .array(let elements):
                let texts = elements.map { $0.stringValue ?? $0.line }
                return [[path, texts.isEmpty ? "-" : texts.joined(separator: "; ")]]
            case .bool(let truth): return [[path, truth ? "yes" : "no"]]
            case .string(let text): return [[path, text]]
            case .number(let text): return [[path, text]]
            case .null: return [[path, "-"]]
            }
        }
    }
}

/// How `lookup` prints an answer as JSON.
enum LookupReport {
    static func json(_ reply: DNSClient.Reply, _ question: Question) -> String {
        let message = reply.message
        func records(_ records: [ResourceRecord]) -> JSONValue {
            .array(
                records.map { record in
                    .object([
                        ("name", .string(record.owner.description)), ("type", .string(record.type.name)),
                        ("ttl", .integer(Int(record.ttl))),
                        ("data", .string(RecordText.format(type: record.type, rdata: record.rdata))),
                    ])
                })
        }
        return JSONValue.object([
            ("name", .string(question.name.description)), ("type", .string(question.type.name)),
            ("rcode", .string(message.rcode.name)),
            ("authoritative", .bool(message.flags.contains(.authoritative))), ("tcp", .bool(reply.overTCP)),
            ("answers", records(message.answers)), ("authorities", records(message.authorities)),
            ("additionals", records(message.additionals)),
        ]).line
    }
}
