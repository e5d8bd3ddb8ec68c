package import NIOCore
import NIOHPACK
import NIOHTTP2

/// Serves gRPC calls on connections that others accept.
package struct GRPCServer: Sendable {
    let routes: GRPCRoutes
    let configuration: GRPCServerConfiguration
    let held: HeldBytes
    package let metrics = GRPCMetrics()

    /// - Parameters:
    ///   - routes: what is served; without routes every call is `Unimplemented`.
    ///   - held: the memory that requests and answers share with other connections.
    package init(routes: GRPCRoutes, configuration: GRPCServerConfiguration, held: HeldBytes) {
        self.routes = routes
        self.configuration = configuration
        self.held = held
    }

    /// Adds HTTP/2 and the calls to the end of a connection's pipeline; call on its event loop. The client's preface
    /// is still to be read.
    ///
    /// The handlers keep their own deadlines. `ChannelShouldQuiesceEvent` has them end the calls and the connection.
    ///
    /// - Parameter farewell: ends the connection once the last frame, GOAWAY, is flushed: by a plain close the client
    ///   might never see it. Called at most once, on the event loop.
    package func configure(_ channel: any Channel, farewell: @escaping (any Channel) -> Void) throws {
        let connection = ServerConnection(server: self, channel: channel, farewell: farewell)
        try channel.pipeline.syncOperations.addHandlers(
            NIOHTTP2Handler(
                mode: .server, frameDelegate: connection, connectionConfiguration: connectionConfiguration,
                streamConfiguration: streamConfiguration),
            connection)
    }

    private var connectionConfiguration: NIOHTTP2Handler.ConnectionConfiguration {
        var http2 = NIOHTTP2Handler.ConnectionConfiguration()
        http2.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: configuration.streamsMax),
            HTTP2Setting(parameter: .initialWindowSize, value: ServerConnection.streamWindow),
            HTTP2Setting(parameter: .maxHeaderListSize, value: configuration.headerBytesMax),
        ]
        http2.maximumSequentialEmptyDataFrames = 16
        http2.maximumRecentlyResetStreams = 256
        http2.maximumBufferedControlFrames = 2 * configuration.controlFramesMax + 4 * configuration.streamsMax
        // Counted over the whole life of a connection, and some live for months: the rates below are the bound.
        http2.maximumConnectionGlitches = 1_000_000
        // Pings that measure bandwidth come as often as answers do. `ControlBudget` tells them from a flood; this
        // bound only keeps a single burst short.
        http2.controlFrameRateLimit.maximumCount = 2 * configuration.controlFramesMax
        http2.controlFrameRateLimit.windowLength = .milliseconds(100)
        return http2
    }

    private var streamConfiguration: NIOHTTP2Handler.StreamConfiguration {
        var http2 = NIOHTTP2Handler.StreamConfiguration()
        http2.streamResetFrameRateLimit.maximumCount = configuration.resetsMax
        http2.streamResetFrameRateLimit.windowLength = .seconds(10)
        return http2
    }
}
