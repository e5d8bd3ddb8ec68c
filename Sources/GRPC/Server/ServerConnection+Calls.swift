import NIOCore
import NIOHPACK
import NIOHTTP2

extension ServerConnection {
    /// The fields of a request that gRPC gives a meaning.
    private struct RequestFields {
        var method = ""
        var path = ""
        var contentType: String?
        var encoding: String?
        var timeout: String?

        init(_ fields: HPACKHeaders) {
            for (name, value, _) in fields {
                switch name {
                case ":method": method = value
                case ":path": path = value
                case "content-type": contentType = contentType ?? value
                case "grpc-encoding": encoding = value
                case "grpc-timeout": timeout = value
                default: break
                }
            }
        }
    }

    // MARK: The request

    /// A call begins, or what is none is answered in the words of grpc-go.
    func begin(_ headers: HPACKHeaders, isEnd: Bool, id: HTTP2StreamID) {
        guard let context else { return }
        let fields = RequestFields(headers)
        guard held.hold(ServerStream.ownBytes) else {
            metrics.count { $0.memoryOverLimit += 1 }
            return write(.rstStream(.refusedStream), on: id)
        }
        metrics.count { $0.callsOpen += 1 }
        let answerType = CallFields.answerType(to: fields.contentType)
        let stream = ServerStream(
            id: id, answerType: answerType ?? CallFields.contentType,
            reader: MessageReader(bytesMax: configuration.messageBytesMax, encoding: fields.encoding),
            connection: self, eventLoop: context.eventLoop)
        stream.remoteEnded = isEnd
        streams[id] = stream
        if answerType == nil {
            let type = fields.contentType ?? ""
            return refuse(stream, 415, .init(.invalidArgument, "invalid gRPC request content-type \"\(type)\""))
        }
        if fields.method != "POST" {
            let text = "Received a HEADERS frame with :method \"\(fields.method)\" which should be POST"
            return refuse(stream, 405, .init(.internalError, text))
        }
        if let timeout = fields.timeout {
            guard let time = CallTimeout.parse(timeout) else {
                metrics.count { $0.notCalls += 1 }
                return reset(stream, .protocolError)
            }
            guard time > .zero else { return finish(stream, Self.deadlineExceeded) }
            stream.deadline = context.eventLoop.assumeIsolated().scheduleTask(in: time) {
                self.finish(stream, Self.deadlineExceeded)
                self.flushNow()
            }
        }
        begin(stream, fields.path, headers, now: context.eventLoop.now)
        if isEnd { requestEnded(stream) }
    }

    private static let deadlineExceeded = GRPCStatus(.deadlineExceeded, "context deadline exceeded")
    private static let outOfMemory = GRPCStatus(
        .resourceExhausted, "etcdserver: memory for requests and answers in flight is used up")

    private func begin(_ stream: ServerStream, _ path: String, _ headers: HPACKHeaders, now: NIODeadline) {
        guard let method = server.routes.method(path) else {
            return finish(stream, server.routes.whyNot(path))
        }
        let call = GRPCCall(path: path, fields: headers, peer: peer)
        switch method {
        case .immediate, .immediateOrLater, .unary:
            stream.work = .collecting(method, call)
            stream.receivingSince = now
        case .streaming(let make):
            do {
                let handler = try make(stream, call)
                guard !stream.isFinished else { return handler.closed() }
                stream.work = .streaming(handler)
                stream.handler = handler
            } catch {
                finish(stream, error)
            }
        }
    }

    func receive(_ bytes: ByteBuffer, on stream: ServerStream) {
        guard !stream.isFinished, stream.request == nil else { return }
        stream.reader.append(bytes)
        do {
            while let message = try stream.reader.next() {
                metrics.count { $0.messagesReceived += 1 }
                switch stream.work {
                case .streaming(let handler):
                    handler.received(message)
                case .collecting:
                    // As grpc-go: one message is the request, whatever follows.
                    stream.request = message
                    stream.reader.drop()
                    if !stream.remoteEnded { ready.append(stream) }
                case .beginning, .answering, .finished:
                    stream.reader.drop()
                }
                if stream.isFinished { break }
            }
        } catch {
            if error.code == .resourceExhausted { metrics.count { $0.messagesOverLimit += 1 } }
            return finish(stream, error, offersEncodings: error.code == .unimplemented)
        }
        countRequest(stream)
    }

