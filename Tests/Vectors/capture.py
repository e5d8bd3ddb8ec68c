#!/usr/bin/env python3
"""Captures answers of real servers as golden vectors for the wire tests.

  capture.py            needs knotd and named; rewrites knot.json and named.json beside this file

Serves one small zone with each server on a loopback port that the kernel chose, signed in Knot's case, asks every
question of QUESTIONS, and stores query and answer as hexadecimal digits, one case in a line.
"""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "Conformance"))
from dnsraw import TYPES, query  # noqa: E402

TYPES.update({"SSHFP": 44, "TLSA": 52})

ZONE = r"""
$ORIGIN vectors.test.
$TTL 1h30m
@       SOA   ns1 Host\.Master ( 2024010101 2h 15m 2w 60 )
        NS    ns1
        NS    ns2.elsewhere.test.
        MX    10 mail
        MX    20 mail2.elsewhere.test.
        CAA   0 issue "ca.example; policy=x"
        TXT   "v=1" "second string; with \"quotes\" and \001\255"
ns1     A     192.0.2.1
        AAAA  2001:db8::1
mail    60 A  192.0.2.25
www     A     192.0.2.80
        A     192.0.2.81
        AAAA  2001:db8::80
        HINFO "PDP-11" "UNIX"
        HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.80
alias   CNAME www
alias2  CNAME alias
away    CNAME www.elsewhere.test.
_http._tcp SRV 10 60 8080 www
        SRV   20 0 8081 mail
        SRV   30 0 8082 srv.elsewhere.test.
_svc    SVCB  1 www port=8443
ptr     PTR   WWW.Vectors.Test.
naptr   NAPTR 100 10 "u" "sip+E2U" "!^.*$!sip:info@vectors.test!" .
dname   DNAME target
target  TXT   ""
x.target A    192.0.2.99
sshfp   SSHFP 4 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
_443._tcp.www TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
unknown TYPE65400 \# 4 0A000001
empty   TYPE65401 \# 0
*.wild  A     192.0.2.77
a.b.c   A     192.0.2.66
d\.ot\000\032 A 192.0.2.55
deleg   NS    ns.deleg
        NS    ns3.elsewhere.test.
        DS    12345 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
ns.deleg A    192.0.2.53
""" + "".join("big A 198.51.100.%d\n" % i for i in range(90)) + \
    "".join('long TXT "%s"\n' % (chr(97 + i) * 250) for i in range(3))

NAMES = [("", "SOA"), ("", "NS"), ("", "MX"), ("", "CAA"), ("", "TXT"), ("", "DNSKEY"), ("", "A"), ("", "NSEC"),
         ("ns1", "A"), ("ns1", "AAAA"), ("www", "A"), ("WwW", "A"), ("www", "AAAA"), ("www", "HINFO"),
         ("www", "HTTPS"), ("www", "MX"), ("alias", "A"), ("alias2", "AAAA"), ("away", "A"), ("alias", "CNAME"),
         ("_http._tcp", "SRV"), ("_svc", "SVCB"), ("ptr", "PTR"), ("naptr", "NAPTR"), ("dname", "DNAME"),
         ("x.dname", "A"), ("target", "TXT"), ("sshfp", "SSHFP"), ("_443._tcp.www", "TLSA"), ("unknown", 65400),
         ("empty", 65401), ("x.wild", "A"), ("c", "A"), ("missing", "A"), ("x.y.missing", "AAAA"), ("deleg", "A"),
         ("x.deleg", "AAAA"), ("deleg", "DS"), ("big", "A"), ("long", "TXT")]
