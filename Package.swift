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
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
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
        .target(name: "DNSWire"),
        .target(
            name: "RegistryStore",
            dependencies: [
                "DNSWire",
                .product(name: "DequeModule", package: "swift-collections"),
            ]),
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
                "RegistryStore",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                // The server part alone: routing is ours, and the rest of Hummingbird would double the build.
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "EtcdAPI",
            dependencies: [
                "RegistryStore",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .executableTarget(
            name: "regdns",
            dependencies: [
                "DNSWire", "RegistryStore", "DNSServer", "HTTPAdmin", "EtcdAPI",
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
                "DNSWire", "RegistryStore", "DNSServer",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Tests/TestKit"),
        .testTarget(name: "DNSWireTests", dependencies: ["DNSWire", "RegdnsTestKit"]),
        .testTarget(name: "RegistryStoreTests", dependencies: ["RegistryStore", "RegdnsTestKit"]),
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
            name: "EtcdAPITests",
            dependencies: [
                "DNSWire", "EtcdAPI", "RegistryStore", "RegdnsTestKit",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .testTarget(
            name: "RegdnsTests",
            dependencies: [
                "regdns", "RegdnsTestKit",
                .product(name: "Logging", package: "swift-log"),
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

for target in package.targets where target.name != "CDatagram" {
    target.swiftSettings = (target.swiftSettings ?? []) + strict
}
