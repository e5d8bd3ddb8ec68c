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
            let event = try event(parameters)
            return answer(event, withNodes: !(parameters.noValueOnSuccess && event.action.writesValue))
        } catch {
            return EtcdAnswer(
                status: error.httpStatus, contentType: .json,
                fields: [clusterID, (.etcdIndex, String(error.index))], body: error.json)
        }
    }

    /// The form counts for `PUT` and `POST` alone; a body of another type is as good as none.
    private func form() throws(V2Error) -> FormValues {
        var form: ArraySlice<UInt8> = []
        if method == "PUT" || method == "POST", try FormValues.isForm(contentType: contentType) { form = body[...] }
        return try FormValues(form: form, query: query)
    }

    private func event(_ parameters: KeysParameters) throws(V2Error) -> KeyspaceEvent {
        let write = KeyspaceWrite(value: parameters.value, ttl: parameters.ttl, refresh: parameters.refresh)
        let comparison = KeyspaceComparison(value: parameters.previousValue, index: parameters.previousIndex)
        switch method {
        case "PUT":
            if parameters.directory && !(parameters.compares && parameters.previousExists != false) {
                throw .notAvailable("dir", why: "directories come with their first key and cannot be put")
            }
            switch parameters.previousExists {
            case false: return try keyspace.create(key, write)
            case _ where parameters.compares: return try keyspace.compareAndSwap(key, comparison, write)
            case true: return try keyspace.update(key, write)
            default: return try keyspace.set(key, write)
            }
        case "POST":
            if parameters.directory {
                throw .notAvailable("dir", why: "directories come with their first key and cannot be posted")
            }
            return try keyspace.append(below: key, write)
        case "DELETE":
            if parameters.compares { return try keyspace.compareAndDelete(key, comparison) }
            return try keyspace.delete(key, directory: parameters.directory, recursive: parameters.recursive)
        default:
            if parameters.wait { throw .notAvailable("wait", why: "changes cannot be waited for yet") }
            return try keyspace.read(key, recursive: parameters.recursive)
        }
    }

    private func answer(_ event: KeyspaceEvent, withNodes: Bool) -> EtcdAnswer {
        let index = String(event.index)
        return EtcdAnswer(
            status: event.isCreation ? 201 : 200, contentType: .json,
            fields: [clusterID, (.etcdIndex, index), (.raftIndex, index), (.raftTerm, "1")],
            body: event.json(withNodes: withNodes))
    }

    private var clusterID: (HTTPField.Name, String) {
        (.etcdClusterID, String(keyspace.clusterID, radix: 16))
    }
}

extension KeyspaceEvent.Action {
    /// Whether `noValueOnSuccess` leaves the nodes out of the answer.
    fileprivate var writesValue: Bool {
        switch self {
        case .set, .create, .update, .compareAndSwap: true
        case .get, .delete, .compareAndDelete: false
        }
    }
}

extension HTTPField.Name {
    fileprivate static let etcdClusterID = known("X-Etcd-Cluster-Id")
    fileprivate static let etcdIndex = known("X-Etcd-Index")
    fileprivate static let raftIndex = known("X-Raft-Index")
    fileprivate static let raftTerm = known("X-Raft-Term")

    /// A name that is a token; what stands behind `??` is never reached.
    private static func known(_ text: StaticString) -> HTTPField.Name { HTTPField.Name("\(text)") ?? .eTag }
}
