import Glibc

// SAFETY: paths are strings that live through the calls that read them; `status` is a local of the size that `stat`
// fills; `write` reads at most as many bytes as the array has left, which lives through the call. The descriptor is
// closed once, by `defer`.

/// Small files that are replaced as a whole.
package enum DurableFile {
    /// A step that failed, in the system's words.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        init(_ step: String) { description = "\(step): \(OpenFile.reason)" }
    }

    /// Puts a new content in the place of a file's old one. Whoever reads sees the old one or the new one, also after a
    /// power cut: the new file is on the disk before it takes the name. It has the old one's permissions and, where the
    /// system allows it, its owner.
    ///
    /// - Parameter path: of a file that is there; no symbolic link, or that would be replaced.
    package static func replace(_ path: String, with bytes: [UInt8]) throws(Failure) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw Failure(path) }
        let new = "\(path).new-\(getpid())"
        try write(bytes, to: new, like: status)
        guard unsafe rename(new, path) == 0 else { throw failed("rename", leaving: new) }
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        guard let directory = OpenFile(folder.isEmpty ? "/" : folder, creating: false), directory.sync() else {
            throw Failure("the folder cannot be synced")
        }
    }

    private static func write(_ bytes: [UInt8], to path: String, like old: stat) throws(Failure) {
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Failure("a file beside it cannot be made") }
        defer { close(file) }
        // The group at least, where the owner may not be given away.
        if fchown(file, old.st_uid, old.st_gid) != 0 { _ = fchown(file, uid_t.max, old.st_gid) }
        guard fchmod(file, old.st_mode & 0o7777) == 0 else { throw failed("permissions", leaving: path) }
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes[done...].withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { throw failed("write", leaving: path) }
            done += max(count, 0)
        }
        guard fsync(file) == 0 else { throw failed("sync", leaving: path) }
    }

    private static func failed(_ step: String, leaving path: String) -> Failure {
        let failure = Failure(step)
        _ = unsafe unlink(path)
        return failure
    }
}
