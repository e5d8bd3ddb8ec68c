import FoundationEssentials
import RegistryStore

// What the cluster door writes.

extension ClusterMember {
    func write(into json: inout JSONOutput) {
        json.member("name", name)
        json.member("address", address)
        json.member("state", state.rawValue)
        json.member("role", role)
        json.member("version", version)
        json.name("ready")
        if let isReady { json.bool(isReady) } else { json.null() }
        json.name("rtt_ms")
        if let roundTripMilliseconds { json.number(roundTripMilliseconds) } else { json.null() }
        json.member("since", CivilTime(unixMilliseconds: sinceUnixMilliseconds).rfc3339)
        json.member("incarnation", Int64(incarnation))
        json.name("self")
        json.bool(isSelf)
        json.name("metadata")
        json.beginObject()
        for tag in tags { json.member(tag.name, tag.value) }
        json.endObject()
        if !opaqueMetadata.isEmpty { json.member("metadata_hex", opaqueMetadata) }
    }
}

extension ClusterSync {
    func write(into json: inout JSONOutput) {
        json.member("phase", phase)
        json.member("origin", Hex.text(origin))
        json.member("context_hash", Hex.text(contextHash))
        json.member("entries_hash", Hex.text(entriesHash))
        json.name("origins")
        json.beginArray()
        for row in origins {
            json.beginObject()
            json.member("origin", Hex.text(row.origin))
            json.member("head", Int64(clamping: row.head))
            json.member("floor", Int64(clamping: row.floor))
            json.member("gaps", Int64(row.gaps))
            json.member("hash", Hex.text(row.hash))
            json.endObject()
        }
        json.endArray()
        json.name("peers")
        json.beginArray()
        for peer in peers {
            json.beginObject()
            json.member("name", peer.name)
            json.name("agreed")
            if let time = peer.agreedUnixMilliseconds {
                json.string(CivilTime(unixMilliseconds: time).rfc3339)
            } else {
                json.null()
            }
            json.endObject()
        }
        json.endArray()
        json.name("queues")
        json.beginObject()
        for queue in queues { json.member(queue.name, Int64(queue.length)) }
        json.endObject()
    }
}

extension ClusterVerification {
    func write(into json: inout JSONOutput) {
        json.name("equal")
        json.bool(members.allSatisfy { $0.verdict == .equal })
        json.member("context_hash", Hex.text(contextHash))
        json.member("entries_hash", Hex.text(entriesHash))
        json.name("members")
        json.beginArray()
        for row in members {
            json.beginObject()
            json.member("name", row.name)
            json.member("verdict", row.verdict.rawValue)
            if let hash = row.contextHash { json.member("context_hash", Hex.text(hash)) }
            if let hash = row.entriesHash { json.member("entries_hash", Hex.text(hash)) }
            json.endObject()
        }
        json.endArray()
    }
}

/// Numbers that JSON's readers would round: 16 hexadecimal digits.
enum Hex {
    static func text(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

enum Base64Text {
    static func decode(_ text: String) -> [UInt8]? { Data(base64Encoded: text).map(Array.init) }
}
