import DNSWire
import RegistryStore

/// Names that registrations of the dialects have without being in the tree: RFC 2782 service names and DNS-SD browsing.
enum VirtualName {
    /// `_tcp.<rest>`, `_udp.<rest>`, `_dns-sd._udp.<domain>`: names that only have names below them.
    case branch(under: [UInt8])
    /// `_S._tcp.<rest>`.
    case service(label: [UInt8], isUDP: Bool, under: [UInt8])
    /// `I._S._tcp.<rest>` (RFC 6763 section 4.1).
    case instance(label: [UInt8], service: [UInt8], isUDP: Bool, under: [UInt8])
    /// `_services._dns-sd._udp.<domain>` (RFC 6763 section 9).
    case browsing(domain: [UInt8])

    /// nil for ordinary names, and for zones that hold no registrations (`domain` nil).
    init?(_ name: [UInt8], domain: [UInt8]?) {
        guard let domain else { return nil }
        let labels = TreeName.labels(of: name).map(Array.init)
        guard let proto = labels.prefix(3).firstIndex(where: { $0 == Self.tcp || $0 == Self.udp }),
            let under = TreeName.make(labels: Array(labels[(proto + 1)...])),
            TreeName.isSubdomain(under, of: domain)
        else { return nil }
        let isUDP = labels[proto] == Self.udp
        switch proto {
        case 0: self = .branch(under: under)
        case 1:
            if isUDP && labels[0] == Self.dnsSD && under == domain {
                self = .branch(under: under)
                return
            }
            guard labels[0].count > 1, labels[0][0] == UInt8(ascii: "_") else { return nil }
            self = .service(label: Array(labels[0].dropFirst()), isUDP: isUDP, under: under)
        default:
            if isUDP && labels[1] == Self.dnsSD && labels[0] == Self.services && under == domain {
                self = .browsing(domain: domain)
                return
            }
            guard labels[1].count > 1, labels[1][0] == UInt8(ascii: "_") else { return nil }
            self = .instance(label: labels[0], service: Array(labels[1].dropFirst()), isUDP: isUDP, under: under)
        }
    }

    private static let tcp = Array("_tcp".utf8)
    private static let udp = Array("_udp".utf8)
    private static let dnsSD = Array("_dns-sd".utf8)
    private static let services = Array("_services".utf8)
}

extension ViewState {
    /// Answers a virtual name; what the tree has under the same name is added (`found`).
    mutating func resolveVirtual(
        _ name: VirtualName, found: ViewTree.Index?, zone: Int, _ lookup: inout Lookup
    ) -> Resolution {
        lookup.dependsOnOthers = true
        var members: [Member] = []
        var pointers: [[UInt8]] = []
        var exists = found != nil
        var owner: [UInt8]?
        switch name {
        case .branch(let under): exists = exists || tree.index(of: under).map { tree[$0].members > 0 } ?? false
        case .service(let label, let isUDP, let under):
            members = serviceMembers(label, isUDP: isUDP, under: under, &lookup)
            pointers = members.compactMap { member in
                TreeName.labels(of: member.name).first.flatMap {
                    TreeName.make(labels: [Array($0)], under: lookup.question)
                }
            }
        case .instance(let label, let service, let isUDP, let under):
            members = serviceMembers(service, isUDP: isUDP, under: under, &lookup).filter {
                TreeName.labels(of: $0.name).first.map { $0.elementsEqual(label) } ?? false
            }
            owner = lookup.question
        case .browsing(let domain): pointers = browsedServices(domain: domain, lookup.question)
        }
        exists = exists || !members.isEmpty || !pointers.isEmpty
        guard exists else { return .nxdomain(zone: zone) }
        if let found { members = Self.collapse(members + self.members(below: found, &lookup)) }
        var sections = Sections()
        if lookup.type == .ptr {
            sections.answers = Set(pointers).sorted { $0.lexicographicallyPrecedes($1) }.map {
                .init(owner: lookup.question, type: .ptr, ttl: configuration.minTTL, data: .name($0))
            }
        } else if lookup.type != .cname {
            sections = self.sections(of: members, owner: lookup.question, &lookup)
            if lookup.type == .txt, sections.answers.isEmpty, owner != nil, !members.isEmpty {
                // DNS-SD instances always have a TXT record, if only an empty string (RFC 6763 section 6.1).
                sections.answers = [
                    .init(owner: lookup.question, type: .txt, ttl: configuration.minTTL, data: .bytes([0]))
                ]
            }
        }
        return finish(sections, publishAt: nil, &lookup)
    }

    /// Instances of a service whose endpoint is of the asked kind, at `<service>.<under>`.
    private mutating func serviceMembers(
        _ label: [UInt8], isUDP: Bool, under: [UInt8], _ lookup: inout Lookup
    ) -> [Member] {
        guard let name = TreeName.make(labels: [label], under: under), let index = tree.index(of: name) else {
            return []
        }
        return members(below: index, &lookup).filter { member in
            guard let instance = member.registration.instance, KeyLayout.dnsLabel(instance.service) == label else {
                return false
            }
            return Self.isUDP(instance) == isUDP
        }
    }

    /// Whether the endpoint has `_udp` names (true), `_tcp` names (false), or neither.
    private static func isUDP(_ instance: InstanceAttributes) -> Bool? {
        switch instance.endpointType {
        case "tcp", "http", "https": false
        case "udp": true
        default: nil
        }
    }

    /// `_S._tcp.<domain>` and `_S._udp.<domain>` of the services right below the domain, within the bound of samples.
    private mutating func browsedServices(domain: [UInt8], _ question: [UInt8]) -> [[UInt8]] {
        guard let top = tree.index(of: domain) else { return [] }
        var names = Set<[UInt8]>()
        var child = tree[top].firstChild
        var steps = 0
        while child != ViewTree.none && steps < Self.sampleMembers {
            steps += 1
            var instance = tree[child].firstChild
            while instance != ViewTree.none && steps < Self.sampleMembers {
                steps += 1
                for entry in tree[instance].leaf.entries {
                    guard let attributes = entry.registration?.instance, let isUDP = Self.isUDP(attributes) else {
                        continue
                    }
                    let service = KeyLayout.dnsLabel(attributes.service)
                    let label = [UInt8(ascii: "_")] + service
                    guard TreeName.labels(of: tree.name(of: child)).first.map({ $0.elementsEqual(service) }) ?? false,
                        let name = TreeName.make(labels: [label, Array((isUDP ? "_udp" : "_tcp").utf8)], under: domain)
                    else { continue }
                    names.insert(name)
                }
                instance = tree[instance].next
            }
            child = tree[child].next
        }
        return Array(names)
    }
}
