import RegistryStore

// Operations: origins and names (namespaces, homes of leases) once in tables, ascending; then the operations.

/// What stands at the head of an operation.
private struct OperationFlags {
    static let kindMask: UInt8 = 3
    static let hasLease: UInt8 = 4
    static let isShared: UInt8 = 8
    static let isSuspended: UInt8 = 16
    static let wasLeased: UInt8 = 32
    static let isRegistration: UInt8 = 64
}

extension ByteWriter {
    mutating func operations(_ operations: [RemoteOperation]) {
        let origins = Set(operations.map(\.version.origin)).sorted()
        let names = Self.names(of: operations)
        varint(origins.count)
        for origin in origins { fixed64(origin) }
        varint(names.count)
        for name in names { string(name) }
        let originIndex = Dictionary(uniqueKeysWithValues: origins.enumerated().map { ($1, $0) })
        let nameIndex = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        varint(operations.count)
        for operation in operations {
            byte(Self.flags(of: operation))
            varint(originIndex[operation.version.origin] ?? 0)
            varint(operation.version.sequence)
            fixed64(operation.version.hlc)
            varint(nameIndex[Array(operation.namespace.name.utf8)] ?? 0)
            string(operation.key)
            if let lease = operation.lease {
                fixed64(UInt64(bitPattern: lease.id.rawValue))
                varint(Int(lease.milliseconds))
                varint(nameIndex[Array(lease.home.utf8)] ?? 0)
            }
            switch operation.value {
            case .bytes(let bytes): string(bytes)
            case .registration(let registration): self.registration(registration, as: .frame)
            case nil: break
            }
        }
    }

    /// As bytes: texts that Unicode takes as equal are different names.
    private static func names(of operations: [RemoteOperation]) -> [[UInt8]] {
        var names: Set<[UInt8]> = []
        for operation in operations {
            names.insert(Array(operation.namespace.name.utf8))
            if let lease = operation.lease { names.insert(Array(lease.home.utf8)) }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private static func flags(of operation: RemoteOperation) -> UInt8 {
        var flags = operation.version.kind.rawValue
        if let lease = operation.lease {
            flags |= OperationFlags.hasLease
            if lease.isShared { flags |= OperationFlags.isShared }
            if lease.isSuspended { flags |= OperationFlags.isSuspended }
        }
        if operation.wasLeased { flags |= OperationFlags.wasLeased }
        if case .registration = operation.value { flags |= OperationFlags.isRegistration }
        return flags
    }
}

extension ByteReader {
    mutating func operations() throws(ByteError) -> [RemoteOperation] {
        var tables = try OperationTables(&self)
        var operations: [RemoteOperation] = []
        for _ in 0..<(try count()) { operations.append(try operation(&tables)) }
        // A table that holds more than is used would be a second encoding.
        guard tables.isUsed else { throw malformed(.table) }
        return operations
    }

    private mutating func operation(_ tables: inout OperationTables) throws(ByteError) -> RemoteOperation {
        let flags = try byte()
        let kind = OperationKind(rawValue: flags & OperationFlags.kindMask)
        guard let kind, Self.areSound(flags, kind) else { throw malformed(.operation) }
        guard let origin = tables.origin(try varint()) else { throw malformed(.table) }
        let version = Version(hlc: 0, kind: kind, origin: origin, sequence: try varint())
        var operation = RemoteOperation(
            namespace: .default, key: [], version: version, value: nil,
            wasLeased: flags & OperationFlags.wasLeased != 0)
        operation.version.hlc = try fixed64()
        guard let namespace = tables.name(try varint()) else { throw malformed(.table) }
        operation.namespace = Namespace(namespace)
        operation.key = try string()
        guard version.sequence > 0, !operation.key.isEmpty else { throw malformed(.operation) }
        if flags & OperationFlags.hasLease != 0 {
            let id = try leaseID()
            let milliseconds = try int(.lease)
            guard let home = tables.name(try varint()) else { throw malformed(.table) }
            operation.lease = RemoteOperation.RemoteLease(
                id: id, milliseconds: milliseconds, isShared: flags & OperationFlags.isShared != 0,
                isSuspended: flags & OperationFlags.isSuspended != 0, home: home)
        }
        guard kind == .write else { return operation }
        let isRegistration = flags & OperationFlags.isRegistration != 0
        operation.value = isRegistration ? .registration(try registration(as: .frame)) : .bytes(try string())
        return operation
    }

    /// Whether the flags go together: leases and values belong to writes, marks of leases to leases.
    private static func areSound(_ flags: UInt8, _ kind: OperationKind) -> Bool {
        guard flags < 128 else { return false }
        let ofLease = OperationFlags.isShared | OperationFlags.isSuspended
        if flags & OperationFlags.hasLease == 0, flags & ofLease != 0 { return false }
        let ofWrite = OperationFlags.hasLease | OperationFlags.isRegistration
        return kind == .write ? flags & OperationFlags.wasLeased == 0 : flags & ofWrite == 0
    }
}

/// The tables of a list of operations.
private struct OperationTables {
    private var origins: [UInt64] = []
    private var names: [String] = []
    private var usedOrigins: [Bool]
    private var usedNames: [Bool]

    init(_ reader: inout ByteReader) throws(ByteError) {
        for _ in 0..<(try reader.count()) {
            let origin = try reader.fixed64()
            if let last = origins.last, origin <= last { throw reader.malformed(.table) }
            origins.append(origin)
        }
        for _ in 0..<(try reader.count()) {
            let name = try reader.text()
            if let last = names.last, !last.utf8.lexicographicallyPrecedes(name.utf8) {
                throw reader.malformed(.table)
            }
            names.append(name)
        }
        usedOrigins = [Bool](repeating: false, count: origins.count)
        usedNames = [Bool](repeating: false, count: names.count)
    }

    var isUsed: Bool { usedOrigins.allSatisfy { $0 } && usedNames.allSatisfy { $0 } }

    mutating func origin(_ index: UInt64) -> UInt64? {
        guard index < UInt64(origins.count) else { return nil }
        usedOrigins[Int(index)] = true
        return origins[Int(index)]
    }

    mutating func name(_ index: UInt64) -> String? {
        guard index < UInt64(names.count) else { return nil }
        usedNames[Int(index)] = true
        return names[Int(index)]
    }
}
