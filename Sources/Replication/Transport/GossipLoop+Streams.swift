import Logging
import Memberlist
import NIOCore
import NIOPosix

// Streams: others' requests, and this node's.

extension GossipLoop {
    // MARK: Others'

    /// A connection of another node. When it throws, the connection is closed.
    func accept(_ channel: any Channel) throws {
        guard !isStopped else { throw GossipNodeError.stopped }
        guard let peer = channel.remoteAddress.flatMap({ GossipAddress($0) }), admits(peer) else {
            counters.strangersStreams += 1
            throw GossipNodeError.busy
        }
        guard makeRoom() else {
            counters.streamsBeyondLimit += 1
            throw GossipNodeError.busy
        }
        lastStream += 1
        let id = lastStream
        let stream = MessageStream(self, peer: peer, isIncoming: true) { [weak self] stream, outcome in
            self?.requested(id, stream, outcome)
        }
        try stream.attach(to: channel, until: clock() + settings.timing.streamTimeout)
        incoming.append((id, stream))
        counters.streamsIn += 1
    }

    /// Whether one more stream may come; one that says nothing makes room for it.
    private func makeRoom() -> Bool {
        guard incoming.count >= settings.limits.streams else { return true }
        let silent = incoming.min { $0.stream.heard < $1.stream.heard }
        guard let silent, clock() - silent.stream.heard > settings.limits.silenceMilliseconds else { return false }
        counters.silentStreamsEvicted += 1
        silent.stream.close()
        return incoming.count < settings.limits.streams
    }

    func incomingStream(_ id: UInt64) -> MessageStream? { incoming.first { $0.id == id }?.stream }

    func forget(_ stream: MessageStream) {
        incoming.removeAll { $0.stream === stream }
        outgoing[ObjectIdentifier(stream)] = nil
    }

    private func requested(_ id: UInt64, _ stream: MessageStream, _ outcome: MessageStream.Outcome) {
        switch outcome {
        case .message(.own(_, let body)): serve(stream, first: body)
        case .message(let message): give(.streamRequest(message, stream: id, from: stream.peer))
        case .unreadable(let error): refuse(stream, error)
        case .ended: break
        }
    }

    /// As memberlist: who sends an unknown type, or has another label, is not answered.
    private func refuse(_ stream: MessageStream, _ error: GossipWireError) {
        switch error {
        case .unknownType:
            counters.unknownStreams += 1
            return stream.close()
        case .wrongLabel:
            counters.wrongLabel += 1
            return stream.close()
        case .noKeyOpens, .plainRefused, .sealedWithoutKeys, .unknownSealVersion, .sealTooShort, .badPadding:
            counters.undecryptableStreams += 1
        default: counters.malformedStreams += 1
        }
        stream.answerAndFinish(.error(Array("the message cannot be read".utf8)))
    }

    // MARK: The application's

    private func serve(_ stream: MessageStream, first: [UInt8]) {
        do {
            let frames = try own(stream)
            let message = NIOLoopBound(stream, eventLoop: eventLoop)
            let (peer, eventLoop, application, logger) = (stream.peer, eventLoop, application, logger)
            // It ends with its channel, which `stop` closes.
            Task {
                do {
                    try await frames.executeThenClose { inbound, outbound in
                        try await application.serve(
                            GossipStream(
                                peer: peer, first: first, frames: inbound, writer: outbound, message: message,
                                eventLoop: eventLoop))
                    }
                } catch {
                    logger.debug("a peer's stream failed", metadata: ["peer": "\(peer)", "error": "\(error)"])
                }
            }
        } catch {
            stream.close()
        }
    }

    /// Makes a stream the application's, if there is room.
    func own(_ stream: MessageStream) throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        guard !isStopped else { throw GossipNodeError.stopped }
        guard ownStreams.count < settings.limits.ownStreams else {
            counters.ownStreamsBeyondLimit += 1
            throw GossipNodeError.busy
        }
        let frames = try stream.becomeOwn()
        let id = ObjectIdentifier(frames.channel)
        ownStreams[id] = frames.channel
        frames.channel.closeFuture.assumeIsolated().whenComplete { [weak self] _ in self?.ownStreams[id] = nil }
        return frames
    }

    // MARK: This node's

    /// Dials, sends a message, reads one.
    ///
    /// - Parameter done: called once, at the deadline at the latest; nil for no answer, and for one that is unreadable.
    func exchange(
        _ message: StreamMessage, with address: GossipAddress, until deadline: Milliseconds,
        _ done: @escaping (GossipLoop, StreamMessage?) -> Void
    ) {
        dial(address, message, until: deadline) { [weak self] stream, outcome in
            guard let self else { return }
            defer { stream.close() }
            switch outcome {
            case .message(let answer): done(self, answer)
            case .unreadable(let error):
                self.counters.malformedStreams += 1
                self.logger.debug(
                    "a peer's answer cannot be read", metadata: ["peer": "\(address)", "error": "\(error)"])
                done(self, nil)
            case .ended: done(self, nil)
            }
        }
    }

    /// - Parameter outcome: called once, at the deadline at the latest.
    func dial(
        _ address: GossipAddress, _ message: StreamMessage, until deadline: Milliseconds,
        _ outcome: @escaping (MessageStream, MessageStream.Outcome) -> Void
    ) {
        let stream = MessageStream(self, peer: address, isIncoming: false, outcome: outcome)
        guard !isStopped, let target = address.socketAddress else {
            counters.failedDials += 1
            return stream.close()
        }
        counters.streamsOut += 1
        outgoing[ObjectIdentifier(stream)] = stream
        let bound = NIOLoopBound(stream, eventLoop: eventLoop)
        ClientBootstrap(group: eventLoop)
            .connectTimeout(.milliseconds(max(deadline - clock(), 1)))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.allowRemoteHalfClosure, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.attach(to: channel, until: deadline) }
            }
            .connect(to: target).assumeIsolated().whenComplete { [weak self] result in
                do {
                    _ = try result.get()
                    try stream.write(message)
                } catch {
                    self?.counters.failedDials += 1
                    stream.close()
                }
            }
    }
}

/// A stream of the application's that was answered.
struct OpenedStream: Sendable {
    let answer: [UInt8]
    let frames: NIOAsyncChannel<ByteBuffer, ByteBuffer>
    let message: NIOLoopBound<MessageStream>
}

extension GossipLoop {
    /// Dials, sends the first message, and waits for the peer's.
    func open(
        _ first: [UInt8], to address: GossipAddress, until deadline: Milliseconds
    ) -> EventLoopFuture<OpenedStream> {
        let promise = eventLoop.makePromise(of: OpenedStream.self)
        dial(address, .own(type: GossipNode.streamType, body: first), until: deadline) { [weak self] stream, outcome in
            guard let self, case .message(.own(_, let answer)) = outcome else {
                promise.fail(GossipNodeError.badAnswer)
                return stream.close()
            }
            do {
                let frames = try self.own(stream)
                let message = NIOLoopBound(stream, eventLoop: self.eventLoop)
                promise.succeed(OpenedStream(answer: answer, frames: frames, message: message))
            } catch {
                promise.fail(error)
                stream.close()
            }
        }
        return promise.futureResult
    }
}
