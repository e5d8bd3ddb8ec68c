import Logging
import Synchronization
import TLS

/// TLS to the store, with the files that it comes from.
final class StoreTLS: Sendable {
    let client: ClientTLS
    private let files: CertificateFiles
    private let fault = Mutex<String?>(nil)

    /// Reads the files.
    init(_ files: CertificateFiles) throws(UserError) {
        self.files = files
        let parts = try files.read()
        do {
            client = try ClientTLS(parts, protocols: ["h2"])
        } catch {
            throw files.error(error)
        }
    }

    /// Why the files were not taken when they were read last; nil when they were.
    var problem: String? { fault.withLock { $0 } }

    /// Reads the files again, for the connections that come. Those that are broken leave everything as it was.
    func reload(_ logger: Logger) {
        let problem: String?
        do throws(UserError) {
            let parts = try files.read()
            do {
                try client.renew(parts)
            } catch {
                throw files.error(error)
            }
            problem = nil
            logger.notice("certificates for the store read")
        } catch {
            problem = "\(error.what): \(error.why)"
            logger.error("\(error.what): \(error.why); the certificates read before stay in use")
        }
        fault.withLock { $0 = problem }
    }
}