    /// Counts what is held of a request that is not whole.
    private func countRequest(_ stream: ServerStream) {
        guard !stream.isFinished, let context else { return }
        let bytes = stream.reader.bufferedBytes + (stream.request?.readableBytes ?? 0)
        if case .streaming = stream.work {
            stream.receivingSince = bytes == 0 ? nil : stream.receivingSince ?? context.eventLoop.now
        } else if stream.request != nil {
            stream.receivingSince = nil
        }
        let more = bytes - stream.heldRequestBytes
        if more > 0 {
            guard held.hold(more) else {
                metrics.count { $0.memoryOverLimit += 1 }
                return finish(stream, Self.outOfMemory)
            }
        } else if more < 0 {
            held.letGo(-more)
        }
        stream.heldRequestBytes = bytes
    }

    /// The client has said its last.
    func requestEnded(_ stream: ServerStream) {
        stream.remoteEnded = true
        switch stream.work {
        case .collecting:
            guard stream.request != nil else { return finish(stream, .init(.unknown, "unexpected EOF")) }
            answer(stream)
        case .streaming(let handler):
            if stream.reader.bufferedBytes > 0 {
                finish(stream, .init(.internalError, "unexpected EOF"))
            } else {
                handler.endOfRequests()
            }
        case .beginning, .answering, .finished:
            break
        }
    }

    // MARK: The answer

    /// Has a whole request answered. It stays counted as held until the call ends.
    func answer(_ stream: ServerStream) {
        guard case .collecting(let method, let call) = stream.work, let request = stream.request else { return }
        stream.request = nil
        do {
            switch method {
            case .immediate(let handler):
                answer(stream, with: try handler(request, call))
            case .immediateOrLater(let handler):
                switch try handler(request, call) {
                case .now(let response): answer(stream, with: response)
                case .later(let response): answer(stream, byTask: response)
                }
            case .unary(let handler):
                answer(stream, byTask: { () throws(GRPCStatus) in try await handler(request, call) })
            case .streaming:
                break
            }
        } catch {
            finish(stream, error)
        }
    }

    private func answer(_ stream: ServerStream, with response: ByteBuffer) {
        send(response, on: stream)
        finish(stream, .ok)
    }

    private func answer(
        _ stream: ServerStream, byTask response: @escaping @Sendable () async throws(GRPCStatus) -> ByteBuffer
    ) {
        guard let context else { return }
        let eventLoop = context.eventLoop
        let bound = NIOLoopBound((self, stream), eventLoop: eventLoop)
        // Owned by the stream: cancelled when the call ends, by whichever side.
        let task = Task {
            let result: Result<ByteBuffer, GRPCStatus>
            do throws(GRPCStatus) {
                result = .success(try await response())
            } catch {
                result = .failure(error)
            }
            eventLoop.execute {
                let (connection, stream) = bound.value
                connection.answered(stream, result)
            }
        }
        stream.work = .answering(task)
    }

    private func answered(_ stream: ServerStream, _ result: Result<ByteBuffer, GRPCStatus>) {
        guard case .answering = stream.work else { return }
        switch result {
        case .success(let response): answer(stream, with: response)
        case .failure(let status): finish(stream, status)
        }
    }

    func mayTakeMore(of stream: ServerStream) -> Bool {
        guard stream.unsentBytes < configuration.unsentBytesHigh else { return false }
        guard unsentBytes < Self.connectionUnsentHigh else {
            isBlockedAsAWhole = true
            return false
        }
        return true
    }

    /// Writes a message; it counts as held until flow control lets it go.
    func send(_ message: ByteBuffer, on stream: ServerStream) {
        guard let context else { return }
        let (first, rest) = MessageFraming.frames(of: message, allocator: context.channel.allocator)
        send(first, rest, messages: 1, on: stream)
    }

