extension StoreCore {
    /// What a put makes of its value, before anything is changed.
    struct Draft {
        var content: Content
        var storedValue: [UInt8]?
        /// Value and meaning are those of the entry before.
        var isSame = false
        /// Why the DNS and the HTTP dialects cannot use a value that lies where they look.
        var skipReason: String?
        /// The entry that has to go because its id is registered at another key now.
        var displaced: Entry?
    }

    /// The value bytes of an entry: as an etcd door put them, or rendered.
    static func value(of entry: Entry) -> [UInt8] {
        if let stored = entry.storedValue { return stored }
        return entry.registration.map { SkyDNSMessage.encode($0) } ?? []
    }

    /// Checks a value and finds out what it means under this key.
    func draft(
        _ value: PutValue, key: [UInt8], over previous: Entry?, in index: NamespaceIndex
    ) throws(RegistryError) -> Draft {
        switch value {
        case .bytes(let bytes):
            try Validation.bound("value_bytes", bytes.count, limits.maxValueBytes)
            if let previous, Self.value(of: previous) == bytes { return Self.same(previous) }
            return draft(bytes, key: key)
        case .registration(let registration):
            try Validation.check(registration, limits: limits)
            var registration = registration
            registration.host = registration.host.canonical
            // One that has lost its id takes it back.
            if let previous, previous.storedValue == nil, previous.derivedIdentity == nil,
                previous.registration?.hasSameBytes(as: registration) == true
            {
                return Self.same(previous)
            }
            var draft = Draft(content: .service(registration), storedValue: nil)
            draft.displaced = try holder(ofID: registration.instance?.id ?? "", besides: key, in: index)
            return draft
        }
    }

    static func same(_ entry: Entry) -> Draft {
        Draft(content: entry.content, storedValue: entry.storedValue, isSame: true)
    }

    /// The entry of another key that a registration of this id replaces. An id that was derived from an etcd key is not
    /// given up: it would delete what another client wrote.
    private func holder(ofID id: String, besides key: [UInt8], in index: NamespaceIndex) throws(RegistryError) -> Entry?
    {
        guard let holder = index.find(id: id), holder.key != key else { return nil }
        guard holder.derivedIdentity == nil else {
            throw .invalid(field: "id", value: String(id.prefix(64)), expected: "an id that no etcd key has")
        }
        return holder
    }

    /// What bytes mean under a key. Never fails: what is no service is opaque.
    func draft(_ bytes: [UInt8], key: [UInt8]) -> Draft {
        var draft = Draft(content: .opaque, storedValue: bytes)
        guard layout.mayHoldService(key) else { return draft }
        let value: SkyDNSValue
        do throws(JSONError) {
            value = try SkyDNSValue(bytes)
        } catch {
            draft.skipReason = error.description
            return draft
        }
        if value.aliasOf != nil { return draft }
        var registration = value.registration
        let isShown = layout.isServiceKey(key)
        if !isShown || (registration.instance?.tags.count ?? 0) > limits.maxTags { registration.instance = nil }
        guard registration.instance != nil || layout.hasOwnerName(key) else {
            draft.skipReason = "the key is no domain name"
            return draft
        }
        guard registration.instance != nil || registration.host != .none || !registration.text.isEmpty else {
            draft.skipReason = "neither host nor text"
            return draft
        }
        draft.content = .service(registration)
        return draft
    }
}

extension StoreCore.Draft {
    /// Lets a new registration share the texts that its neighbour in the index has already: the service's name, the
    /// tags, and short words. A thousand instances of a service then hold one copy of each.
    mutating func shareTexts(in index: NamespaceIndex) {
        guard case .service(var registration) = content, let instance = registration.instance,
            let other = index.listedNeighbour(ofService: instance.service)?.instance,
            let shared = instance.sharingTexts(with: other)
        else { return }
        registration.instance = shared
        content = .service(registration)
    }
}

extension InstanceAttributes {
    /// The same attributes with equal texts taken from `other`; nil when there is nothing to gain.
    func sharingTexts(with other: InstanceAttributes) -> InstanceAttributes? {
        let sharesService = service.utf8.count > 15 && ByteOrder.same(service, other.service)
        let sharesTags = !tags.isEmpty && tags.hasSameBytes(as: other.tags)
        let sharesOrigin = origin.utf8.count > 15 && ByteOrder.same(origin, other.origin)
        guard sharesService || sharesTags || sharesOrigin else { return nil }
        return InstanceAttributes(
            service: sharesService ? other.service : service, id: id, tags: sharesTags ? other.tags : tags,
            status: status, endpointType: endpointType, endpoint: endpoint, metadata: metadata, extra: extra,
            origin: sharesOrigin ? other.origin : origin)
    }

    /// Equality by bytes; `==` takes canonically equivalent Unicode as equal.
    func hasSameBytes(as other: InstanceAttributes) -> Bool {
        self === other
            || (ByteOrder.same(service, other.service) && ByteOrder.same(id, other.id)
                && tags.hasSameBytes(as: other.tags) && ByteOrder.same(status, other.status)
                && ByteOrder.same(endpointType, other.endpointType) && ByteOrder.same(endpoint, other.endpoint)
                && metadata == other.metadata && extra == other.extra && ByteOrder.same(origin, other.origin))
    }
}

extension Registration {
    /// Equality by bytes; `==` takes canonically equivalent Unicode as equal.
    func hasSameBytes(as other: Registration) -> Bool {
        let instancesAgree: Bool
        switch (instance, other.instance) {
        case (nil, nil): instancesAgree = true
        case (let a?, let b?): instancesAgree = a.hasSameBytes(as: b)
        default: instancesAgree = false
        }
        return instancesAgree && self == other && ByteOrder.same(text, other.text)
            && ByteOrder.same(group, other.group) && host.hasSameBytes(as: other.host)
    }
}

extension ServiceHost {
    fileprivate func hasSameBytes(as other: ServiceHost) -> Bool {
        if case .name(let a) = self, case .name(let b) = other { return ByteOrder.same(a, b) }
        return self == other
    }
}

extension [String] {
    fileprivate func hasSameBytes(as other: [String]) -> Bool {
        count == other.count && zip(self, other).allSatisfy { ByteOrder.same($0, $1) }
    }
}
