/// Numbers of zone files: plain decimals, and times with units.
public enum NumberText {
    /// Reads decimal digits up to `limit`; nil for anything else.
    public static func decimal(_ text: ArraySlice<UInt8>, limit: UInt32 = .max) -> UInt32? {
        guard !text.isEmpty, text.count <= 10 else { return nil }
        var value: UInt64 = 0
        for octet in text {
            guard NameText.isDigit(octet) else { return nil }
            value = value * 10 + UInt64(octet - 0x30)
        }
        return value <= UInt64(limit) ? UInt32(value) : nil
    }

    /// Reads seconds, plain (`5400`) or with units in either letter case (`1h30m`, `2W`); nil for anything else or
    /// more than `limit`. Each unit may come once, largest first or not; a number without one must stand alone.
    public static func seconds(_ text: ArraySlice<UInt8>, limit: UInt32 = .max) -> UInt32? {
        if let plain = decimal(text, limit: limit) { return plain }
        var total: UInt64 = 0
        var value: UInt64 = 0
        var digits = 0
        for octet in text {
            if NameText.isDigit(octet) {
                value = value * 10 + UInt64(octet - 0x30)
                digits += 1
                guard digits <= 10 else { return nil }
                continue
            }
            let unit: UInt64
            switch octet | 0x20 {
            case 0x77: unit = 604_800
            case 0x64: unit = 86_400
            case 0x68: unit = 3_600
            case 0x6d: unit = 60
            case 0x73: unit = 1
            default: return nil
            }
            guard digits > 0 else { return nil }
            total += value * unit
            guard total <= UInt64(limit) else { return nil }
            value = 0
            digits = 0
        }
        return digits == 0 && !text.isEmpty ? UInt32(total) : nil
    }
}

/// Points in time of signatures: YYYYMMDDHHmmSS in UTC (RFC 4034 §3.2).
enum TimeText {
    /// Reads fourteen digits, or plain seconds since 1970 of up to ten; nil for anything else or times after 2106.
    static func decode(_ text: ArraySlice<UInt8>) -> UInt32? {
        guard text.count == 14 else { return NumberText.decimal(text) }
        let fields = [4, 2, 2, 2, 2, 2]
        var values: [Int] = []
        var at = text.startIndex
        for width in fields {
            guard let value = NumberText.decimal(text[at..<(at + width)]) else { return nil }
            values.append(Int(value))
            at += width
        }
        guard values[0] >= 1970, (1...12).contains(values[1]), (1...31).contains(values[2]), values[3] < 24,
            values[4] < 60, values[5] < 61
        else { return nil }
        let days = CivilDate(year: values[0], month: values[1], day: values[2]).daysSince1970
        return UInt32(exactly: ((days * 24 + values[3]) * 60 + values[4]) * 60 + values[5])
    }

    static func encode(_ seconds: UInt32) -> String {
        let date = CivilDate(daysSince1970: Int(seconds / 86_400))
        let time = Int(seconds % 86_400)
        let fields = [
            (date.year, 4), (date.month, 2), (date.day, 2), (time / 3_600, 2), (time / 60 % 60, 2), (time % 60, 2),
        ]
        return fields.map { value, width in
            let digits = String(value)
            return String(repeating: "0", count: width - digits.count) + digits
        }.joined()
    }
}
