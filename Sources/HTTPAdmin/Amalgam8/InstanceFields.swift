import HTTPTypes

/// What `fields=` may name: Amalgam8's own, then our extensions.
enum InstanceField: String, CaseIterable {
    case id
    case endpoint
    case serviceName = "service_name"
    case ttl
    case status
    case metadata
    case lastHeartbeat = "last_heartbeat"
    case tags
    /// Known, but has no value outside the answer to a registration.
    case links
    /// Whether the DNS answers with the instance, and why not.
    case dns
    case dnsReason = "dns_reason"
    /// The key of the entry in the etcd doors.
    case key
    case priority
    case weight
    case text
    case ttlAnswer = "ttl_answer"
}

/// A selection of fields; nil stands for the default one.
struct InstanceFields {
    let chosen: Set<InstanceField>?

    static let standard = InstanceFields(chosen: nil)

    init(chosen: Set<InstanceField>?) { self.chosen = chosen }

    /// Reads the value of `fields=`: names separated by commas, without blanks; empty means only id and endpoint.
    init(parsing text: String) throws(APIError) {
        var chosen: Set<InstanceField> = [.id, .endpoint]
        if !text.isEmpty {
            for name in text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let field = InstanceField(rawValue: String(name)) else {
                    let known = InstanceField.allCases.map(\.rawValue).joined(separator: ", ")
                    throw Self.undefined.with(detail: "fields: \"\(name)\" is not one of \(known)")
                }
                chosen.insert(field)
            }
        }
        self.chosen = chosen
    }

    /// Whether a field is wanted. The default selection has Amalgam8's fields, and of ours those with a value.
    func wants(_ field: InstanceField) -> Bool {
        if let chosen { return chosen.contains(field) }
        switch field {
        case .dns, .dnsReason, .links: return false
        default: return true
        }
    }

    private static let undefined = APIError(.badRequest, "Undefined or malformed instance fields in filter")
}

/// The filters of `GET /api/v1/instances` (contract section 2).
struct InstanceFilter {
    private(set) var id: String?
    private(set) var service: String?
    private var status: String?
    private var tags: [String]?
    private(set) var fields = InstanceFields.standard

    init(query: String?) throws(APIError) {
        guard let query, !query.isEmpty else { return }
        guard let items = URLText.queryItems(query) else {
            throw Self.malformed.with(detail: "query: a percent escape is cut or not hexadecimal")
        }
        var seen: Set<String> = []
        for item in items where seen.insert(item.name).inserted {
            switch item.name {
            case "id": id = item.value
            case "service_name": service = item.value
            case "status": status = item.value
            case "tags":
                tags = item.value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            case "fields": fields = try InstanceFields(parsing: item.value)
            default:
                throw Self.malformed.with(
                    detail: "\"\(item.name)\" is not one of id, service_name, status, tags, fields")
            }
        }
    }

    func matches(_ instance: InstanceView) -> Bool {
        if let id, !instance.id.isExactly(id) { return false }
        if let service, !instance.service.isExactly(service) { return false }
        if let tags, !tags.allSatisfy({ tag in instance.tags.contains { $0.isExactly(tag) } }) { return false }
        guard let status else {
            // Without any other filter the list is for those who look for something to call.
            let isBare = id == nil && service == nil && tags == nil
            return !isBare || !["STARTING", "OUT_OF_SERVICE"].contains(instance.status)
        }
        let known = status.uppercased()
        switch known {
        case "ALL": return true
        case "UP", "STARTING", "OUT_OF_SERVICE": return instance.status == known
        default: return instance.status == status
        }
    }

    private static let malformed = APIError(.badRequest, "Malformed or invalid instance selection criteria")
}
