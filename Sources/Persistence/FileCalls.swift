import Glibc

// SAFETY: `open` reads its path, a string that lives through the call, and has no other pointer. Descriptors are owned
// by `OpenFile` alone, which closes each once.

/// A file that is open for its descriptor alone.
@safe final class OpenFile: Sendable {
    private let descriptor: Int32

    /// Nil with `errno` when it cannot be had.
    init?(_ path: String, creating: Bool) {
        descriptor = unsafe open(path, (creating ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Takes the file for this process alone, until it is closed; false when another process has it.
    func lock() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }

    /// Waits until the disk has what was written to the file, by whatever descriptor. False with `errno`.
    func sync() -> Bool { fdatasync(descriptor) == 0 }

    /// The text of `errno` now.
    static var reason: String { unsafe String(cString: strerror(errno)) }
}
