import Foundation
import Persistence

/// Where and how registrations are kept over restarts.
struct DataSettings: Sendable {
    let directory: String
    let sync: RegistryKeeper.Sync
    /// How errors name the directory.
    let place: String

    /// Nil when they are not.
    init?(_ values: SettingValues) throws(UserError) {
        guard let directory = values.value(StoreSettings.dataDirectory) else { return nil }
        self.directory = directory
        sync = values.value(StoreSettings.sync).flatMap { RegistryKeeper.Sync(rawValue: $0) } ?? .interval
        place = values.place(StoreSettings.dataDirectory.spec.name) + " \(directory)"
        // One that is not there is made by the server.
        guard FileManager.default.fileExists(atPath: directory) else { return }
        guard FileManager.default.fileExists(atPath: directory + "/.") else {
            throw UserError(what: place, why: "is no directory", remedy: "name a directory, or one that can be made")
        }
        guard FileManager.default.isWritableFile(atPath: directory) else {
            throw UserError(
                what: place, why: "this user may not write in it", remedy: "change its owner or mode, or name another")
        }
    }

    /// Settings that say nothing to this server.
    static func warnings(_ values: SettingValues) -> [String] {
        let directory = StoreSettings.dataDirectory.spec.name
        let sync = StoreSettings.sync.spec.name
        let hasDirectory = values.value(StoreSettings.dataDirectory) != nil
        let store = values.value(StoreSettings.store) ?? "memory"
        if hasDirectory, store != "memory" {
            return ["\(values.place(directory)) has no effect: the store is \(store), which keeps the registrations"]
        }
        if !hasDirectory, values.value(StoreSettings.sync) == "always" {
            return ["\(values.place(sync)) has no effect: nothing is kept; --data-dir says where"]
        }
        return []
    }
}

extension UserError {
    /// A data directory that cannot be used.
    init(_ error: DataDirectoryError, _ data: DataSettings) {
        let isItself = error.path == data.directory
        self.init(
            what: data.place, why: isItself ? error.reason : "\(error.path) \(error.reason)", remedy: error.remedy)
    }
}
