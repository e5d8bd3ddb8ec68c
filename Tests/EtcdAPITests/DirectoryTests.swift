import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdAPI

/// Directories that are put, and their ttl.
struct DirectoryTests {
    private func putDirectory(_ door: Door, _ path: String, _ form: String = "") async throws -> Door.Answer {
        try await door.put(path, "dir=true" + form)
    }

    @Test func aDirectoryIsPutOnceAndDeleted() async throws {
        let door = try Door()
        let made = try await putDirectory(door, "/d/e")
        #expect(made.status == 201)
        #expect(
            made.text == "{\"action\":\"set\",\"node\":{\"key\":\"/d/e\",\"dir\":true,\"modifiedIndex\":2,"
                + "\"createdIndex\":2}}\n")
        let again = try await putDirectory(door, "/d/e")
        #expect(again.status == 403)
        #expect(again.text.contains("\"errorCode\":102"))
        #expect(try await door.delete("/d/e").status == 403)
        let deleted = try await door.delete("/d/e?dir=true")
        #expect(deleted.fields["x-etcd-index"] == "3")
        #expect(try await door.get("/d/e").status == 404)
        // The one above came with it, and its end moves the index as well.
        #expect(try await door.delete("/d?dir=true").fields["x-etcd-index"] == "4")
        #expect(try await door.get("/d").status == 404)
        #expect(door.registry.range(namespace: DirectoryMarker.namespace, lower: [], upper: nil).entries.isEmpty)
    }

    @Test func aDirectoryTakesTheKeysPlace() async throws {
        let door = try Door()
        try await door.put("/f", "value=x")
        let made = try await putDirectory(door, "/f")
        #expect(made.status == 200)
        #expect(
            made.text.hasSuffix(
                ",\"prevNode\":{\"key\":\"/f\",\"value\":\"x\",\"modifiedIndex\":2,\"createdIndex\":2}}\n"))
        #expect(try await door.put("/f/a", "value=1").status == 201)
        #expect(try await putDirectory(door, "/f/a/b").text.contains("\"errorCode\":104"))
    }

    @Test func markersAreSeenByNoOtherDoor() async throws {
        let door = try Door()
        _ = try await putDirectory(door, "/skydns/local/skydns/web", "&ttl=5")
        #expect(door.registry.range(namespace: .default, lower: [], upper: nil).entries.isEmpty)
        #expect(door.registry.counts().instances == 0)
        #expect(door.registry.skippedValues().isEmpty)
        #expect(
            door.registry.entry(namespace: DirectoryMarker.namespace, key: Array("dir/skydns/local/skydns/web".utf8))
                != nil)
    }

    @Test func itsTTLTakesAllBelowUnderOneIndex() async throws {
        let door = try Door()
        _ = try await putDirectory(door, "/d/t", "&ttl=2")
        try await door.put("/d/t/a", "value=1")
        try await door.put("/d/t/b/c", "value=1&ttl=100")
        _ = try await putDirectory(door, "/d/t/e", "&ttl=50")
        door.wait(milliseconds: 1999)
        #expect(try await door.get("/d/t/a").status == 200)
        #expect(try await door.get("/d/t").text.contains("\"ttl\":1,"))
        let events = try await door.watch("/d", "&recursive=true")
        let below = try await door.watch("/d/t/b/c")
        door.wait(milliseconds: 1)
        for path in ["/d/t", "/d/t/a", "/d/t/b/c", "/d/t/e"] { #expect(try await door.get(path).status == 404) }
        #expect(try await door.get("/d").fields["x-etcd-index"] == "6")
        let line = String(decoding: try required(await events.next()), as: UTF8.self)
        #expect(
            line == "{\"action\":\"expire\",\"node\":{\"key\":\"/d/t\",\"dir\":true,\"modifiedIndex\":6,"
                + "\"createdIndex\":2},\"prevNode\":{\"key\":\"/d/t\",\"dir\":true,"
                + "\"expiration\":\"2023-11-14T22:30:02Z\",\"modifiedIndex\":2,\"createdIndex\":2}}\n")
        #expect(await below.next().map { String(decoding: $0, as: UTF8.self) } == line)
        // Nothing of it ends a second time.
        door.wait(milliseconds: 200_000)
        #expect(door.registry.revision == 5)
    }

    @Test func anUpdateSetsOrTakesTheTTL() async throws {
        let door = try Door()
        _ = try await putDirectory(door, "/d", "&ttl=2")
        let longer = try await door.put("/d", "dir=true&prevExist=true&ttl=10")
        #expect(longer.text.contains("\"action\":\"update\""))
        #expect(longer.text.contains("\"ttl\":10,\"modifiedIndex\":3,\"createdIndex\":2}"))
        // As etcd has it: a later read shows the old modifiedIndex.
        #expect(try await door.get("/d").text.contains("\"ttl\":10,\"modifiedIndex\":2,\"createdIndex\":2}"))
        door.wait(milliseconds: 5000)
        try await door.put("/d", "dir=true&prevExist=true&ttl=10&refresh=true")
        door.wait(milliseconds: 9999)
        #expect(try await door.get("/d").status == 200)
        try await door.put("/d", "prevExist=true")
        door.wait(milliseconds: 100_000)
        #expect(try await door.get("/d").status == 200)
        #expect(!(try await door.get("/d").text.contains("ttl")))
        #expect(try await door.put("/d", "prevExist=true&value=x").text.contains("\"errorCode\":102"))
    }

    @Test func aTTLOnADirectoryThatCameWithItsKeys() async throws {
        let door = try Door()
        try await door.put("/d/a", "value=1")
        #expect(try await door.put("/d", "prevExist=true&ttl=3").status == 200)
        door.wait(milliseconds: 3000)
        #expect(try await door.get("/d").status == 404)
    }

    @Test func directoriesEndInTheOrderOfTheirTime() async throws {
        let door = try Door()
        for (name, ttl) in [("c", 3), ("a", 1), ("b", 2), ("z", 0)] {
            _ = try await putDirectory(door, "/\(name)", "&ttl=\(ttl)")
        }
        let events = try await door.watch("/", "&recursive=true&stream=true")
        door.wait(milliseconds: 60_000)
        for name in ["z", "a", "b", "c"] {
            #expect(try WatchTests.summary(await events.next()) == "expire /\(name)")
        }
    }

    @Test func deletedDirectoriesDoNotEndAgain() async throws {
        let door = try Door()
        _ = try await putDirectory(door, "/d/e", "&ttl=2")
        try await door.delete("/d?recursive=true")
        try await door.put("/d/e/k", "value=1")
        door.wait(milliseconds: 5000)
        #expect(try await door.get("/d/e/k").status == 200)
    }

    @Test func posts() async throws {
        let door = try Door()
        let name = "/q/00000000000000000002"
        #expect(
            try await door.send("POST", "/v2/keys/q?dir=true&ttl=5").text.contains("\"key\":\"\(name)\",\"dir\":true"))
        #expect(try await door.put(name + "/a", "value=1").status == 201)
        door.wait(milliseconds: 5000)
        #expect(try await door.get(name).status == 404)
        #expect(try await door.get("/q").status == 200)
    }

    @Test func comparisonsAreForKeys() async throws {
        let door = try Door()
        _ = try await putDirectory(door, "/d")
        for query in ["prevIndex=2", "prevValue=x", "prevIndex=2&dir=true", "prevIndex=2&prevExist=true"] {
            #expect(try await door.send("PUT", "/v2/keys/d?\(query)").text.contains("\"errorCode\":102"))
        }
        #expect(try await door.send("DELETE", "/v2/keys/d?prevIndex=2").text.contains("\"errorCode\":102"))
        let root = try await door.send("DELETE", "/v2/keys/?prevIndex=2")
        #expect(root.text == "{\"errorCode\":102,\"message\":\"Not a file\",\"index\":2}\n")
    }

    @Test func explicitDirectoriesAreNeverForgottenAndBounded() async throws {
        let door = try Door(rememberedDirectories: 4)
        for number in 0..<4 { #expect(try await putDirectory(door, "/\(number)").status == 201) }
        let refused = try await putDirectory(door, "/4")
        #expect(refused.status == 507)
        #expect(refused.text.contains("\"cause\":\"directories: at most 4\""))
        for number in 0..<20 { try await door.put("/x\(number)/k", "value=1") }
        for number in 0..<4 { #expect(try await door.get("/\(number)").status == 200) }
        try await door.delete("/0?dir=true")
        #expect(try await putDirectory(door, "/4").status == 201)
    }

    /// A second view of the same store, as a start from stored entries would be.
    @Test func markersBringDirectoriesBack() async throws {
        let door = try Door()
        _ = try await putDirectory(door, "/a/b")
        _ = try await putDirectory(door, "/t", "&ttl=5")
        try await door.put("/t/k", "value=1")
        let again = Keyspace(registry: door.registry, numbers: door.keyspace.numbers, clock: door.clock.registryClock)
        let nodes = again.list([], recursive: true).map { String(decoding: $0.key, as: UTF8.self) }
        #expect(nodes == ["/a", "/t"])
        #expect(again.find(Array("/a/b".utf8)) != nil)
        door.clock.advance(milliseconds: 5000)
        again.expireDirectories()
        #expect(door.registry.entry(namespace: .default, key: Array("/t/k".utf8)) == nil)
    }
}
