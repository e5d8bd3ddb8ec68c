import HTTPTypes
import RegistryStore

/// The body of a registration, checked: Amalgam8's fields and our extensions (contract section 2, INTERFACE section 3).
struct RegistrationBody: Sendable {
    let service: String
    let endpointType: String
    let endpoint: String
    /// Lease asked for in seconds; 0 when none was.
    let leaseSeconds: UInt32
    /// Upper case; never empty.
    let status: String
    let tags: [String]
    /// Compact JSON; nil when none was given.
    let metadata: [UInt8]?
    // Extensions.
    let instanceID: String?
    let priority: Int
    let weight: Int
    let text: String
    let answerTTL: UInt32

    private static let endpointTypes: Set<String> = ["tcp", "udp", "http", "https", "user"]
    private static let statuses: Set<String> = ["UP", "STARTING", "OUT_OF_SERVICE"]

    /// Reads and checks in the original's order: JSON and its types, then what is required, then limits.
    init(parsing bytes: [UInt8]) throws(APIError) {
        let members = try JSONMembers(parsing: bytes, failure: Self.failed)
        let service = try members.string("service_name") ?? ""
        let endpoint = try members.object("endpoint")
        let endpointType = try endpoint?.string("type") ?? ""
        let endpointValue = try endpoint?.string("value") ?? ""
        leaseSeconds = try members.integer("ttl", in: 0...Int64(UInt32.max)).map(UInt32.init) ?? 0
        let status = try members.string("status") ?? ""
        tags = try members.strings("tags") ?? []
        instanceID = try members.string("instance_id").flatMap { $0.isEmpty ? nil : $0 }
        priority = try members.integer("priority", in: 0...65_535).map(Int.init) ?? 0
        weight = try members.integer("weight", in: 0...65_535).map(Int.init) ?? 0
        text = try members.string("text") ?? ""
        answerTTL = try members.integer("ttl_answer", in: 0...Int64(Int32.max)).map(UInt32.init) ?? 0
        let rawMetadata = members.raw("metadata")

        guard !service.isEmpty else { throw APIError(.badRequest, "Service name is required") }
        guard endpoint != nil else { throw APIError(.badRequest, "Instance endpoint is required") }
        guard !endpointType.isEmpty, !endpointValue.isEmpty else {
            throw APIError(.badRequest, "Endpoint type or value are missing")
        }
        guard Self.endpointTypes.contains(endpointType) else {
            throw APIError(
                .badRequest, "Endpoint type is invalid",
                detail: "endpoint.type: \"\(endpointType)\" is not one of tcp, udp, http, https, user")
        }
        let upper = status.isEmpty ? "UP" : status.uppercased()
        guard Self.statuses.contains(upper) else {
            throw APIError(.badRequest, "Valid statuses are: UP, STARTING, OUT_OF_SERVICE")
        }
        try Self.check("service name", service.utf8.count, bound: 64)
        try Self.check("endpoint value", endpointValue.utf8.count, bound: 128)
        try Self.check("metadata", rawMetadata?.count ?? 0, bound: 1024)
        try Self.check("instance id", instanceID?.utf8.count ?? 0, bound: 255)
        try Self.check("text", text.utf8.count, bound: 1024)

        self.service = service
        self.endpointType = endpointType
        self.endpoint = endpointValue
        self.status = upper
        metadata = rawMetadata.map(Self.stored)
    }

    /// The id: `instance_id`, or the first 16 hexadecimal digits of SHA-256 over service, type and value.
    var id: String {
        instanceID ?? SHA256.hex(Array("\(service)/\(endpointType)/\(endpoint)".utf8), digits: 16)
    }

    /// What the store keeps of it under an id.
    func registration(id: String) -> Registration {
        var host = ServiceHost.none
        var port = 0
        if case .understood(let understoodHost, let understoodPort) = EndpointAddress(endpoint) {
            host = understoodHost
            port = understoodPort
        }
        let attributes = InstanceAttributes(
            service: service, id: id, tags: tags, status: status, endpointType: endpointType, endpoint: endpoint,
            metadata: metadata)
        return Registration(
            host: host, port: port, priority: priority, weight: weight, text: text, ttl: answerTTL,
            instance: attributes)
    }

    static let failed = APIError(.badRequest, "Failed to register instance")

    /// Metadata as it is kept: without blanks between its tokens, and with Go's escapes, so that answers can copy it.
    private static func stored(_ text: [UInt8]) -> [UInt8] {
        // It was read as JSON a moment ago, so it compacts; what did not could only be kept as it is.
        (try? JSONText.compact(text)) ?? text
    }

    private static func check(_ what: String, _ octets: Int, bound: Int) throws(APIError) {
        guard octets > bound else { return }
        throw APIError(.badRequest, "Failed to register the instance because \(what) exceeded \(bound) bytes")
    }
}