EXTRA = [
    ("edns-only", dict(edns={})), ("edns-do", dict(edns={"flags": 0x8000})),
    ("edns-4096-do", dict(edns={"size": 4096, "flags": 0x8000})),
    ("edns-nsid", dict(edns={"options": [(3, b"")]})), ("edns-cookie", dict(edns={"options": [(10, b"8 octets")]})),
    ("badvers", dict(edns={"version": 1})), ("no-rd", dict(flags=0)), ("cd", dict(flags=0x0110)),
    ("chaos", dict(qclass=3)),
]


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def questions():
    origin = "vectors.test"
    for name, qtype in NAMES:
        full = name + "." + origin if name else origin
        yield "%s/%s" % (full, qtype), query(full, qtype, ident=0x1001)
        yield "%s/%s/dnssec" % (full, qtype), query(full, qtype, ident=0x1002, edns={"flags": 0x8000})
    for tag, kw in EXTRA:
        for name in ("www", "missing"):
            yield "%s/%s" % (name, tag), query(name + "." + origin, "A", ident=0x1003, **kw)
    yield "outside", query("www.example.com", "A", ident=0x1004)


def ask(port, message, over_tcp):
    if over_tcp:
        with socket.create_connection(("127.0.0.1", port), 3) as s:
            s.sendall(struct.pack("!H", len(message)) + message)
            data = b""
            while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
                got = s.recv(65535)
                if not got:
                    return None
                data += got
            return data[2:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.connect(("127.0.0.1", port))
        s.send(message)
        try:
            return s.recv(65535)
        except (TimeoutError, socket.timeout):
            return None


def capture(label, process, port, folder):
    cases = []
    try:
        end = time.monotonic() + 20
        while True:
            try:
                up = ask(port, query("vectors.test", "SOA", ident=1), False)
                if up and up[3] & 15 == 0:
                    break
            except OSError:
                pass
            if time.monotonic() > end or process.poll() is not None:
                sys.exit("%s did not start; see %s" % (label, folder))
            time.sleep(.1)
        for name, message in questions():
            for over_tcp in (False, True):
                answer = ask(port, message, over_tcp)
                if answer and not (over_tcp and cases and cases[-1]["answer"] == answer.hex()):
                    cases.append({"name": name + ("/tcp" if over_tcp else ""), "query": message.hex(),
                                  "answer": answer.hex()})
    finally:
        process.terminate()
        process.wait()
    with open(os.path.join(HERE, label + ".json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
    print("%s: %d answers" % (label, len(cases)))


def knot(folder, port):
    with open(os.path.join(folder, "knot.conf"), "w") as f:
        f.write("""server:
    rundir: "{0}"
    listen: 127.0.0.1@{1}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    nsid: "vectors"
    identity: "vectors"
database:
    storage: "{0}"
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: "{0}"
    zonefile-sync: -1
    journal-content: none
policy:
  - id: p
    algorithm: ecdsap256sha256
    single-type-signing: on
zone:
  - domain: vectors.test
    file: "zone"
    dnssec-signing: on
    dnssec-policy: p
""".format(folder, port))
    return subprocess.Popen(["knotd", "-c", os.path.join(folder, "knot.conf")])


def named(folder, port):
    with open(os.path.join(folder, "named.conf"), "w") as f:
        f.write("""options {{ directory "{0}"; pid-file "{0}/pid"; session-keyfile "{0}/key";
  listen-on port {1} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;
  server-id "vectors"; cookie-secret "00112233445566778899aabbccddeeff"; rrset-order {{ order none; }}; }};
controls {{ }};
zone "vectors.test" {{ type primary; file "zone"; check-names ignore; }};
""".format(folder, port))
    return subprocess.Popen(["named", "-f", "-n", "1", "-c", os.path.join(folder, "named.conf")],
                            stderr=subprocess.DEVNULL)


def main():
    for label, start in (("knot", knot), ("named", named)):
        folder = tempfile.mkdtemp(prefix="regdns-vectors-")
        with open(os.path.join(folder, "zone"), "w") as f:
            f.write(ZONE.lstrip())
        port = free_port()
        capture(label, start(folder, port), port, folder)
        shutil.rmtree(folder)


main()
