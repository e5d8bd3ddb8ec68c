/// An answer of the v2 API that is an error: code, message, cause and index, as etcd's `v2error` has them.
struct V2Error: Error, Equatable {
    /// The codes of etcd 3.4 that this door uses, and from 600 on regdns's own, for what etcd has no words for.
    enum Code: Int {
        case keyNotFound = 100
        case compareFailed = 101
        case notAFile = 102
        case notADirectory = 104
        case keyExists = 105
        case rootReadOnly = 107
        case directoryNotEmpty = 108
        case unauthorized = 110
        case previousValueRequired = 201
        case ttlNotANumber = 202
        case indexNotANumber = 203
        case invalidField = 209
        case invalidForm = 210
        case refreshWithValue = 211
        case refreshWithoutTTL = 212
        case internalError = 300
        case historyCleared = 401
        /// regdns: the request is larger than a limit of the registry or of this door.
        case tooLarge = 602
        /// regdns: the server is as busy as it may be; the same request may do later.
        case overloaded = 603
        /// regdns: the registry holds as much as it may.
        case storeFull = 604
        /// regdns: the disk does not take what is to be kept.
        case notKept = 605
    }

    let code: Code
    /// What it is about: a key, a parameter, two values that differ; left out of the answer when empty.
    let cause: [UInt8]
    /// The index of the store; 0 for errors of parameters.
    var index: Int64

    init(_ code: Code, cause: [UInt8], index: Int64 = 0) {
        self.code = code
        self.cause = cause
        self.index = index
    }

    init(_ code: Code, cause: String, index: Int64 = 0) {
        self.init(code, cause: Array(cause.utf8), index: index)
    }

    var message: String {
        switch code {
        case .keyNotFound: "Key not found"
        case .compareFailed: "Compare failed"
        case .notAFile: "Not a file"
        case .notADirectory: "Not a directory"
        case .keyExists: "Key already exists"
        case .rootReadOnly: "Root is read only"
        case .directoryNotEmpty: "Directory not empty"
        case .unauthorized: "The request requires user authentication"
        case .previousValueRequired: "PrevValue is Required in POST form"
        case .ttlNotANumber: "The given TTL in POST form is not a number"
        case .indexNotANumber: "The given index in POST form is not a number"
        case .invalidField: "Invalid field"
        case .invalidForm: "Invalid POST form"
        case .refreshWithValue: "Value provided on refresh"
        case .refreshWithoutTTL: "A TTL must be provided on refresh"
        case .internalError: "Raft Internal Error"
        case .historyCleared: "The event in requested index is outdated and cleared"
        case .tooLarge: "Request too large"
        case .overloaded: "Server is busy"
        case .storeFull: "Registry is full"
        case .notKept: "Write cannot be kept"
        }
    }

    /// The HTTP status that etcd gives the code.
    var httpStatus: Int {
        switch code {
        case .keyNotFound: 404
        case .unauthorized: 401
        case .compareFailed, .keyExists: 412
        case .notAFile, .directoryNotEmpty: 403
        case .notADirectory, .rootReadOnly, .previousValueRequired, .ttlNotANumber, .indexNotANumber, .invalidField,
            .invalidForm, .refreshWithValue, .refreshWithoutTTL, .historyCleared:
            400
        case .internalError: 500
        case .tooLarge: 413
        case .overloaded, .notKept: 503
        case .storeFull: 507
        }
    }

    /// The JSON body with etcd's final line end.
    var json: [UInt8] {
        var json = GoJSON()
        json.raw("{\"errorCode\":")
        json.number(Int64(code.rawValue))
        json.raw(",\"message\":")
        json.string(message)
        if !cause.isEmpty {
            json.raw(",\"cause\":")
            json.string(cause)
        }
        json.raw(",\"index\":")
        json.number(index)
        json.raw("}\n")
        return json.bytes
    }
}
