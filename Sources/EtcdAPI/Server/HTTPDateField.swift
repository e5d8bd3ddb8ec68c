import RegistryStore

/// The value of `Date` fields, written once a second: to write it costs as much as half a small answer.
struct HTTPDateField {
    private var second = Int64.min
    private var text = ""

    /// The field's value at a time.
    mutating func value(unixMilliseconds: Int64) -> String {
        let now = unixMilliseconds / 1000
        if now != second {
            second = now
            text = CivilTime(unixMilliseconds: unixMilliseconds).httpDate
        }
        return text
    }
}
