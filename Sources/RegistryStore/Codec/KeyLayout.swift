import Basics
package import DNSWire

/// How keys, owner names and the names of the HTTP dialects hang together: SkyDNS's layout below one path prefix.
///
/// A key is `/<prefix>/<labels of the name, root first>`, say `/skydns/local/skydns/east/rails` for
/// `rails.east.skydns.local`. Keys are identity and kept byte for byte; everything here is derived from them.
package struct KeyLayout: Sendable {
    /// The first path element or elements, without the slashes at the ends.
    package let prefix: String
    /// The authoritative domain.
    package let domain: OwnerName
    /// `/<prefix>/`
    package let prefixBytes: [UInt8]
    /// `/<prefix>/<domain reversed>/`
    private let domainBytes: [UInt8]
    /// `/<prefix>/.hidden/<domain reversed>/`: no question leads there, since SkyDNS and CoreDNS write a dot within a
    /// label as `\.`.
    private let hiddenBytes: [UInt8]

    package init(prefix: String, domain: OwnerName) {
        let parts = prefix.split(separator: "/")
        self.prefix = parts.joined(separator: "/")
        self.domain = domain
        var bytes = Array("/".utf8)
        for part in parts { bytes += Array(part.utf8) + [UInt8(ascii: "/")] }
        prefixBytes = bytes
        var path: [UInt8] = []
        for label in domain.labels.reversed() { path += Self.encode(label) + [UInt8(ascii: "/")] }
        domainBytes = prefixBytes + path
        hiddenBytes = prefixBytes + Array(".hidden/".utf8) + path
    }

    // MARK: Names to keys

    /// The one key of a registration of an HTTP dialect or catalog:
    /// `/<prefix>/<domain reversed>/<service>/<id>`, service and id percent-encoded as one path part each.
    package func primaryKey(service: String, id: String) -> [UInt8] { key(under: domainBytes, service, id) }

    /// Where a store that SkyDNS and CoreDNS read as well keeps a registration that the DNS does not answer: they
    /// answer with a value whatever its status, SkyDNS with every address there is when it has no host.
    package func hiddenKey(service: String, id: String) -> [UInt8] { key(under: hiddenBytes, service, id) }

    private func key(under start: [UInt8], _ service: String, _ id: String) -> [UInt8] {
        var key = start
        key.reserveCapacity(key.count + service.utf8.count + id.utf8.count + 1)
        // SkyDNS keeps name servers and stub zones below dns/ of the domain; a service of that name stays out of it.
        key += ByteOrder.same(service, "dns") ? Array("%64ns".utf8) : Self.encode(service.utf8)
        key.append(UInt8(ascii: "/"))
        key += Self.encode(id.utf8)
        return key
    }

    /// The keys by which SkyDNS and CoreDNS find the registration of a primary key at the names that it has here: one
    /// for each tag, and one without a tag where the names are no DNS labels as they are. None where a name would be
    /// SkyDNS's own.
    package func aliasKeys(service: String, id: String, tags: [String]) -> [[UInt8]] {
        let labels = [Self.dnsLabel(service), Self.dnsLabel(id)]
        guard labels.allSatisfy({ !$0.isEmpty }) else { return [] }
        var keys: [[UInt8]] = []
        for path in [labels] + tags.map({ [Self.dnsLabel($0)] + labels }) {
            guard let first = path.first, !first.isEmpty, !first.elementsEqual("dns".utf8) else { continue }
            let key = domainBytes + Array(path.joined(separator: "/".utf8))
            if !keys.contains(key) { keys.append(key) }
        }
        let primary = primaryKey(service: service, id: id)
        return keys.filter { $0 != primary }
    }

    /// Percent-encodes every byte that may not stand in a path part, and the parts `.` and `..`, which paths swallow.
    static func encode(_ part: some Collection<UInt8>) -> [UInt8] {
        if part.elementsEqual(".".utf8) { return Array("%2E".utf8) }
        if part.elementsEqual("..".utf8) { return Array("%2E%2E".utf8) }
        return PercentText.encode(part, where: isPlain)
    }

    /// `A-Z a-z 0-9 - . _ ~ : @ ! $ & ' ( ) * + , ; =`
    private static func isPlain(_ byte: UInt8) -> Bool {
        PercentText.isUnreserved(byte) || ":@!$&'()*+,;=".utf8.contains(byte)
    }

    /// The text of a path part; `%` that starts no escape and `%00` stand for themselves, broken UTF-8 becomes U+FFFD.
    package static func decode(_ part: some Sequence<UInt8>) -> String {
        let bytes = Array(part)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if let escaped = PercentText.escaped(in: bytes[...], at: index), escaped != 0 {
                result.append(escaped)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    // MARK: Keys to names

    /// A key's owner name in wire form, its labels as the bytes in the key: not folded and not decoded. Nil when
    /// `hasOwnerName` is false.
    package func ownerName(ofKey key: [UInt8]) -> [UInt8]? {
        guard hasOwnerName(key) else { return nil }
        var name: [UInt8] = []
        name.reserveCapacity(key.count - prefixBytes.count + 2)
        var end = key.count
        // The path has the root's side first, a name the leaf's.
        for position in stride(from: key.count - 1, through: prefixBytes.count - 1, by: -1)
        where key[position] == UInt8(ascii: "/") {
            name.append(UInt8(truncatingIfNeeded: end - position - 1))
            name.append(contentsOf: key[(position + 1)..<end])
            end = position
        }
        name.append(0)
        return name
    }

    /// Whether the DNS has a name for a key: it is below the prefix, and no part of its path is empty or longer than
    /// 63 octets, nor the name longer than 255.
    package func hasOwnerName(_ key: [UInt8]) -> Bool {
        // Each part has a slash before it where the name has a length, and the root is one octet more.
        guard key.starts(with: prefixBytes), key.count > prefixBytes.count, key.count - prefixBytes.count + 2 <= 255
        else { return false }
        var label = 0
        for byte in key[prefixBytes.count...] {
            if byte == UInt8(ascii: "/") {
                guard label > 0 else { return false }
                label = 0
            } else {
                guard label < 63 else { return false }
                label += 1
            }
        }
        return label > 0
    }

    /// Whether SkyDNS would take a value under this key for a service: all below the prefix but `config`.
    package func mayHoldService(_ key: [UInt8]) -> Bool {
        guard key.starts(with: prefixBytes) else { return false }
        let rest = key[prefixBytes.count...]
        return !rest.isEmpty && !rest.elementsEqual("config".utf8)
    }

    /// Whether the HTTP dialects show a service under this key: below the domain or its hidden part, not below `dns/`
    /// of the domain, not `config`, not `arpa`.
    package func isServiceKey(_ key: [UInt8]) -> Bool { servicePath(ofKey: key) != nil }

    /// What follows the domain in the key of a service.
    private func servicePath(ofKey key: [UInt8]) -> ArraySlice<UInt8>? {
        guard mayHoldService(key) else { return nil }
        if key.starts(with: hiddenBytes) {
            return key.count > hiddenBytes.count ? key[hiddenBytes.count...] : nil
        }
        guard key.count > domainBytes.count, key.starts(with: domainBytes) else { return nil }
        if key[domainBytes.count...].starts(with: "dns/".utf8) { return nil }
        let path = key[prefixBytes.count...]
        if path.starts(with: "arpa/".utf8) || path.elementsEqual("arpa".utf8) { return nil }
        return key[domainBytes.count...]
    }

    /// The names that INTERFACE gives a key below the domain: its last three labels are tag, service and id; deeper
    /// ones are further tags, outermost last; two have no tag; one is service and id alike. Nil when `isServiceKey` is
    /// false, or when a part is empty or holds a zero octet.
    package func identity(ofKey key: [UInt8]) -> (service: String, id: String, tags: [String])? {
        guard let path = servicePath(ofKey: key) else { return nil }
        let parts = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && !$0.contains(0) }), let last = parts.last else { return nil }
        let id = Self.decode(last)
        guard parts.count > 1 else { return (id, id, []) }
        return (Self.decode(parts[parts.count - 2]), id, parts.dropLast(2).reversed().map { Self.decode($0) })
    }

    /// The DNS label of an original name: lower-cased, every byte outside `a-z 0-9 - _` is `-`, runs of `-` collapse,
    /// cut at 63 octets. Empty only for empty text.
    package static func dnsLabel(_ original: String) -> [UInt8] {
        var label: [UInt8] = []
        for byte in original.utf8 {
            let mapped: UInt8
            switch byte {
            case 0x41...0x5a: mapped = byte + 32
            case 0x61...0x7a, 0x30...0x39, UInt8(ascii: "_"): mapped = byte
            default: mapped = UInt8(ascii: "-")
            }
            if mapped == UInt8(ascii: "-"), label.last == mapped { continue }
            guard label.count < 63 else { break }
            label.append(mapped)
        }
        return label
    }
}
