package import NIOCore
import NIOHPACK

/// What a server serves: methods by their path.
///
/// Handlers take and give messages as bytes; what is in them is the business of their owner.
package struct GRPCRoutes: Sendable {
    /// `/package.Service/Method` to what answers it.
    package private(set) var methods: [String: GRPCMethod] = [:]
    /// The services that exist, so that an unknown method can be told from an unknown service.
    package private(set) var services: Set<String> = []

    package init() {}

    /// Adds a method, or replaces it.
    package mutating func add(service: String, _ method: String, _ handler: GRPCMethod) {
        services.insert(service)
        methods["/\(service)/\(method)"] = handler
    }
}

/// How a method is answered.
package enum GRPCMethod: Sendable {
    /// Answered at once, on the connection's event loop; must be short.
    case immediate(@Sendable (_ request: ByteBuffer, _ call: GRPCCall) throws(GRPCStatus) -> ByteBuffer)
    /// Answered at once as well, if the handler finds that it is short, else by a task.
    case immediateOrLater(@Sendable (_ request: ByteBuffer, _ call: GRPCCall) throws(GRPCStatus) -> GRPCAnswer)
    /// Answered by a task, which is cancelled when the call ends early.
    case unary(@Sendable (_ request: ByteBuffer, _ call: GRPCCall) async throws(GRPCStatus) -> ByteBuffer)
    /// Messages both ways. The handler is made on the stream's event loop and lives there.
    case streaming(
        @Sendable (_ stream: any GRPCServerStream, _ call: GRPCCall) throws(GRPCStatus) -> any GRPCStreamHandler)
}

/// An answer that is there, or that a task makes; the task is cancelled when the call ends early.
package enum GRPCAnswer: Sendable {
    case now(ByteBuffer)
    case later(@Sendable () async throws(GRPCStatus) -> ByteBuffer)
}

/// What is known of a call before its first message.
package struct GRPCCall: Sendable {
    /// `/package.Service/Method`.
    package let path: String
    /// Where the client is, for logs.
    package let peer: String
    private let fields: HPACKHeaders

    package init(path: String, metadata: [(name: String, value: String)] = [], peer: String = "") {
        self.init(path: path, fields: HPACKHeaders(metadata.map { ($0.name, $0.value) }), peer: peer)
    }

    init(path: String, fields: HPACKHeaders, peer: String) {
        self.path = path
        self.fields = fields
        self.peer = peer
    }

    /// The request's fields besides those of HTTP/2 and gRPC, names in lower case, in the order sent. Made when asked
    /// for: few calls need it.
    package var metadata: [(name: String, value: String)] {
        fields.compactMap { Self.isOwn($0.name) ? nil : ($0.name, $0.value) }
    }

    /// The first value of a field.
    package func metadata(_ name: String) -> String? { Self.isOwn(name) ? nil : fields.first(name: name) }

    /// What the client gives the whole call, from its `grpc-timeout`; nil when it waits without end. The server ends
    /// the call by itself: this is for who passes the call on.
    package var timeout: Duration? {
        fields.first(name: "grpc-timeout").flatMap { CallTimeout.parse($0) }.map { .nanoseconds($0.nanoseconds) }
    }

    private static func isOwn(_ name: String) -> Bool {
        name.hasPrefix(":") || name.hasPrefix("grpc-") || name == "content-type" || name == "te"
    }
}

/// The client's side of a call with messages both ways, as its handler hears of it: always on the stream's event loop,
/// in order, nothing after `closed`.
package protocol GRPCStreamHandler: AnyObject {
    /// One whole message.
    func received(_ message: ByteBuffer)
    /// The client sends no more.
    func endOfRequests()
    /// The stream takes messages again, after `isWritable` was false.
    func becameWritable()
    /// The call is over, by whichever side; comes exactly once.
    func closed()
}

/// The server's side of such a call. To be used on its event loop only.
package protocol GRPCServerStream: AnyObject {
    var eventLoop: any EventLoop { get }
    /// False when what was sent waits for the client. Whoever sends nevertheless fills memory: a handler that has more
    /// waits for `becameWritable`.
    var isWritable: Bool { get }
    /// Sends a message; goes out at `flush`.
    func send(_ message: ByteBuffer)
    /// Sends messages in order; many small ones cost little more than one.
    func send(_ messages: [ByteBuffer])
    func flush()
    /// Ends the call.
    func finish(_ status: GRPCStatus)
}

extension GRPCServerStream {
    package func send(_ messages: [ByteBuffer]) { for message in messages { send(message) } }
}
