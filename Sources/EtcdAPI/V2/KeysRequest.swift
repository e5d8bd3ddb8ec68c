import HTTPTypes
import RegistryStore

/// One request to `/v2/keys`.
struct KeysRequest {
    var keyspace: Keyspace
    let method: String
    /// The key as a clean path; empty for the root.
    let key: [UInt8]
    let query: ArraySlice<UInt8>
    /// The field's value; empty when there is none.
    let contentType: String
    let body: [UInt8]

    private static let methods = ["HEAD", "GET", "PUT", "POST", "DELETE"]

    /// Answers at once, but for writes that go to a cluster.
    func answer() -> EtcdAnswering {
        guard Self.methods.contains(method) else { return .now(.methodNotAllowed(Self.methods.joined(separator: ","))) }
        do throws(V2Error) {
            guard body.count <= EtcdHTTPHandler.bodyBytesMax else {
                throw V2Error(.tooLarge, cause: "body: more than \(EtcdHTTPHandler.bodyBytesMax) bytes")
            }
            let parameters = try KeysParameters(method: method, form: form())
            if parameters.wait { return .now(try wait(parameters)) }
            let action = action(parameters)
            let withNodes = !(parameters.noValueOnSuccess && action.writesValue)
            guard let operation = operation(action, parameters) else {
                let read: @Sendable () -> EtcdAnswer = {
                    answer(action, withNodes) { () throws(V2Error) in
                        try keyspace.read(key, recursive: parameters.recursive)
                    }
                }
                guard keyspace.holdsMany(below: key) else { return .now(read()) }
                return .later { await keyspace.longAnswers.make(read) }
            }
            if let writer = keyspace.writer {
                return .later { await answer(action, withNodes, operation, through: writer) }
            }
            return keptAnswer { answer(action, withNodes) { () throws(V2Error) in try keyspace.write(operation) } }
        } catch {
            return .now(refusal(error))
        }
    }

    private func answer(
        _ action: KeyspaceEvent.Action, _ withNodes: Bool, _ run: () throws(V2Error) -> KeyspaceEvent
    ) -> EtcdAnswer {
        do throws(V2Error) {
            return answer(.success(try run()), action, withNodes)
        } catch {
            return answer(.failure(error), action, withNodes)
        }
    }

    private func answer(
        _ action: KeyspaceEvent.Action, _ withNodes: Bool, _ operation: KeyspaceOperation,
        through writer: any RegistryWriter
    ) async -> EtcdAnswer {
        do throws(V2Error) {
            return answer(.success(try await keyspace.write(operation, through: writer)), action, withNodes)
        } catch {
            return answer(.failure(error), action, withNodes)
        }
    }

    private func answer(
        _ result: Result<KeyspaceEvent, V2Error>, _ action: KeyspaceEvent.Action, _ withNodes: Bool
    ) -> EtcdAnswer {
        switch result {
        case .success(let event):
            keyspace.statistics.count(action, succeeded: true)
            return answer(event, withNodes: withNodes)
        case .failure(let error):
            keyspace.statistics.count(action, succeeded: false)
            return refusal(error)
        }
    }

    func refusal(_ error: V2Error) -> EtcdAnswer {
        var fields = [clusterID, (.etcdIndex, String(error.index))]
        if [.overloaded, .notKept].contains(error.code) { fields.append((.retryAfter, "1")) }
        return EtcdAnswer(status: error.httpStatus, contentType: .json, fields: fields, body: error.json)
    }

    /// The answer to a write, once what it wrote is kept.
    private func keptAnswer(_ write: @escaping @Sendable () -> EtcdAnswer) -> EtcdAnswering {
        guard let durability = keyspace.durability else { return .now(write()) }
        switch durability.run(write, isRefusal: { $0.status >= 400 }) {
        case .done(let answer): return .now(answer)
        case .pending(let rest):
            return .later {
                do throws(RegistryError) {
                    return try await rest()
                } catch {
                    return refusal(keyspace.v2Error(error))
                }
            }
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

    private func action(_ parameters: KeysParameters) -> KeyspaceEvent.Action {
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

    /// What is to be written; nil for a read.
    private func operation(_ action: KeyspaceEvent.Action, _ parameters: KeysParameters) -> KeyspaceOperation? {
        let write = KeyspaceWrite(
            value: parameters.value, ttl: parameters.ttl, refresh: parameters.refresh, directory: parameters.directory)
        let comparison = KeyspaceComparison(value: parameters.previousValue, index: parameters.previousIndex)
        switch action {
        case .set: return .set(key, write)
        case .create where method == "POST": return .append(below: key, write)
        case .create: return .create(key, write)
        case .update: return .update(key, write)
        case .compareAndSwap: return .compareAndSwap(key, comparison, write)
        case .compareAndDelete: return .compareAndDelete(key, comparison)
        case .delete: return .delete(key, directory: parameters.directory, recursive: parameters.recursive)
        case .get, .expire: return nil
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
