import Testing

/// The rules that no compiler checks. A failure names the file, the line, and the rule.
@Suite("Tidiness")
struct TidyTests {
    // MARK: The import graph

    /// What each module may import: the arrows of ARCHITECTURE.md. The door modules never import each other.
    static let allowedImports: [String: Set<String>] = [
        "Basics": [],
        "DNSWire": ["Basics"],
        "RegistryStore": ["Basics", "DNSWire", "DequeModule", "Glibc", "Synchronization"],
        "DNSServer": [
            "CDatagram", "DNSWire", "RegistryStore", "Glibc", "Logging", "NIOConcurrencyHelpers", "NIOCore",
            "NIOPosix", "ServiceLifecycle", "Synchronization",
        ],
        "Persistence": [
            "CSQLite", "Basics", "RegistryStore", "Dispatch", "Foundation", "Glibc", "Logging", "Synchronization",
        ],
        "HTTPAdmin": [
            "Basics", "RegistryStore", "FoundationEssentials", "Glibc", "HTTPTypes", "Hummingbird", "HummingbirdCore",
            "Logging", "NIOCore", "NIOHTTP1", "NIOPosix", "ServiceLifecycle", "Synchronization",
        ],
        "GRPC": [
            "Basics", "Logging", "NIOConcurrencyHelpers", "NIOCore", "NIOHPACK", "NIOHTTP2", "NIOPosix",
            "Synchronization",
        ],
        "TLS": ["FoundationEssentials", "NIOCore", "NIOSSL", "Synchronization"],
        "EtcdMessages": ["SwiftProtobuf"],
        "EtcdStore": [
            "EtcdMessages", "GRPC", "RegistryStore", "DequeModule", "FoundationEssentials", "Logging", "NIOCore",
            "SwiftProtobuf", "Synchronization",
        ],
        "EtcdAPI": [
            "EtcdMessages", "GRPC", "Basics", "RegistryStore", "FoundationEssentials", "HTTPTypes", "Logging",
            "NIOCore", "NIOHTTP1", "NIOHTTP2", "NIOPosix", "ServiceLifecycle", "SwiftProtobuf", "Synchronization",
        ],
        "Memberlist": ["Basics", "Crypto", "Foundation", "FoundationEssentials", "Glibc"],
        "Replication": [
            "DNSWire", "Memberlist", "Basics", "RegistryStore", "Crypto", "CryptoExtras", "DequeModule",
            "FoundationEssentials", "Logging", "NIOCore", "NIOPosix", "Synchronization",
        ],
        "regdns": [
            "Basics", "DNSWire", "RegistryStore", "DNSServer", "GRPC", "HTTPAdmin", "EtcdAPI", "EtcdStore",
            "Memberlist", "Persistence", "Replication", "TLS",
            "ArgumentParser", "Configuration", "Foundation", "Glibc", "HTTPTypes", "Logging", "NIOCore", "NIOHTTP1",
            "NIOPosix",
            "ServiceLifecycle", "Synchronization", "UnixSignals", "Yams",
        ],
    ]

    @Test("Modules import only what the graph allows", arguments: SourceTree.sources)
    func imports(file: SourceTree.File) {
        guard let allowed = Self.allowedImports[file.module] else {
            Issue.record("\(file): the module \(file.module) is not in the table")
            return
        }
        for (number, name) in Self.imports(of: file) where !allowed.contains(name) {
            Issue.record("\(file):\(number): \(file.module) must not import \(name)")
        }
    }

