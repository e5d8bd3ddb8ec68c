// swift-tools-version: 6.2
import PackageDescription

/// The same strict settings for every Swift target (after swift-configuration's manifest).
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "regdns",
    products: [
        .executable(name: "regdns", targets: ["regdns"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        // AES-GCM of the gossip protocol, and the keys of passphrases.
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        // For tests that start programs. Foundation's Process loses ends of children and leaks descriptors into them.
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        // Batched datagram system calls, which Swift's Glibc module does not export.
        .target(name: "CDatagram"),
        // What modules need that have no other in common.
        .target(name: "Basics"),
        .target(name: "DNSWire", dependencies: ["Basics"]),
        .target(
            name: "RegistryStore",
            dependencies: [
                "Basics", "DNSWire",
                .product(name: "DequeModule", package: "swift-collections"),
            ]),
        // The system's SQLite.
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        // The registry on a disk, over restarts.
        .target(
            name: "Persistence",
            dependencies: ["CSQLite", "Basics", "RegistryStore", .product(name: "Logging", package: "swift-log")]),
        .target(
            name: "DNSServer",
            dependencies: [
                "CDatagram", "DNSWire", "RegistryStore",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "HTTPAdmin",
            dependencies: [
                "Basics", "RegistryStore",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                // The server part alone: routing is ours, and the rest of Hummingbird would double the build.
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        // Calls as gRPC makes them over HTTP/2, both sides; messages are bytes here.
        .target(
            name: "GRPC",
            dependencies: [
                "Basics",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        // TLS for connections; the only target that knows its library.
        .target(
            name: "TLS",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]),
        // etcd's messages, generated by scripts/generate-etcd-messages.sh.
        .target(
            name: "EtcdMessages",
            dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["etcd.proto"]),
        // An etcd cluster as the store behind the registry.
        .target(
            name: "EtcdStore",
            dependencies: [
                "EtcdMessages", "GRPC", "RegistryStore",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        .target(
            name: "EtcdAPI",
            dependencies: [
                "EtcdMessages", "GRPC", "Basics", "RegistryStore",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        // HashiCorp memberlist's protocol: its bytes and its membership state machine.
        .target(name: "Memberlist", dependencies: ["Basics", .product(name: "Crypto", package: "swift-crypto")]),
        // What nodes tell each other, and how: rules and bytes, gossip on sockets, keys, joining.
        .target(
            name: "Replication",
            dependencies: [
                "DNSWire", "Memberlist", "Basics", "RegistryStore",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .executableTarget(
            name: "regdns",
            dependencies: [
                "Basics", "DNSWire", "RegistryStore", "DNSServer", "GRPC", "HTTPAdmin", "EtcdAPI", "EtcdStore",
                "Memberlist", "Persistence", "Replication", "TLS",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ]),
        .target(
            name: "RegdnsTestKit",
            dependencies: [
                "DNSWire", "Basics", "RegistryStore", "DNSServer",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Tests/TestKit"),
        // A cluster of membership cores in virtual time.
        .target(
            name: "Simulation",
            dependencies: ["DNSWire", "Memberlist", "Basics", "RegdnsTestKit", "RegistryStore", "Replication"],
            path: "Tests/Simulation"),
        .testTarget(name: "BasicsTests", dependencies: ["Basics"]),
        .testTarget(name: "DNSWireTests", dependencies: ["DNSWire", "RegdnsTestKit"]),
        .testTarget(name: "RegistryStoreTests", dependencies: ["RegistryStore", "RegdnsTestKit"]),
        .testTarget(
            name: "PersistenceTests",
            dependencies: [
                "DNSWire", "Persistence", "RegdnsTestKit", "RegistryStore",
                .product(name: "Logging", package: "swift-log"),
            ]),
        .testTarget(name: "DNSServerTests", dependencies: ["DNSServer", "RegdnsTestKit"]),
        .testTarget(
            name: "HTTPAdminTests",
            dependencies: [
                "DNSWire", "HTTPAdmin", "RegdnsTestKit", "RegistryStore",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .testTarget(
            name: "GRPCTests",
            dependencies: [
                "GRPC", "RegdnsTestKit",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .testTarget(
            name: "EtcdAPITests",
            dependencies: [
                "DNSWire", "EtcdAPI", "EtcdMessages", "GRPC", "RegistryStore", "RegdnsTestKit",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        .testTarget(
            name: "EtcdStoreTests",
            dependencies: [
                "DNSWire", "EtcdAPI", "EtcdMessages", "EtcdStore", "GRPC", "RegistryStore", "RegdnsTestKit", "TLS",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        .testTarget(name: "SimulationTests", dependencies: ["RegdnsTestKit", "RegistryStore", "Simulation"]),
        .testTarget(name: "MemberlistTests", dependencies: ["Memberlist", "RegdnsTestKit", "Simulation"]),
        .testTarget(
            name: "ReplicationTests",
            dependencies: [
                "DNSWire", "Memberlist", "RegistryStore", "RegdnsTestKit", "Replication",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .testTarget(
            name: "TLSTests",
            dependencies: [
                "RegdnsTestKit", "TLS",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .testTarget(
            name: "RegdnsTests",
            dependencies: [
                "regdns", "EtcdStore", "HTTPAdmin", "Memberlist", "RegdnsTestKit", "RegistryStore", "Replication",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),
        .testTarget(name: "TidyTests"),
    ]
)

// `make test` runs the tidy tests first: alone they need no dependency, hence no long build.
if Context.environment["REGDNS_ONLY_TIDY"] != nil {
    package.products = []
    package.dependencies = []
    package.targets.removeAll { $0.name != "TidyTests" }
}

// `scripts/bench.sh gossip` builds its nodes with everything that was compiled for the server.
if Context.environment["REGDNS_GOSSIP_BENCH"] != nil {
    package.products.append(.executable(name: "gossipbench", targets: ["gossipbench"]))
    package.targets.append(
        .executableTarget(
            name: "gossipbench",
            dependencies: [
                "DNSWire", "Memberlist", "RegistryStore", "Replication",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Benchmarks/gossip/gossipbench"))
}

// Not for C, and not for what a generator wrote.
for target in package.targets where !["CDatagram", "CSQLite", "EtcdMessages"].contains(target.name) {
    target.swiftSettings = (target.swiftSettings ?? []) + strict
}
