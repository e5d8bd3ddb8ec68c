package import Foundation

/// Files beside the tests' sources, so that tests need no resources in the bundle.
package enum TestFiles {
    package static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

    package static func json<Value: Decodable>(_ path: String, as type: Value.Type) throws -> Value {
        try JSONDecoder().decode(type, from: Data(contentsOf: tests.appendingPathComponent(path)))
    }
}
