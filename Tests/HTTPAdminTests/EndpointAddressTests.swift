import RegistryStore
import Testing

@testable import HTTPAdmin

struct EndpointAddressTests {
    @Test(arguments: [
        // host
        ("10.0.0.1", "10.0.0.1 0"), ("db.example.com", "db.example.com 0"), ("db.example.com.", "db.example.com. 0"),
        ("localhost", "localhost 0"), ("my_host", "my_host 0"), ("::1", "::1 0"), ("2001:DB8::1", "2001:db8::1 0"),
        // host:port
        ("10.0.0.1:80", "10.0.0.1 80"), ("db.example.com:5432", "db.example.com 5432"), ("h:0", "h 0"),
        ("h:65535", "h 65535"), ("h:00080", "h 80"),
        // [v6]:port
        ("[::1]:80", "::1 80"), ("[2001:db8::1]", "2001:db8::1 0"),
        // scheme://host[:port]/…
        ("http://h", "h 80"), ("https://h/", "h 443"), ("http://10.0.0.1:8080/p?q=1", "10.0.0.1 8080"),
        ("HTTP://h", "h 80"), ("tcp://h:5/x", "h 5"), ("redis://user:secret@h:6379/0", "h 6379"),
        ("http://[::1]:9/", "::1 9"), ("http://[::1]", "::1 80"), ("amqp://h", "h 0"), ("git+ssh://h:22", "h 22"),
        ("http://h?x=/y", "h 80"), ("http://h#f", "h 80"),
        // IPv4-mapped counts as IPv4, as in SkyDNS.
        ("[::ffff:10.0.0.1]:80", "10.0.0.1 80"), ("::ffff:10.0.0.1", "10.0.0.1 0"),
        // Neither an address nor a host name.
        ("", "-"), ("   ", "-"), ("not an address", "-"), ("hôst:1", "-"), ("a", "a 0"), ("1", "-"),
        ("10.0.0.256", "-"),
        ("10.0.0", "-"), ("h:", "-"), ("h:x", "-"), ("h:-1", "-"), ("h:+1", "-"), ("h:65536", "-"),
        ("h:99999999999999999999", "-"),
        (":80", "-"), ("a..b", "-"), (".a", "-"), ("a/b", "-"), ("[::1", "-"), ("[h]:1", "-"), ("[::1]x", "-"),
        ("[::1]80", "-"), ("fe80::1%eth0", "-"), ("1:2:3", "-"), ("http://", "-"), ("://h", "-"), ("9p://h", "-"),
        ("ht tp://h", "-"), ("http:///path", "-"), ("<&>\"\\ ", "-"), ("a:b:c", "-"),
    ])
    func mapping(value: String, expected: String) {
        switch EndpointAddress(value) {
        case .understood(let host, let port): #expect("\(host.text) \(port)" == expected)
        case .unusable(let reason):
            #expect(expected == "-")
            #expect(!reason.isEmpty)
        }
    }

    @Test func longNames() {
        let label = String(repeating: "a", count: 63)
        let fits = [label, label, label, String(repeating: "a", count: 61)].joined(separator: ".")
        #expect(EndpointAddress(fits) == .understood(host: .name(fits), port: 0))
        for tooLong in [label + "a", fits + "a"] {
            guard case .unusable = EndpointAddress(tooLong) else {
                Issue.record("\(tooLong.count) octets were understood")
                continue
            }
        }
    }
}
