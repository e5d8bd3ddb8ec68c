import RegistryStore

/// One entry as the HTTP dialects show it, whichever door wrote it.
struct InstanceView {
    let id: String
    let service: String
    let tags: [String]
    let status: String
    private let entry: Entry
    private let registration: Registration
    private let lease: LeaseInfo?

    /// Nil for entries that are no service, or whose key is none.
    init?(_ entry: Entry, in registry: Registry) {
        guard let registration = entry.registration, let identity = registry.identity(of: entry) else { return nil }
        self.entry = entry
        self.registration = registration
        id = identity.id
        service = identity.service
        tags = identity.tags
        // A plain SkyDNS value has no status and is answered.
        status = registration.instance.map(\.status) ?? "UP"
        lease = registry.leaseInfo(of: entry)
    }

    /// Whether an etcd door wrote the entry as it is now; only that door may change it.
    var isForeign: Bool { entry.storedValue != nil }

    /// Appends the instance as a JSON object with the chosen fields.
    func write(_ fields: InstanceFields, into json: inout JSONOutput) {
        json.beginObject()
        json.member("id", id)
        if fields.wants(.serviceName) { json.member("service_name", service) }
        json.name("endpoint")
        json.beginObject()
        json.member("type", endpointType)
        json.member("value", endpoint)
        json.endObject()
        if fields.wants(.ttl), let lease {
            json.member("ttl", LeasePolicy.shownSeconds(lease.lengthMilliseconds))
        }
        if fields.wants(.status), !status.isEmpty { json.member("status", status) }
        if fields.wants(.metadata), let metadata = registration.instance?.metadata {
            json.name("metadata")
            json.raw(metadata)
        }
        if fields.wants(.lastHeartbeat), let lastHeartbeat { json.member("last_heartbeat", lastHeartbeat) }
        if fields.wants(.tags), !tags.isEmpty {
            json.name("tags")
            json.beginArray()
            for tag in tags { json.string(tag) }
            json.endArray()
        }
        writeExtensions(fields, into: &json)
        json.endObject()
    }

    private func writeExtensions(_ fields: InstanceFields, into json: inout JSONOutput) {
        if fields.wants(.priority), registration.priority != 0 { json.member("priority", Int64(registration.priority)) }
        if fields.wants(.weight), registration.weight != 0 { json.member("weight", Int64(registration.weight)) }
        if fields.wants(.text), !registration.text.isEmpty { json.member("text", registration.text) }
        if fields.wants(.ttlAnswer), registration.ttl != 0 { json.member("ttl_answer", Int64(registration.ttl)) }
        let isKeyAsked = fields.chosen?.contains(.key) ?? isForeign
        if isKeyAsked { json.member("key", String(decoding: entry.key, as: UTF8.self)) }
        let silence = silence
        if fields.wants(.dns) {
            json.name("dns")
            json.bool(silence == nil)
        }
        if fields.wants(.dns) || fields.wants(.dnsReason), let silence { json.member("dns_reason", silence) }
    }

    private var endpointType: String {
        guard let type = registration.instance?.endpointType, !type.isEmpty else { return "tcp" }
        return type
    }

    private var endpoint: String {
        if let endpoint = registration.instance?.endpoint, !endpoint.isEmpty { return endpoint }
        return SkyDNSMessage.defaultEndpoint(registration.host, registration.port)
    }

    /// Nil when the lease has gone with the entry, as in events of its end.
    private var lastHeartbeat: String? {
        if let lease { return CivilTime(unixMilliseconds: lease.renewedAt).rfc3339 }
        return entry.lease == nil ? GoText.zeroTime : nil
    }

    /// Why the DNS is silent about the instance; nil when it answers.
    private var silence: String? {
        if let instance = registration.instance, !instance.isAnswering {
            return "status is \(instance.status), only UP is answered"
        }
        guard registration.host == .none, registration.text.isEmpty else { return nil }
        if case .unusable(let reason) = EndpointAddress(endpoint) { return "endpoint value: \(reason)" }
        return "the value has no host"
    }
}
