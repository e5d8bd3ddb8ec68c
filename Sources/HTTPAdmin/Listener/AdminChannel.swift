import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1

/// One accepted connection on its way from set-up to its task.
struct AdminConnection: ServerChildChannelValue {
    let asyncChannel: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>
    let signal: CloseSignal
    /// False when the bound on connections was reached before this one.
    let isAdmitted: Bool
    var channel: any Channel { asyncChannel.channel }
}

/// HTTP/1.1 over one connection: Hummingbird's server accepts, this reads requests, asks the dispatcher and writes
/// answers, in order, one at a time.
struct AdminChannel: ServerChildChannel {
    typealias Value = AdminConnection

    let dispatcher: AdminDispatcher
    let limits: HTTPLimits
    let counters: HTTPCounters
    let warnings: WarningLimiter

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<AdminConnection> {
        channel.eventLoop.makeCompletedFuture {
            let isAdmitted = counters.openConnection(bound: limits.connections)
            channel.closeFuture.whenComplete { [counters] _ in counters.closeConnection() }
            var decoderLimits = NIOHTTPDecoderLimitConfiguration()
            decoderLimits.maxHeaderFieldSize = limits.headerFieldBytes
            decoderLimits.maxHeaderListSize = limits.headerBytes
            decoderLimits.maxHeaderFieldCount = limits.headerFields
            let pipeline = channel.pipeline.syncOperations
            try pipeline.configureHTTPServerPipeline(
                withPipeliningAssistance: false,
                withErrorHandling: false,
                withOutboundHeaderValidation: true,
                withEncoderConfiguration: .init(),
                withDecoderLimitConfiguration: decoderLimits)
            let signal = CloseSignal()
            try pipeline.addHandler(ConnectionHandler(limits: limits, counters: counters, signal: signal))
            let asyncChannel = try NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
            return AdminConnection(asyncChannel: asyncChannel, signal: signal, isAdmitted: isAdmitted)
        }
    }

    func handle(value connection: AdminConnection, logger: Logger) async {
        if !connection.isAdmitted {
            warnings.warn(logger, "connections", "HTTP connection refused: \(limits.connections) are open")
        }
        let channel = connection.channel
        do {
            try await withTaskCancellationHandler {
                try await connection.asyncChannel.executeThenClose { inbound, outbound in
                    var loop = ConnectionLoop(
                        channel: self, connection: connection, inbound: inbound.makeAsyncIterator(),
                        outbound: outbound, logger: logger)
                    try await loop.run()
                }
            } onCancel: {
                channel.close(mode: .input, promise: nil)
            }
        } catch {
            // The peer went away or broke a limit; the handler on the event loop has counted it.
            logger.trace("HTTP connection ended", metadata: ["reason": "\(error)"])
        }
    }
}
