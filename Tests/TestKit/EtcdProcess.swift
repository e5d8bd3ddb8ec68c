package import Foundation

/// A real etcd member in a directory of its own; killed when the test lets go of it.
package final class EtcdProcess: @unchecked Sendable {
    // SAFETY: a test starts and stops a member from one task at a time.
    package let name: String
    package let directory: URL
    package let clientPort: Int
    package let peerPort: Int
    private let isSecure: Bool
    private var process: ChildProcess?

    /// - Parameter isSecure: clients speak TLS; the certificates come with the flags.
    package init(_ name: String, in directory: URL, clientPort: Int, peerPort: Int, isSecure: Bool = false) {
        self.name = name
        self.directory = directory.appending(path: name)
        self.clientPort = clientPort
        self.peerPort = peerPort
        self.isSecure = isSecure
    }

    deinit { process?.signal(SIGKILL) }

    package var clientURL: String { "\(isSecure ? "https" : "http")://127.0.0.1:\(clientPort)" }
    package var peerURL: String { "http://127.0.0.1:\(peerPort)" }

    /// - Parameters:
    ///   - program: the path of an etcd.
    ///   - cluster: what `--initial-cluster` says; nil for this member alone.
    package func start(
        _ program: String = "/usr/bin/etcd", cluster: String? = nil, flags: [String] = []
    ) async throws {
        process = try await ChildProcess(
            program,
            [
                "--name", name, "--data-dir", directory.path(), "--listen-client-urls", clientURL,
                "--advertise-client-urls", clientURL, "--listen-peer-urls", peerURL,
                "--initial-advertise-peer-urls", peerURL, "--initial-cluster", cluster ?? "\(name)=\(peerURL)",
                "--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error",
            ] + flags, environment: ["PATH": "/usr/bin:/bin"])
    }

    package func pause() { process?.signal(SIGSTOP) }
    package func resume() { process?.signal(SIGCONT) }

    /// Ends it at once, as a power cut would.
    package func kill() async throws {
        process?.signal(SIGKILL)
        _ = try await process?.end()
        process = nil
    }
}
