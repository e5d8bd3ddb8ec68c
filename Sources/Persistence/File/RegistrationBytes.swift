import RegistryStore

/// A registration as the bytes of a row's value.
enum RegistrationBytes {
    private static let form: UInt8 = 1

    static func encode(_ registration: Registration) -> [UInt8] {
        var writer = ByteWriter()
        writer.byte(form)
        writer.registration(registration, as: .row)
        return writer.bytes
    }

    /// Nil when the bytes are no registration.
    static func decode(_ bytes: [UInt8]) -> Registration? {
        var reader = ByteReader(bytes)
        guard (try? reader.byte()) == form, let registration = try? reader.registration(as: .row), reader.isAtEnd else {
            return nil
        }
        return registration
    }
}
