import HTTPTypes

/// One request to `/v2/keys`.
struct KeysRequest {
    let keyspace: Keyspace
    let method: String
    /// The key as a clean path; empty for the root.
    let key: [UInt8]
    let query: ArraySlice<UInt8>
    /// The field's value; empty when there is none.
    let contentType: String
    let body: [UInt8]

    private static let methods = ["HEAD", "GET", "PUT", "POST", "DELETE"]

    func answer() -> EtcdAnswer {
        guard Self.methods.contains(method) else { return .methodNotAllowed(Self.methods.joined(separator: ",")) }
        do throws(V2Error) {
            guard body.count <= EtcdHTTPHandler.bodyBytesMax else {
                throw V2Error(.tooLarge, cause: "body: more than \(EtcdHTTPHandler.bodyBytesMax) bytes")
            }
            let parameters = try KeysParameters(method: method, form: form())
            if parameters.wait { return try wait(parameters) }
            let operation = operation(parameters)
            do throws(V2Error) {
                let event = try event(operation, parameters)
                keyspace.statistics.count(operation, succeeded: true)
                return answer(event, withNodes: !(parameters.noValueOnSuccess && operation.writesValue))
            } catch {
                keyspace.statistics.count(operation, succeeded: false)
                throw error
            }
        } catch {
            var fields = [clusterID, (.etcdIndex, String(error.index))]
            if error.code == .overloaded { fields.append((.retryAfter, "1")) }
            return EtcdAnswer(status: error.httpStatus, contentType: .json, fields: fields, body: error.json)
        }
    }

    /// The head goes out at once: its index says from where on the client misses nothing.
    private func wait(_ parameters: KeysParameters) throws(V2Error) -> EtcdAnswer {
        let (events, index) = try keyspace.watch(
            key, recursive: parameters.recursive, stream: parameters.stream, since: parameters.waitIndex)
        var answer = EtcdAnswer(status: 200, contentType: .json, fields: fields(index: index))
        answer.events = events
        return answer
    }

    /// The form counts for `PUT` and `POST` alone; a body of another type is as good as none.
    private func form() throws(V2Error) -> FormValues {
        var form: ArraySlice<UInt8> = []
        if method == "PUT" || method == "POST", try FormValues.isForm(contentType: contentType) { form = body[...] }
        return try FormValues(form: form, query: query)
    }

    private func operation(_ parameters: KeysParameters) -> KeyspaceEvent.Action {
        switch method {
        case "PUT":
            switch parameters.previousExists {
            case false: .create
            case _ where parameters.compares: .compareAndSwap
            case true: .update
            default: .set
            }
        case "POST": .create
        case "DELETE": parameters.compares ? .compareAndDelete : .delete
        default: .get
        }
    }

    private func event(
        _ operation: KeyspaceEvent.Action, _ parameters: KeysParameters
    ) throws(V2Error) -> KeyspaceEvent {
        let write = KeyspaceWrite(
            value: parameters.value, ttl: parameters.ttl, refresh: parameters.refresh, directory: parameters.directory)
        let comparison = KeyspaceComparison(value: parameters.previousValue, index: parameters.previousIndex)
        switch operation {
        case .set: return try keyspace.set(key, write)
        case .create where method == "POST": return try keyspace.append(below: key, write)
        case .create: return try keyspace.create(key, write)
        case .update: return try keyspace.update(key, write)
        case .compareAndSwap: return try keyspace.compareAndSwap(key, comparison, write)
        case .compareAndDelete: return try keyspace.compareAndDelete(key, comparison)
        case .delete:
            return try keyspace.delete(key, directory: parameters.directory, recursive: parameters.recursive)
        case .get, .expire: return try keyspace.read(key, recursive: parameters.recursive)
        }
    }

    private func answer(_ event: KeyspaceEvent, withNodes: Bool) -> EtcdAnswer {
        EtcdAnswer(
            status: event.isCreation ? 201 : 200, contentType: .json, fields: fields(index: event.index),
            body: event.json(withNodes: withNodes))
    }

    private func fields(index: Int64) -> [(HTTPField.Name, String)] {
        [clusterID, (.etcdIndex, String(index)), (.raftIndex, String(index)), (.raftTerm, "1")]
    }

    private var clusterID: (HTTPField.Name, String) { (.etcdClusterID, keyspace.clusterText) }
}

extension KeyspaceEvent.Action {
    /// Whether `noValueOnSuccess` leaves the nodes out of the answer.
    fileprivate var writesValue: Bool {
        switch self {
        case .set, .create, .update, .compareAndSwap: true
        case .get, .delete, .compareAndDelete, .expire: false
        }
    }
}

extension HTTPField.Name {
    static let etcdClusterID = known("X-Etcd-Cluster-Id")
    fileprivate static let etcdIndex = known("X-Etcd-Index")
    fileprivate static let raftIndex = known("X-Raft-Index")
    fileprivate static let raftTerm = known("X-Raft-Term")

    /// A name that is a token; what stands behind `??` is never reached.
    private static func known(_ text: StaticString) -> HTTPField.Name { HTTPField.Name("\(text)") ?? .eTag }
}
