import Glibc

/// What the process asks of the kernel at its start.
enum ProcessLimits {
    /// Raises the number of files that may be open to the hard limit: every connection is one.
    static func raiseOpenFiles() {
        var limit = rlimit()
        // SAFETY: `limit` is a live local; both calls read or write it and keep no pointer.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// A reader of our output that goes away is an error of that write, not the end of the process.
    static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