    /// The imported modules with their line numbers.
    static func imports(of file: SourceTree.File) -> [(line: Int, module: String)] {
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "let", "var", "typealias"]
        return CodeText.code(file.text).split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            .compactMap { index, line in
                let words = line.split(separator: " ")
                guard let place = words.firstIndex(of: "import"),
                    words[..<place].allSatisfy({
                        $0.hasPrefix("@") || ["public", "package", "internal", "private"].contains($0)
                    })
                else { return nil }
                let rest = words[(place + 1)...].drop { kinds.contains($0) }
                return rest.first.flatMap { $0.split(separator: ".").first }.map { (index + 1, String($0)) }
            }
    }

    // MARK: Sizes

    static let maxFileLines = 500
    static let maxLineLength = 120

    @Test("Files are short", arguments: SourceTree.sources + SourceTree.tests)
    func fileLength(file: SourceTree.File) {
        let count = file.lines.count - (file.text.hasSuffix("\n") ? 1 : 0)
        #expect(count <= Self.maxFileLines, "\(file): split it by topic")
    }

    @Test("Lines fit", arguments: SourceTree.sources + SourceTree.tests)
    func lineLength(file: SourceTree.File) {
        let long = file.lines.enumerated().filter { $0.element.count > Self.maxLineLength }.map { $0.offset + 1 }
        #expect(long.isEmpty, "\(file): longer than \(Self.maxLineLength) columns: lines \(long)")
    }

    // MARK: Unsafe code

    /// The only files that may hold unsafe code. Each says by the word SAFETY why it is sound.
    static let unsafeFiles: Set<String> = [
        "Sources/DNSServer/Answer/AnswerEngine+Cold.swift",
        "Sources/DNSServer/Answer/AnswerEngine+Writing.swift",
        "Sources/DNSServer/Answer/AnswerEngine.swift",
        "Sources/DNSServer/Transport/DeferredAnswers.swift",
        "Sources/DNSServer/Transport/EngineBox.swift",
        "Sources/DNSServer/Transport/Syscalls.swift",
        "Sources/DNSServer/Transport/TCPConnection.swift",
        "Sources/DNSServer/Transport/UDPWorker.swift",
        "Sources/DNSServer/View/Epochs.swift",
        "Sources/DNSServer/View/NameTable.swift",
        "Sources/DNSServer/View/RawBlock.swift",
        "Sources/DNSServer/View/ZoneTable.swift",
        "Sources/DNSWire/Message/RawSpan+UnsafeLoads.swift",
        "Sources/Persistence/DurableFile.swift",
        "Sources/Persistence/FileCalls.swift",
        "Sources/Persistence/SQLite/SQLiteDatabase.swift",
        "Sources/RegistryStore/Core/LeaseDeadlines.swift",
        "Sources/RegistryStore/Index/ByteOrder.swift",
        "Sources/RegistryStore/RegistryClock+System.swift",
        "Sources/regdns/Serve/ProcessLimits.swift",
    ]

    @Test("Unsafe code lives in its listed files", arguments: SourceTree.sources)
    func unsafeCode(file: SourceTree.File) {
        let words = ["unsafe", "@unchecked", "nonisolated(unsafe)"]
        let code = CodeText.code(file.text)
        let hits = code.split(separator: "\n", omittingEmptySubsequences: false).enumerated().filter { _, line in
            words.contains { Self.hasWord($0, in: line) } || line.contains("Unsafe")
        }
        if Self.unsafeFiles.contains(file.path) {
            #expect(file.text.contains("SAFETY"), "\(file): says nowhere why its unsafe code is sound")
        } else {
            #expect(hits.isEmpty, "\(file): unsafe code in an unlisted file: lines \(hits.map { $0.offset + 1 })")
        }
    }

    @Test("Listed unsafe files exist and need to be listed")
    func unsafeList() {
        for path in Self.unsafeFiles {
            let file = SourceTree.sources.first { $0.path == path }
            #expect(file.map { CodeText.code($0.text).lowercased().contains("unsafe") } ?? false, "\(path)")
        }
    }

    // MARK: Traps

    /// Force unwraps, forced casts and forced tries in the product. Lower it when one goes; never raise it without a
    /// checked invariant and its reason beside it.
    static let forceUnwrapsAllowed = 0

    @Test("Force unwraps do not grow")
    func forceUnwraps() {
        let found = SourceTree.sources.flatMap { file in
            Self.forceUnwraps(in: CodeText.code(file.text)).map { "\(file):\($0)" }
        }
        #expect(found.count <= Self.forceUnwrapsAllowed, "\(found.joined(separator: ", "))")
    }

    /// Line numbers of `x!`, `as!` and `try!` in code without comments and strings.
    static func forceUnwraps(in code: String) -> [Int] {
        code.split(separator: "\n", omittingEmptySubsequences: false).enumerated().flatMap { index, line -> [Int] in
            let bytes = Array(line.utf8)
            return bytes.indices.compactMap { place in
                guard bytes[place] == UInt8(ascii: "!"), place > 0, Self.endsExpression(bytes[place - 1]) else {
                    return nil
                }
                let next = place + 1 < bytes.count ? bytes[place + 1] : UInt8(ascii: " ")
                return next == UInt8(ascii: "=") ? nil : index + 1
            }
        }
    }

    private static func endsExpression(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: ")"), UInt8(ascii: "]"),
            UInt8(ascii: "}"), UInt8(ascii: "?"):
            true
        default: false
        }
    }

    @Test(
        "The finder finds",
        arguments: [
            ("a!", 1), ("f()![0]!", 2), ("a != b", 0), ("!a", 0), ("try! f()", 1), ("x as! Y", 1), ("a! == b", 1),
            ("(!a)", 0), ("#if !DEBUG", 0),
        ])
    func finder(code: String, count: Int) {
        #expect(Self.forceUnwraps(in: code).count == count)
    }

    // MARK: Words

    /// Words that mark unfinished work, and words that have no place in the project. Put together here so that this
    /// file does not hold them.
    static let forbiddenWords = [
        "TO" + "DO", "FIX" + "ME", "X" + "XX", "not " + "implemented", "/wo" + "rk/",
        "sub" + "agent", "place" + "holder implementation", "C" + "EO ",
    ]

    @Test("No marks of unfinished work, no words of the workplace")
    func words() {
        let folders = ["Sources", "Tests", "scripts", "zones", ".ci", "Benchmarks", "Fuzz"]
        var files = folders.flatMap {
            SourceTree.files(below: $0, ending: [".swift", ".c", ".h", ".sh", ".py", ".md", ".zone", "run"])
        }
        files += SourceTree.files(below: ".", ending: [".md", "Makefile"]).filter { !$0.path.contains("/") }
        for file in files {
            for (index, line) in file.lines.enumerated() {
                for word in Self.forbiddenWords where line.contains(word) {
                    Issue.record("\(file):\(index + 1): \(word)")
                }
            }
        }
    }

    @Test("Traps on purpose are not reachable code of the product", arguments: SourceTree.sources)
    func traps(file: SourceTree.File) {
        for (index, line) in CodeText.code(file.text).split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        where line.contains("fatal" + "Error(") {
            Issue.record("\(file):\(index + 1): throw instead")
        }
    }

    private static func hasWord(_ word: String, in line: Substring) -> Bool {
        line.split { !($0.isLetter || $0.isNumber || $0 == "@" || $0 == "_" || $0 == "(" || $0 == ")") }
            .contains { $0 == word || (word == "nonisolated(unsafe)" && $0.contains(word)) }
    }
}
