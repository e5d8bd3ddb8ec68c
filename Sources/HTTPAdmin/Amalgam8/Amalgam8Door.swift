import HTTPTypes
package import RegistryStore

/// The native admin API: Amalgam8's registry v1 with the extensions of INTERFACE section 3.
package struct Amalgam8Door: Sendable {
    private let registry: Registry
    private let writer: any RegistryWriter
    private let leases: LeasePolicy
    private let feed: EventFeed

    /// - Parameters:
    ///   - writer: takes what clients write: the registry, or the external store that it is the copy of.
    ///   - feed: serves `/api/v1/events`.
    package init(registry: Registry, writer: any RegistryWriter, leases: LeasePolicy, feed: EventFeed) {
        self.registry = registry
        self.writer = writer
        self.leases = leases
        self.feed = feed
    }

    package func addRoutes(to routes: inout RouteTable<Operation>) {
        func add(
            _ method: HTTPRequest.Method, _ pattern: String, _ name: String,
            _ handle: @escaping @Sendable (Invocation) async throws(APIError) -> HTTPAnswer
        ) {
            routes.add(method, pattern, Operation(name, access: .tenant, handle: handle))
        }
        add(.post, "/api/v1/instances", "Register") { invocation throws(APIError) in try await register(invocation) }
        add(.get, "/api/v1/instances", "ListInstances") { invocation throws(APIError) in try await list(invocation) }
        add(.get, "/api/v1/instances/{id}", "GetInstance") { invocation throws(APIError) in try get(invocation) }
        add(.put, "/api/v1/instances/{id}", "Update") { invocation throws(APIError) in try await update(invocation) }
        add(.delete, "/api/v1/instances/{id}", "Deregister") { invocation throws(APIError) in
            try await deregister(invocation)
        }
        add(.put, "/api/v1/instances/{id}/heartbeat", "Renew") { invocation throws(APIError) in
            try await renew(invocation)
        }
        add(.get, "/api/v1/services", "ListServices") { invocation in listServices(invocation) }
        add(.get, "/api/v1/services/{name}", "ListServiceInstances") { invocation throws(APIError) in
            try await listService(invocation)
        }
        add(.get, "/api/v1/events", "Events") { invocation throws(APIError) in try feed.answer(invocation) }
        add(.get, "/api/v1/skipped", "ListSkipped") { _ in listSkipped() }
    }

    // MARK: Writing

    private func register(_ invocation: Invocation) async throws(APIError) -> HTTPAnswer {
        let body = try RegistrationBody(parsing: invocation.call.body)
        let id = body.id
        let lease = leases.milliseconds(askedSeconds: body.leaseSeconds)
        let intent = put(body, id: id, lease: lease, in: invocation.namespace, preconditions: [])
        try await apply([intent], failing: RegistrationBody.failed.message)
        let links = links(to: id, for: invocation.call)
        var answer = granted(id: id, lease: lease, links: links, status: .created)
        answer.headers[.location] = links.this
        return answer
    }

    /// Replaces what an id stands for. The id must exist and must not belong to an etcd door, whose clients would not
    /// know that their value changed.
    private func update(_ invocation: Invocation) async throws(APIError) -> HTTPAnswer {
        let body = try RegistrationBody(parsing: invocation.call.body)
        let id = invocation.parameters[0]
        if let stated = body.instanceID, stated != id {
            throw RegistrationBody.failed.with(detail: "instance_id: \"\(stated)\" differs from the path's \"\(id)\"")
        }
        let failure = "Failed to update instance"
        guard let entry = registry.entry(namespace: invocation.namespace, id: id) else {
            throw APIError(.gone, failure)
        }
        guard entry.storedValue == nil else {
            throw APIError(.conflict, failure, detail: "an etcd door wrote this entry; put its key there")
        }
        let lease = leases.milliseconds(askedSeconds: body.leaseSeconds)
        let key = registry.layout.primaryKey(service: body.service, id: id)
        var intents = [Intent]()
        if key != entry.key {
            // Another service: the entry moves, in one revision.
            intents.append(.delete(namespace: invocation.namespace, key: entry.key, preconditions: [.exists]))
        }
        let preconditions: [Precondition] = key == entry.key ? [.exists] : []
        intents.append(put(body, id: id, lease: lease, in: invocation.namespace, preconditions: preconditions))
        try await apply(intents, failing: failure)
        return granted(id: id, lease: lease, links: links(to: id, for: invocation.call), status: .ok)
    }

    private func deregister(_ invocation: Invocation) async throws(APIError) -> HTTPAnswer {
        let failure = "Failed to deregister instance"
        guard let entry = registry.entry(namespace: invocation.namespace, id: invocation.parameters[0]) else {
            throw APIError(.gone, failure)
        }
        let intent = Intent.delete(namespace: invocation.namespace, key: entry.key, preconditions: [.exists])
        try await apply([intent], failing: failure)
        return HTTPAnswer(status: .ok)
    }

    private func renew(_ invocation: Invocation) async throws(APIError) -> HTTPAnswer {
        do throws(RegistryError) {
            try await writer.renew(namespace: invocation.namespace, id: invocation.parameters[0])
        } catch {
            throw APIError(error, failing: "Failed to renew instance registration")
        }
        return HTTPAnswer(status: .ok)
    }

    private func put(
        _ body: RegistrationBody, id: String, lease: Int64, in namespace: Namespace, preconditions: [Precondition]
    ) -> Intent {
        .put(
            namespace: namespace,
            key: registry.layout.primaryKey(service: body.service, id: id),
            value: .registration(body.registration(id: id)),
            // An instance that was taken out of service on purpose does not run out.
            lease: body.status == "OUT_OF_SERVICE" ? .suspended(milliseconds: lease) : .own(milliseconds: lease),
            preconditions: preconditions)
    }

    private func apply(_ intents: [Intent], failing message: String) async throws(APIError) {
        do throws(RegistryError) {
            try await writer.apply(intents)
        } catch {
            throw APIError(error, failing: message)
        }
    }

    // MARK: Reading

    private func list(_ invocation: Invocation) async throws(APIError) -> HTTPAnswer {
        let filter = try InstanceFilter(query: invocation.call.query)
        let namespace = invocation.namespace
        let entries =
            if let id = filter.id {
                [registry.entry(namespace: namespace, id: id)].compactMap { $0 }
            } else {
                registry.instances(namespace: namespace, service: filter.service)
            }
        var json = JSONOutput()
        json.beginObject()
        json.name("instances")
        await write(entries, filter.fields, into: &json) { filter.matches($0) }
        json.endObject()
        return .json(.ok, json)
    }

    private func get(_ invocation: Invocation) throws(APIError) -> HTTPAnswer {
        let filter = try InstanceFilter(query: invocation.call.query)
        guard let entry = registry.entry(namespace: invocation.namespace, id: invocation.parameters[0]),
            let instance = InstanceView(entry, in: registry)
        else { throw APIError(.notFound, "Instance not found") }
        var json = JSONOutput()
        instance.write(filter.fields, into: &json)
        return .json(.ok, json)
    }

    private func listServices(_ invocation: Invocation) -> HTTPAnswer {
        .json(.ok) { $0.member("services", registry.serviceNames(namespace: invocation.namespace)) }
    }

    private func listService(_ invocation: Invocation) async throws(APIError) -> HTTPAnswer {
        let name = invocation.parameters[0]
        let entries = registry.instances(namespace: invocation.namespace, service: name)
        guard !entries.isEmpty else { throw APIError(.notFound, "Failed to enumerate service names") }
        var json = JSONOutput()
        json.beginObject()
        json.member("service_name", name)
        json.name("instances")
        await write(entries, .standard, into: &json) { _ in true }
        json.endObject()
        return .json(.ok, json)
    }

    /// Keys below the domain whose values mean nothing to the DNS: what an operator looks for when a name is missing.
    private func listSkipped() -> HTTPAnswer {
        .json(.ok) { json in
            json.name("skipped")
            json.beginArray()
            for value in registry.skippedValues() {
                json.beginObject()
                json.member("key", String(decoding: value.key, as: UTF8.self))
                json.member("reason", value.reason)
                json.endObject()
            }
            json.endArray()
        }
    }

    private func write(
        _ entries: [Entry], _ fields: InstanceFields, into json: inout JSONOutput,
        where isWanted: (InstanceView) -> Bool
    ) async {
        json.beginArray()
        for (index, entry) in entries.enumerated() {
            // A long list lets short requests through meanwhile.
            if index % 256 == 255 { await Task.yield() }
            guard let instance = InstanceView(entry, in: registry), isWanted(instance) else { continue }
            instance.write(fields, into: &json)
        }
        json.endArray()
    }

    // MARK: Links

    private struct Links {
        let this: String
        let heartbeat: String
    }

    private func links(to id: String, for call: HTTPCall) -> Links {
        let this =
            "\(call.isSecure ? "https" : "http")://\(call.authority)/api/v1/instances/"
            + URLText.encodePathSegment(id)
        return Links(this: this, heartbeat: this + "/heartbeat")
    }

    private func granted(id: String, lease: Int64, links: Links, status: HTTPResponse.Status) -> HTTPAnswer {
        .json(status) { json in
            json.member("id", id)
            json.member("ttl", LeasePolicy.shownSeconds(lease))
            json.name("links")
            json.beginObject()
            json.member("self", links.this)
            json.member("heartbeat", links.heartbeat)
            json.endObject()
        }
    }
}

extension HTTPCall {
    /// Whether the client reached us by HTTPS, here or at a proxy that says so (contract section 6).
    var isSecure: Bool {
        isTLS || headers[.forwardedProto] == "https" || headers[.secureMark] == "https"
    }
}
