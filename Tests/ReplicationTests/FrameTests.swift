import RegdnsTestKit
import RegistryStore
import Testing

@testable import Replication

/// The bytes of frames: what other versions of this program rely on, and what they may send that is wrong.
struct FrameTests {
    /// One frame of each kind. Bytes that change here break clusters of mixed versions.
    static let vectors: [(String, Frame)] = [
        ("d01001 00 00 00", Frame(.delta([]))),
        (
            "d01001 01 0700000000000000 02 016e 0874656e616e742d31 01 44 00 05 0100ab0000000000 01 03 6b6579"
                + " 0100000000000040 b0ea01 00 06 01 0a000001 a001 00 00 00 3c 00 00"
                + " 01 73 01 69 01 02 7431 02 5550 03 746370 01 65 02 7b7d 08 616d616c67616d38",
            Frame(
                .delta([
                    RemoteOperation(
                        namespace: Namespace("tenant-1"), key: Array("key".utf8),
                        version: Version(hlc: 0xab_0001, kind: .write, origin: 7, sequence: 5),
                        value: .registration(
                            Registration(
                                host: .ipv4(0x0a00_0001), port: 80, ttl: 60,
                                instance: InstanceAttributes(
                                    service: "s", id: "i", tags: ["t1"], endpointType: "tcp", endpoint: "e",
                                    metadata: Array("{}".utf8)))),
                        lease: RemoteOperation.RemoteLease(
                            id: LeaseID(0x4000_0000_0000_0001), milliseconds: 30_000, isShared: false,
                            isSuspended: false, home: "n"))
                ]))
        ),
        (
            "d01001 01 0700000000000000 01 07 64656661756c74 02 22 00 06 0000000000000000 00 01 61"
                + " 00 00 07 ffffffffffffffff 00 01 62 02 0001",
            Frame(
                .delta([
                    RemoteOperation(
                        namespace: .default, key: [0x61],
                        version: Version(hlc: 0, kind: .delete, origin: 7, sequence: 6), value: nil, wasLeased: true),
                    RemoteOperation(
                        namespace: .default, key: [0x62],
                        version: Version(hlc: .max, kind: .write, origin: 7, sequence: 7), value: .bytes([0, 1])),
                ]))
        ),
        (
            "d01002 80808080ea30 0100000000000000 0200000000000000 00",
            Frame(.digest(DigestFrame(clock: 1_677_721_600_000, summary: ReplicaSummary(context: 1, entries: 2))))
        ),
        (
            "d01002 00 0100000000000000 0200000000000000 01 01 0300000000000000 8001 04 05 0600000000000000",
            Frame(
                .digest(
                    DigestFrame(
                        clock: 0, summary: ReplicaSummary(context: 1, entries: 2),
                        origins: [ReplicaDigest.Origin(origin: 3, head: 128, floor: 4, missing: 5, hash: 6)])))
        ),
        (
            "d01003 0900000000000000 01 0300000000000000 64 02 00 02 01 01 04 00",
            Frame(
                .want(
                    WantFrame(
                        session: 9, context: [SyncOrigin(origin: 3, head: 100, gaps: [2...3, 8...8], floor: 2)])))
        ),
        (
            "d01004 01 00000000ab000000 01 0500000000000000 fa01",
            Frame(
                .renew(
                    RenewFrame(
                        batch: 1, hlc: 0xab_0000_0000,
                        renewals: [RenewFrame.Renewal(id: LeaseID(5), ageMilliseconds: 250)])))
        ),
        ("d01005 01 01 ffffffffffffffff", Frame(.renewAnswer(RenewAnswerFrame(batch: 1, refused: [LeaseID(-1)])))),
        ("d01006 01 0500000000000000 e807", Frame(.handover([Handover(id: LeaseID(5), remainingMilliseconds: 1000)]))),
        (
            "d01007 01 02 01 61 0800000000000000 000102030405060708090a0b0c0d0e0f 00"
                + " 00 0100000000000000 0200000000000000 00",
            Frame(
                .hello(
                    HelloFrame(
                        versions: 1...2, node: "a", origin: 8, nonce: Array(0..<16), publicKey: [],
                        digest: DigestFrame(clock: 0, summary: ReplicaSummary(context: 1, entries: 2)))))
        ),
        ("d01008 0900000000000000 01 0c 00 00 00 00", Frame(.page(session: 9, voidPage))),
        ("d01008 0900000000000000 00 07 00 01 0300000000000000 05 02 00 00 00 00", Frame(.page(session: 9, resetPage))),
        ("d01008 0900000000000000 00 13 00 00 00 00 00", Frame(.page(session: 9, repairPage))),
        (
            "d01003 0900000000000000 00 01 00",
            Frame(.want(WantFrame(session: 9, context: [])), extensions: [.repair])
        ),
        ("d01009 01 e807", Frame(.bye(ByeFrame(reason: .busy, retryMilliseconds: 1000)))),
        ("d01009 ff 00", Frame(.bye(ByeFrame(reason: ByeFrame.Reason(rawValue: 255))))),
        ("d01042 0102", Frame(.unknown(kind: 0x42, [1, 2]))),
        (
            "d01001 00 00 00 07 02 aabb 8001 00",
            Frame(
                .delta([]),
                extensions: [FrameExtension(type: 7, bytes: [0xaa, 0xbb]), FrameExtension(type: 128, bytes: [])])
        ),
    ]

    private static var voidPage: SyncPage {
        var page = SyncPage(number: 1)
        page.end = .void
        return page
    }

