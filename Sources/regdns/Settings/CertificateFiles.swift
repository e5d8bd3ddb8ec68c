import TLS

/// The PEM files that settings name for one side of TLS connections.
struct CertificateFiles: Sendable {
    /// A file with the place that names it, for errors.
    struct File: Sendable {
        let place: String
        let path: String

        init?(_ setting: Setting<String>, _ values: SettingValues) {
            guard let path = values.value(setting) else { return nil }
            place = values.place(setting.spec.name)
            self.path = path
        }
    }

    let authorities: File?
    let certificate: File?
    let key: File?

    /// More than any file of certificates has.
    private static let bytesMax = 4 << 20

    /// Of the client's side; a certificate and its key are given both or not at all.
    init(
        _ values: SettingValues, authorities: Setting<String>, certificate: Setting<String>, key: Setting<String>
    ) throws(UserError) {
        self.authorities = File(authorities, values)
        self.certificate = File(certificate, values)
        self.key = File(key, values)
        if let file = self.certificate, self.key == nil {
            throw UserError(
                what: "\(file.place) \(file.path)", why: "its key is not given", remedy: "add --\(key.spec.name)")
        }
        if let file = self.key, self.certificate == nil {
            throw UserError(
                what: "\(file.place) \(file.path)", why: "the certificate that it is the key of is not given",
                remedy: "add --\(certificate.spec.name)")
        }
    }

    /// Any of the files; nil when none is given.
    var first: File? { authorities ?? certificate ?? key }

    /// Reads the files.
    func read() throws(UserError) -> TLSParts {
        TLSParts(
            authorities: try Self.read(authorities), certificate: try Self.read(certificate), key: try Self.read(key))
    }

    private static func read(_ file: File?) throws(UserError) -> [UInt8]? {
        guard let file else { return nil }
        do {
            return try TextFile.read(file.path, maxBytes: bytesMax)
        } catch {
            throw UserError(
                what: "\(file.place) \(file.path)", why: error.why, remedy: "name a PEM file that this user may read")
        }
    }

    /// What is wrong with a file's content, under the name of what names it.
    func error(_ error: TLSPartError) -> UserError {
        let file =
            switch error.part {
            case .authorities: authorities
            case .certificate: certificate
            case .key: key
            }
        return UserError(
            what: file.map { "\($0.place) \($0.path)" } ?? "TLS", why: error.why, remedy: "expected: \(error.expected)")
    }
}