    /// Sends messages in order, as many together as a frame holds.
    func send(_ messages: [ByteBuffer], on stream: ServerStream) {
        guard let context else { return }
        var rest = messages[...]
        while let next = rest.first {
            var bytes = 0
            let together = rest.prefix { message in
                bytes += MessageFraming.prefixBytes + message.readableBytes
                return bytes <= Self.togetherBytesMax
            }
            if together.count < 2 {
                send(next, on: stream)
                rest = rest.dropFirst()
            } else {
                let frame = MessageFraming.frame(of: together, allocator: context.channel.allocator)
                send(frame, nil, messages: together.count, on: stream)
                rest = rest.dropFirst(together.count)
            }
        }
    }

    /// The largest frame that clients take if they do not ask for others.
    private static let togetherBytesMax = 16_384

    private func send(_ first: ByteBuffer, _ rest: ByteBuffer?, messages: Int, on stream: ServerStream) {
        guard let context, !stream.isFinished else { return }
        let count = first.readableBytes + (rest?.readableBytes ?? 0)
        guard held.hold(count) else {
            metrics.count { $0.memoryOverLimit += 1 }
            return finish(stream, Self.outOfMemory)
        }
        if !stream.headSent {
            stream.headSent = true
            write(.headers(.init(headers: CallFields.responseHead(contentType: stream.answerType))), on: stream.id)
        }
        if stream.unsentBytes == 0 { stream.unsentSince = context.eventLoop.now }
        stream.unsentBytes += count
        unsentBytes += count
        metrics.count { $0.messagesSent += messages }
        write(.data(.init(data: .byteBuffer(first))), on: stream.id)
        if let rest { write(.data(.init(data: .byteBuffer(rest))), on: stream.id) }
    }

    /// Ends a call from this side; what was sent before still goes out.
    ///
    /// - Parameter offersEncodings: names what would have been understood, to who sent something compressed.
    func finish(_ stream: ServerStream, _ status: GRPCStatus, offersEncodings: Bool = false) {
        guard !stream.isFinished else { return }
        if stream.headSent {
            finish(stream, status, CallFields.trailers(status))
        } else {
            var fields = CallFields.trailersOnly(status, contentType: stream.answerType)
            if offersEncodings { fields.add(name: "grpc-accept-encoding", value: "identity") }
            finish(stream, status, fields)
        }
    }

    /// Answers what is no gRPC call.
    private func refuse(_ stream: ServerStream, _ http: Int, _ status: GRPCStatus) {
        metrics.count { $0.notCalls += 1 }
        finish(stream, status, CallFields.trailersOnly(status, contentType: CallFields.contentType, http: http))
    }

    private func finish(_ stream: ServerStream, _ status: GRPCStatus, _ trailers: HPACKHeaders) {
        if case .answering(let task) = stream.work { task.cancel() }
        stream.work = .finished
        stream.status = status.code
        stream.deadline?.cancel()
        stream.deadline = nil
        stream.receivingSince = nil
        stream.request = nil
        stream.reader.drop()
        held.letGo(stream.heldRequestBytes)
        stream.heldRequestBytes = 0
        write(.headers(.init(headers: trailers, endStream: true)), on: stream.id)
        flushSoon()
    }

    /// Ends a call without an answer, and drops what waits.
    func reset(_ stream: ServerStream, _ code: HTTP2ErrorCode) {
        stream.work = .finished
        write(.rstStream(code), on: stream.id)
        flushSoon()
    }
}

extension GRPCRoutes {
    /// The method of a path. As grpc-go, it does not insist on the first slash.
    func method(_ path: String) -> GRPCMethod? {
        methods[path] ?? (path.utf8.first == UInt8(ascii: "/") ? nil : methods["/" + path])
    }

    /// Why a path leads nowhere, in the words of grpc-go.
    func whyNot(_ path: String) -> GRPCStatus {
        let name = path.utf8.first == UInt8(ascii: "/") ? path.dropFirst() : path[...]
        guard let slash = name.lastIndex(of: "/") else {
            return GRPCStatus(.resourceExhausted, "malformed method name: \"\(path)\"")
        }
        let service = String(name[..<slash])
        guard services.contains(service) else { return GRPCStatus(.unimplemented, "unknown service \(service)") }
        let method = name[name.index(after: slash)...]
        return GRPCStatus(.unimplemented, "unknown method \(method) for service \(service)")
    }
}
