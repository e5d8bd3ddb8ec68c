import Foundation

/// Small files that settings name.
enum TextFile {
    /// Why a file cannot be read, in the system's words.
    struct ReadError: Error {
        let why: String
    }

    /// The whole content of a regular file of at most `maxBytes`.
    static func read(_ path: String, maxBytes: Int) throws(ReadError) -> [UInt8] {
        let attributes: [FileAttributeKey: Any]
        do {
            attributes = try FileManager.default.attributesOfItem(atPath: path)
        } catch {
            throw ReadError(why: reason(of: error))
        }
        if attributes[.type] as? FileAttributeType == .typeDirectory { throw ReadError(why: "is a folder") }
        if let size = attributes[.size] as? Int, size > maxBytes {
            throw ReadError(why: "has \(size) bytes, more than the \(maxBytes) allowed")
        }
        do {
            let data = try Data(contentsOf: URL(filePath: path))
            guard data.count <= maxBytes else { throw ReadError(why: "has more than the \(maxBytes) bytes allowed") }
            return [UInt8](data)
        } catch let error as ReadError {
            throw error
        } catch {
            throw ReadError(why: reason(of: error))
        }
    }

    /// The system's words for an error of a file.
    static func reason(of error: any Error) -> String {
        guard let error = error as? CocoaError else { return "cannot be read" }
        return switch error.code {
        case .fileReadNoSuchFile, .fileNoSuchFile: "does not exist"
        case .fileReadNoPermission: "may not be read by this user"
        default: "cannot be read"
        }
    }
}
