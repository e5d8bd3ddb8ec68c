/// What a forwarder has done since its start. Numbers only grow, except the two marked as of now.
package struct ForwarderCounters: Hashable, Sendable {
    /// Questions taken: by `cachedAnswer` when it answered, by `forward` and `lookup` always.
    package var queries = 0
    /// Answered from the cache within the answers' TTL, remembered failures included.
    package var cacheHits = 0
    /// Not in the cache. Questions for stub zones do not count.
    package var cacheMisses = 0
    /// Answered with expired data because no server answered (RFC 8767).
    package var cacheStale = 0
    /// Answers that left the cache because it was full.
    package var cacheEvictions = 0
    /// Answers in the cache now.
    package var cacheEntries = 0
    /// Messages sent to upstream and stub servers, all transports.
    package var upstreamQueries = 0
    /// Tries after the first one for the same question, TCP after TC left out.
    package var retries = 0
    /// Tries that ended without an answer in time.
    package var timeouts = 0
    /// Tries that ended with a network error.
    package var networkErrors = 0
    /// Asked again over TCP, because of TC or of too many unsuitable packets.
    package var tcpFallbacks = 0
    /// Asked again without EDNS (RFC 6891 §6.2.2).
    package var ednsFallbacks = 0
    /// Questions that waited for an equal one under way.
    package var coalesced = 0
    /// Questions answered SERVFAIL at once because too many were under way.
    package var dropped = 0
    /// Packets from a server's address that were no answer to the question: wrong id, question or form.
    package var unsuitablePackets = 0
    /// Questions asked upstream that ended without a usable answer, not even an expired one.
    package var failures = 0
    /// Questions under way now.
    package var inFlight = 0
}
