/// Limits and forms of what a door may write; the one place that refuses by them.
enum Validation {
    static func check(
        namespace: Namespace, key: [UInt8], limits: RegistryLimits
    ) throws(RegistryError) {
        guard !key.isEmpty else { throw .invalid(field: "key", value: "", expected: "at least one byte") }
        try bound("key_bytes", key.count, limits.maxKeyBytes)
        try bound("namespace_bytes", namespace.name.utf8.count, limits.maxNamespaceBytes)
        try checkNoZero("namespace", namespace.name)
    }

    static func check(_ registration: Registration, limits: RegistryLimits) throws(RegistryError) {
        guard let instance = registration.instance else {
            throw .invalid(field: "service", value: "", expected: "the attributes of an instance")
        }
        guard !instance.service.isEmpty else { throw .invalid(field: "service", value: "", expected: "a name") }
        guard !instance.id.isEmpty else { throw .invalid(field: "id", value: "", expected: "an id") }
        guard !KeyID.isLong(instance.id) else {
            throw .invalid(field: "id", value: String(instance.id.prefix(64)), expected: "an id that is not a key's")
        }
        try checkNoZero("service", instance.service)
        try bound("tags", instance.tags.count, limits.maxTags)
        try bound("registration_bytes", registration.textBytes, limits.maxRegistrationBytes)
    }

    static func check(lease request: LeaseRequest, limits: RegistryLimits) throws(RegistryError) {
        switch request {
        case .own(let milliseconds), .suspended(let milliseconds):
            try check(leaseMilliseconds: milliseconds, limits: limits)
        case .permanent, .shared, .keep: break
        }
    }

    static func check(leaseMilliseconds: Int64, limits: RegistryLimits) throws(RegistryError) {
        guard leaseMilliseconds >= 0 else {
            throw .invalid(field: "lease", value: "\(leaseMilliseconds)", expected: "0 milliseconds or more")
        }
        try bound("lease_milliseconds", Int(leaseMilliseconds), Int(limits.maxLeaseMilliseconds))
    }

    /// Zero octets part the fields of index keys, so names may not hold one.
    private static func checkNoZero(_ field: String, _ text: String) throws(RegistryError) {
        guard !text.utf8.contains(0) else {
            throw .invalid(field: field, value: "\\0", expected: "a name without zero octets")
        }
    }

    static func bound(_ limit: String, _ value: Int, _ bound: Int) throws(RegistryError) {
        if value > bound { throw .limitExceeded(limit: limit, value: value, bound: bound) }
    }
}

extension Registration {
    /// Bytes of all its texts.
    var textBytes: Int {
        var count = text.utf8.count + group.utf8.count
        if case .name(let name) = host { count += name.utf8.count }
        return count + (instance?.textBytes ?? 0)
    }
}

extension InstanceAttributes {
    /// Bytes of all its texts.
    var textBytes: Int {
        var count = service.utf8.count + id.utf8.count + status.utf8.count + endpointType.utf8.count
        count += endpoint.utf8.count + origin.utf8.count + (metadata?.count ?? 0) + (extra?.count ?? 0)
        for tag in tags { count += tag.utf8.count + 16 }
        return count
    }
}

extension Entry {
    /// Of the object, its registration and its places in trees.
    private static let fixedCost = 600

    /// Estimated memory of the entry with its places in the indexes: for budgets, not exact.
    var cost: Int {
        var count = Self.fixedCost + key.count + (storedValue?.count ?? 0)
        if case .service(let registration) = content { count += registration.textBytes }
        return count
    }

    /// What the entry of a value costs at most. The texts of a registration are at most as long as its JSON.
    static func cost(of value: PutValue, key: [UInt8]) -> Int {
        switch value {
        case .bytes(let bytes): fixedCost + key.count + 2 * bytes.count
        case .registration(let registration): fixedCost + key.count + registration.textBytes
        }
    }
}
