import NIOCore
import Testing

@testable import EtcdAPI

/// Waits over real sockets: the head comes at once, and whoever goes away frees its watch.
extension ServerTests {
    private func wait(_ query: String, _ version: String = "1.1") -> String {
        "GET /v2/keys/w?wait=true&recursive=true\(query) HTTP/\(version)\r\nHost: x\r\n\r\n"
    }

    @Test func theHeadOfAWaitComesAtOnceAndTheConnectionGoesOn() async throws {
        try await serving { server, door in
            let client = try await Client(server)
            try await client.send(wait(""))
            try await eventually { client.received.all.contains("\r\n\r\n") }
            #expect(client.received.all.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(client.received.all.contains("X-Etcd-Index: 1\r\n"))
            #expect(client.received.all.lowercased().contains("transfer-encoding: chunked\r\n"))
            try await door.put("/w/a", "value=1")
            try await eventually { client.received.all.hasSuffix("\r\n0\r\n\r\n") }
            #expect(client.received.all.contains("\"action\":\"set\""))
            try await client.send("GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(try await client.untilClosed().contains("etcdserver"))
        }
    }

    @Test(arguments: ["", "&stream=true"])
    func aClientThatGoesAwayFreesItsWatch(_ query: String) async throws {
        try await serving { server, door in
            for isHalfClosed in [false, true] {
                let client = try await Client(server)
                try await client.send(wait(query))
                try await eventually { server.counters.watches == 1 }
                if isHalfClosed { try await client.finishSending() } else { try await client.close() }
                try await eventually { server.counters.watches == 0 }
                try await eventually { server.counters.connectionsOpen == 0 }
            }
        }
    }

    @Test func aStreamToAnHTTP10ClientHasNoChunks() async throws {
        try await serving { server, door in
            let client = try await Client(server)
            try await client.send(wait("", "1.0"))
            try await eventually { server.counters.watches == 1 }
            let written = try await door.put("/w/a", "value=1")
            let answer = try await client.untilClosed()
            #expect(!answer.lowercased().contains("chunked"))
            #expect(answer.hasSuffix("\r\n\r\n" + written.text))
        }
    }

    @Test func aShutdownEndsWaits() async throws {
        let client = try await serving { server, door in
            let client = try await Client(server)
            try await client.send(wait("&stream=true"))
            try await eventually { client.received.all.contains("\r\n\r\n") }
            return client
        }
        #expect(try await client.untilClosed().hasSuffix("\r\n\r\n0\r\n\r\n"))
    }

    @Test func aStreamThatIsNotReadIsCut() async throws {
        try await serving {
            (configuration: inout EtcdServerConfiguration) in
            configuration.sendingDeadline = .milliseconds(200)
        } _: { server, door in
            let client = try await Client(server)
            try await client.channel.setOption(.autoRead, value: false).get()
            try await client.send(wait("&stream=true"))
            try await eventually { server.counters.watches == 1 }
            let value = "value=" + String(repeating: "x", count: 1 << 20)
            for number in 0..<40 { try await door.put("/w/\(number)", value) }
            try await eventually { server.counters.deadlinesSending == 1 && server.counters.watches == 0 }
            try await client.close()
        }
    }

    @Test func machinesNameTheAddressReached() async throws {
        try await serving { server, _ in
            let client = try await Client(server)
            try await client.send("GET /v2/machines HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(try await client.untilClosed().hasSuffix("\r\n\r\nhttp://127.0.0.1:\(server.addresses[0].port)"))
        }
    }
}