    private static var resetPage: SyncPage {
        var page = SyncPage(number: 0)
        page.opening = .reset([])
        page.live = [DotRange(origin: 3, sequences: 5...7)]
        page.end = .complete([])
        return page
    }

    private static var repairPage: SyncPage {
        var page = SyncPage(number: 0)
        page.opening = .repair([])
        return page
    }

    @Test("frames have these bytes", arguments: vectors.indices)
    func vector(index: Int) throws {
        let (text, frame) = Self.vectors[index]
        let bytes = try octets(hex: text)
        #expect(hex(frame.encoded()) == hex(bytes))
        #expect(try Frame(decoding: bytes) == frame)
    }

    @Test(
        "what is wrong is refused by name",
        arguments: [
            ("", FrameError.short(offset: 0)),
            ("d1", .notAFrame),
            ("d020 01 00 00 00", .unknownVersion(0x20)),
            ("d011 01 00 00 00", .unknownVersion(0x11)),
            // A varint with a byte too many, one of eleven bytes, one beyond 64 bits.
            ("d01001 8000 00 00", .malformed(.varint, offset: 5)),
            ("d01003 0900000000000000 ffffffffffffffffffff01", .malformed(.varint, offset: 21)),
            ("d01003 0900000000000000 01 0300000000000000 ffffffffffffffffff02", .malformed(.varint, offset: 30)),
            // More things than bytes.
            ("d01006 ffffffff0f", .short(offset: 8)),
            ("d01001 00 00 ff7f", .short(offset: 7)),
            // Tables: twice the same, descending, not used, an index beyond.
            ("d01001 02 0700000000000000 0700000000000000 00 00", .malformed(.table, offset: 20)),
            ("d01001 00 02 0162 0161 00", .malformed(.table, offset: 9)),
            ("d01001 01 0700000000000000 00 00", .malformed(.table, offset: 14)),
            (
                "d01001 01 0700000000000000 01 0161 01 02 01 05 0000000000000000 00 01 61",
                .malformed(.table, offset: 18)
            ),
            // Texts that are no UTF-8.
            ("d01001 00 01 01ff 00", .malformed(.text, offset: 7)),
            // An operation of kind 3, without sequence, without key, a removal with a lease or a value.
            (
                "d01001 01 0700000000000000 01 0161 01 03 00 05 0000000000000000 00 01 61",
                .malformed(.operation, offset: 17)
            ),
            (
                "d01001 01 0700000000000000 01 0161 01 02 00 00 0000000000000000 00 01 61",
                .malformed(.operation, offset: 30)
            ),
            (
                "d01001 01 0700000000000000 01 0161 01 02 00 01 0000000000000000 00 00",
                .malformed(.operation, offset: 29)
            ),
            (
                "d01001 01 0700000000000000 01 0161 01 06 00 01 0000000000000000 00 01 61",
                .malformed(.operation, offset: 17)
            ),
            ("d01004 01 0000000000000000 01 0000000000000000 00", .malformed(.lease, offset: 21)),
            // Contexts: a gap at the head, gaps that touch, a gap beyond all numbers, origins twice.
            ("d01003 0900000000000000 01 0300000000000000 03 00 00 01 02 00", .malformed(.context, offset: 26)),
            ("d01003 0900000000000000 01 0300000000000000 09 00 00 02 00 00 00 00", .malformed(.context, offset: 28)),
            (
                "d01003 0900000000000000 01 0300000000000000 09 00 00 01 ffffffffffffffffff01 00",
                .malformed(.context, offset: 34)
            ),
            (
                "d01003 0900000000000000 02 0300000000000000 09 00 00 00 0300000000000000 09 00 00 00",
                .malformed(.context, offset: 36)
            ),
            (
                "d01003 0900000000000000 01 0300000000000000 ffffffffffffffffff01 00 00 02"
                    + " fdffffffffffffffff01 00 00 00",
                .malformed(.context, offset: 46)
            ),
            // Pages: a reset that is no opening, a first page without opening, a void end without end.
            ("d01008 0900000000000000 00 02 00 00 00 00", .malformed(.session, offset: 13)),
            ("d01008 0900000000000000 00 00 00 00 00 00", .malformed(.session, offset: 13)),
            ("d01008 0900000000000000 01 08 00 00 00 00", .malformed(.session, offset: 13)),
            // A repair that is no reset, a bye that comes back in 2^63 ms.
            ("d01008 0900000000000000 00 11 00 00 00 00", .malformed(.session, offset: 13)),
            ("d01009 01 80808080808080808001", .malformed(.bye, offset: 14)),
            (
                "d01008 0900000000000000 01 00 01 0300000000000000 05 ffffffffffffffffff01",
                .malformed(.session, offset: 33)
            ),
            // A hello whose versions descend, a key of one byte.
            ("d01007 02 01 00", .malformed(.hello, offset: 5)),
            // Extensions that do not ascend.
            ("d01001 00 00 00 07 00 07 00", .malformed(.extensions, offset: 9)),
        ] as [(String, FrameError)])
    func refused(hex: String, error: FrameError) {
        #expect(throws: error) { try Frame(decoding: octets(hex: hex)) }
    }

    @Test("a frame that announces much takes little memory and time")
    func announcements() {
        // 200 kB of operations whose tables name as much as fits.
        var bytes: [UInt8] = [0xd0, 0x10, 1]
        bytes += [0x80, 0x80, 0x0c]
        bytes += [UInt8](repeating: 1, count: 200_000)
        #expect(throws: FrameError.self) { try Frame(decoding: bytes) }
    }
}
