/// What the sockets counted, from the start on.
package struct TransportCounters: Hashable, Sendable {
    package var packetsIn = 0
    package var packetBytesIn = 0
    package var packetsOut = 0
    package var packetBytesOut = 0
    package var streamsIn = 0
    package var streamsOut = 0
    package var streamBytesIn = 0
    package var streamBytesOut = 0

    // Packets that were dropped, and why.
    /// No key opens it: a stranger, or somebody with another key.
    package var undecryptable = 0
    package var wrongLabel = 0
    package var malformedPackets = 0
    /// Broken parts of packets whose other parts were taken.
    package var malformedParts = 0
    package var strangersPackets = 0
    /// The socket could not take more.
    package var unsentPackets = 0
    /// What could not be encoded, or had an address of a family that the socket does not speak.
    package var unsendablePackets = 0
    package var socketErrors = 0

    // Streams that were given up, and why.
    package var strangersStreams = 0
    package var streamsBeyondLimit = 0
    package var silentStreamsEvicted = 0
    package var streamBytesBeyondLimit = 0
    package var streamsTimedOut = 0
    package var malformedStreams = 0
    package var undecryptableStreams = 0
    package var unknownStreams = 0
    package var ownStreamsBeyondLimit = 0
    package var failedDials = 0

    /// Events that a reader was too slow for.
    package var eventsDropped = 0
    package var readersBeyondLimit = 0

    package init() {}
}
