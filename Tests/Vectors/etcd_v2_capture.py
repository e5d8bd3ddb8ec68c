#!/usr/bin/env python3
"""Records what a real etcd 3.4 answers to the v2 cases below, as Tests/Vectors/etcd_v2.json.

  etcd_v2_capture.py [--etcd /usr/bin/etcd] [--output etcd_v2.json] [--only GLOB]

Every case plays against a fresh, empty etcd on ports the kernel chose, so that nothing but the case decides what is
there. Recorded texts hold these marks instead of what differs from run to run; a replay fills in its own:

  {+n}      the X-Etcd-Index at the start of the case, plus n
  {+n:20}   the same in 20 digits (names that POST makes)
  {time}    an expiration
  {cluster} {raft}   values of X-Etcd-Cluster-Id, X-Raft-Index and X-Raft-Term

Requests use the first two marks as well; their bodies are written as the characters U+0000 to U+00FF, one for each
byte. A step is ("METHOD", target, body, headers) or a number of seconds to wait.
"""
import argparse
import fnmatch
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def get(path, **query):
    return ("GET", "/v2/keys" + path + ("?" + urllib.parse.urlencode(query) if query else ""), None, {})


def put(path, method="PUT", query=None, **form):
    return (method, "/v2/keys" + path + ("?" + query if query else ""), urllib.parse.urlencode(form), FORM)


def post(path, **form):
    return put(path, method="POST", **form)


def delete(path, **query):
    return ("DELETE", "/v2/keys" + path + ("?" + urllib.parse.urlencode(query) if query else ""), None, {})


def raw(method, target, body=None, headers=None):
    return (method, target, body, headers or {})


SKY = '{"host":"10.0.1.125","port":8080}'
CASES = {
    "set get delete": [
        put("/skydns/local/web/1", value=SKY), get("/skydns/local/web/1"), put("/skydns/local/web/1", value="x"),
        get("/skydns/local/web/1"), delete("/skydns/local/web/1"), get("/skydns/local/web/1"),
        delete("/skydns/local/web/1"), get("/skydns/local/web"), get("/skydns/local/other/deep"),
        put("/skydns/local/web", value="1"),
    ],
    "set twice resets createdIndex": [
        put("/a", value="1"), put("/a", value="1"), get("/a"), put("/a", value="2", prevExist="true"), get("/a"),
        put("/a", value="2"), get("/a"),
    ],
    "ttl": [
        put("/t/1", value="x", ttl=100), get("/t/1"), put("/t/1", value="x", ttl=7), put("/t/1", value="x"),
        get("/t/1"), put("/t/1", value="x", ttl=""), put("/t/1", value="x", ttl=50), delete("/t/1"),
    ],
    "ttl runs out": [
        put("/e/1", value="x", ttl=1), put("/e/2", value="x"), put("/e/3", value="y", ttl=60), 2.6, get("/e/1"),
        get("/e", recursive="true", sorted="true"), get("/e/3"),
    ],
    "ttl zero expires at once": [put("/z", value="x", ttl=0), 1.5, get("/z")],
    "ttl wrong": [
        put("/t", value="1", ttl="abc"), put("/t", value="1", ttl=-3), put("/t", value="1", ttl="1.5"),
        put("/t", value="1", ttl="+5"), put("/t", value="1", ttl="99999999999999999999"), get("/t"),
    ],
    "create and update": [
        put("/c/1", value="a", prevExist="true"), put("/c/1", value="a", prevExist="false"),
        put("/c/1", value="b", prevExist="false"), put("/c/1", value="b", prevExist="true"),
        put("/c/1", value="b", query="prevExist=maybe"), put("/c", value="b", prevExist="false"),
        put("/c", value="b", prevExist="true"), put("/c/1", prevExist="true", ttl=30),
    ],
    "refresh": [
        put("/r/1", value="x", ttl=5), put("/r/1", ttl=60, refresh="true", prevExist="true"), get("/r/1"),
        put("/r/none", ttl=60, refresh="true", prevExist="true"), put("/r/1", ttl=5, refresh="true", value="y"),
        put("/r/1", refresh="true"), put("/r/1", ttl=9, refresh="true"), put("/r/none", ttl=9, refresh="true"),
        put("/r/1", ttl=9, refresh="true", value=""), put("/r/1", ttl=9, refresh="maybe"),
        put("/r/1", ttl=9, refresh="true", prevValue="x"), put("/r/1", ttl=9, refresh="true", prevValue="y"),
        put("/r/2", ttl=9, refresh="false", value="v"),
    ],
    "compare and swap": [
        put("/c/1", value="a"), put("/c/1", value="b", query="prevValue=a"), put("/c/1", value="c", query="prevValue=a"),
        put("/c/none", value="c", query="prevValue=a"), put("/c/1", value="c", query="prevValue="), get("/c/1"),
        put("/c/1", value="c", query="prevIndex={+2}"), put("/c/1", value="d", query="prevIndex={+2}"),
        put("/c/1", value="d", query="prevIndex={+2}&prevValue=z"), put("/c/1", value="d", query="prevIndex=x"),
        put("/c/1", value="d", query="prevIndex="), put("/c/1", value="d", query="prevIndex=0"),
        put("/c", value="d", query="prevValue=a"), put("/c/1", value="e", ttl=20, query="prevValue=d&prevExist=true"),
        put("/c/1", value="f", query="prevValue=e&prevIndex={+5}"), put("/", value="f", query="prevValue=e"),
        put("/c/1", value="<&>", query="prevValue=f"), put("/c/1", value="y", query="prevValue=%3c"),
    ],
    "compare and delete": [
        put("/c/1", value="a"), delete("/c/1", prevValue="z"), delete("/c/1", prevIndex="{+9}"),
        delete("/c/1", prevIndex="{+9}", prevValue="z"), delete("/c/1", prevValue="a"), delete("/c/1", prevValue="a"),
        delete("/c", prevValue="a"), delete("/", prevValue="a"), put("/c/1", value="b", ttl=40),
        delete("/c/1", prevIndex="{+3}", recursive="true"), delete("/c/1", prevValue=""),
    ],
    "list": [
        put("/l/b/2", value="b2"), put("/l/a/1", value="a1", ttl=60), put("/l/b/1", value="b1"),
        put("/l/b-c/1", value="bc"), put("/l/file", value=""), get("/l", recursive="true", sorted="true"),
        get("/l", sorted="true"), get("/l/b", sorted="true"), get("/l/b/", sorted="true"),
        get("/", recursive="true", sorted="true"), get("", sorted="true"), get("/l/file/x"), get("/l/file/"),
        get("/l/none/x"), delete("/l/b/2"), get("/l", recursive="true", sorted="true"),
    ],
    "hidden": [
        put("/h/_secret", value="1"), put("/h/seen", value="1"), put("/h/_dir/x", value="1"), put("/h/_dir/_y", value="1"),
        get("/h", sorted="true"), get("/h", recursive="true", sorted="true"), get("/h/_secret"), get("/h/_dir"),
    ],
    "directories made by keys": [
        put("/d/x/y/z", value="1"), put("/d/x", value="1"), put("/d/x/y/z/w", value="1"), put("/d/x/y/z/w/v", value="1"),
        delete("/d/x"), delete("/d/x", dir="true"), delete("/d/x", recursive="true"), get("/d/x/y/z"), get("/d/x"),
        delete("/d/none", recursive="true"), get("/d"), put("/d", value="1"),
    ],
    "delete empty directories": [
        put("/d/x/y", value="1"), put("/d/f", value="1"), delete("/d/f", dir="true"), put("/d/f", value="1"),
        delete("/d/f", recursive="true"), delete("/d/x/y"), get("/d", sorted="true"), delete("/d/x", dir="maybe"),
        delete("/d/x", recursive="maybe"), delete("/d/x"),
    ],
    "directories put": [
        put("/d/e", dir="true"), put("/d/e", dir="true"), put("/d/f", value="x"), put("/d/f", dir="true"),
        put("/d/f", dir="true", ttl=5), put("/d/n", dir="true", prevExist="false"),
        put("/d/n", dir="true", prevExist="false"), put("/d/m", dir="true", prevExist="true", ttl=5),
        put("/d/x/y/z", dir="true", value="v"), put("/d/v", value="1"), put("/d/v/w", dir="true"),
        put("/d/_h", dir="true"), put("/", dir="true"), put("/", dir="true", prevExist="true", ttl=5),
        get("/d", recursive="true", sorted="true"), delete("/d/e"), delete("/d/e", dir="true"), get("/d/e"),
        delete("/d", dir="true"), delete("/d/x", dir="true", recursive="true"), delete("/d/_h", dir="true"),
        put("/d/o", dir="true", noValueOnSuccess="true"), put("/d/p", query="dir=maybe"),
    ],
    "ttl of directories": [
        put("/d/e", dir="true", ttl=100), put("/d/e/k", value="1", ttl=500), get("/d", recursive="true", sorted="true"),
        put("/d/e", dir="true", prevExist="true", ttl=200), get("/d/e"), put("/d/e", prevExist="true", ttl=300),
        put("/d/e", dir="true", prevExist="true", ttl=60, refresh="true"), put("/d/e", prevExist="true"), get("/d/e"),
        put("/d/e", prevExist="true", value="x"), put("/d/e", refresh="true", ttl=5),
        put("/d/e", dir="true", refresh="true", ttl=5), put("/d/none", dir="true", refresh="true", ttl=5),
        delete("/d/e", recursive="true"),
    ],
    "directories run out": [
        put("/d/t", dir="true", ttl=1), put("/d/t/a", value="1"), put("/d/t/b/c", value="1", ttl=100),
        put("/d/made/k", value="1"), put("/d/made", prevExist="true", ttl=1), 2.6, get("/d/t/a"), get("/d/t"),
        get("/d", recursive="true", sorted="true"),
    ],
    "directories are not compared": [
        put("/d", dir="true"), put("/d", query="prevIndex={+1}"), put("/d", query="prevValue=x"),
        put("/d", query="prevIndex={+1}&dir=true"), put("/d", query="prevIndex={+1}&prevExist=true&dir=true"),
        put("/d/none", query="prevIndex={+1}&dir=true"), delete("/d", prevIndex="{+1}"),
        delete("/d", prevValue="x", recursive="true"), delete("/", prevIndex="{+1}"),
        put("/k", value="x"), put("/k", query="prevValue=x&dir=true"), get("/k"),
    ],
    "post directories": [
        post("/q", dir="true"), post("/q", dir="true", ttl=20), post("/q", value="x", dir="true"),
        get("/q", recursive="true", sorted="true"), post("/q/{+1:20}", value="1"), get("/q/{+1:20}"),
    ],
    "root": [
        put("/", value="1"), put("", value="1"), delete("/", recursive="true"), delete(""), get("/"), get(""),
        put("/", value="1", prevExist="false"), put("/", value="1", prevExist="true"), get("/none"),
    ],
    "post": [
        post("/q", value="1"), post("/q", value="2", ttl=50), get("/q", recursive="true", sorted="true"), post("/q"),
        post("/", value="r"), put("/f", value="1"), post("/f", value="1"), post("/f/g", value="1"),
        post("/q/", value="x", prevExist="false"),
    ],
    "values": [
        put("/v/1"), get("/v/1"), put("/v/2", value=""), put("/v/3", value="<a href='&'>\u2028\u00e9\U0001f600\"\\\b\f\n\r\t\x01\x7f"),
        get("/v/3"), put("/v/4", value="1 2+3%"), raw("PUT", "/v2/keys/v/5?value=q", "value=body", FORM),
        raw("PUT", "/v2/keys/v/6?value=q", "", FORM), raw("PUT", "/v2/keys/v/7", "value=1&value=2", FORM),
        raw("PUT", "/v2/keys/v/8", "value=%ff%fe%e2%82x", FORM), get("/v/8"), raw("PUT", "/v2/keys/v/9", "value", FORM),
        raw("PUT", "/v2/keys/v/10", "=x&&value=a=b", FORM), raw("PUT", "/v2/keys/v/11?value=q", None, {}),
    ],
    "content types": [
        raw("PUT", "/v2/keys/ct/1", "value=1", {"Content-Type": "application/x-www-form-urlencoded; param=value"}),
        raw("PUT", "/v2/keys/ct/2", "value=1", {"Content-Type": "text/plain"}),
        raw("PUT", "/v2/keys/ct/3", "value=1", {"Content-Type": "Application/X-WWW-Form-URLencoded; charset=UTF-8"}),
        raw("PUT", "/v2/keys/ct/4", "value=1", {}),
        raw("PUT", "/v2/keys/ct/5", "value=1", {"Content-Type": "application/json"}),
        raw("PUT", "/v2/keys/ct/6", "value=1", {"Content-Type": "application/x-www-form-urlencoded;"}),
        raw("DELETE", "/v2/keys/ct/1", "prevValue=zzz", FORM), raw("GET", "/v2/keys/ct/2", "recursive=maybe", FORM),
    ],
    "forms that do not parse": [
        raw("PUT", "/v2/keys/f", "value=%zz", FORM), raw("PUT", "/v2/keys/f", "value=%a", FORM),
        raw("PUT", "/v2/keys/f", "value=a;b=c", FORM), raw("GET", "/v2/keys/f?recursive=%zz"),
        raw("GET", "/v2/keys/f?a=b;c=d"), raw("PUT", "/v2/keys/f?x=%", "value=1", FORM), raw("PUT", "/v2/keys/f", "%zz=1", FORM),
        raw("PUT", "/v2/keys/f", "value=%a%", FORM), raw("PUT", "/v2/keys/f", "value=1", {"Content-Type": ";;"}),
        raw("PUT", "/v2/keys/f", "value=1", {"Content-Type": "a/b/c"}),
    ],
    "wrong words": [raw("GET", "/v2/keys/f?" + q) for q in (
        "recursive=maybe", "sorted=maybe", "wait=maybe", "dir=maybe", "quorum=maybe", "stream=maybe",
        "noValueOnSuccess=maybe", "waitIndex=x", "prevIndex=x", "prevExist=x", "recursive=", "recursive",
        "waitIndex=", "refresh=x", "refresh=true", "prevValue=", "prevValue", "ttl=x", "recursive=maybe&prevIndex=x",
        "recursive=yes", "recursive=T", "recursive=true&recursive=maybe", "unknown=1")]
    + [raw("PUT", "/v2/keys/f", "wait=true&value=1", FORM), raw("DELETE", "/v2/keys/f?wait=true"), raw("HEAD", "/v2/keys/f?wait=true")],
    "quorum": [
        put("/g/1", value="a"), get("/g/1", quorum="true"), get("/g/1", quorum="false", sorted="true"),
        get("/g/1", consistent="true"), get("/g/1", consistent="maybe"), get("/g", quorum="1"), get("/g/none", quorum="true"),
        get("/g/1", stream="true"), get("/g/1", waitIndex="5"),
    ],
    "noValueOnSuccess": [
        put("/n", value="a", query="noValueOnSuccess=true"), put("/n", value="b", query="noValueOnSuccess=true"),
        put("/n", value="c", query="noValueOnSuccess=true&prevValue=b"), put("/n", value="c", query="noValueOnSuccess=1&prevExist=true"),
        put("/n2", value="c", query="noValueOnSuccess=t&prevExist=false"), delete("/n", noValueOnSuccess="true"),
        get("/n2", noValueOnSuccess="true"), post("/n3", value="1", noValueOnSuccess="true"),
    ],
    "paths": [
        raw("PUT", "/v2/keys/p/a%2Fb", "value=1", FORM), raw("GET", "/v2/keys/p/a/b"), raw("PUT", "/v2/keys/p/sp%20ce", "value=1", FORM),
        raw("PUT", "/v2/keys/p/%2500", "value=1", FORM), raw("PUT", "/v2/keys/p/%C3%A9", "value=1", FORM),
        raw("PUT", "/v2/keys/p/a+b", "value=1", FORM), raw("PUT", "/v2/keys/p/%3Cx%3E&y", "value=1", FORM),
        raw("PUT", "/v2/keys/p/q%3Fr%23s", "value=1", FORM), raw("PUT", "/v2/keys/p/%ff", "value=1", FORM),
        raw("GET", "/v2/keys/p?sorted=true"), raw("GET", "/v2/keys/p/%zz"), raw("GET", "/v2/keys/p/%"),
        raw("GET", "/v2/keys/P/a/b"), raw("PUT", "/v2/keys/p/Upper", "value=1", FORM), raw("PUT", "/v2/keys/p/upper", "value=2", FORM),
        raw("GET", "/v2/keys/p/Upper"), raw("PUT", "/v2/keys/p/tilde~!$'()*,:;=@", "value=1", FORM),
    ],
    "paths that are not clean": [
        raw("GET", "/v2/keys//a"), raw("GET", "/v2//keys/a"), raw("GET", "//v2/keys/a"), raw("GET", "/v2/keys/./a"),
        raw("GET", "/v2/keys/a/../b?recursive=true"), raw("GET", "/v2/keys/a/."), raw("GET", "/v2/keys/a/.."),
        raw("GET", "/v2/keys/a//"), raw("GET", "/v2/keys/a/%2e%2e/b"), raw("GET", "/v2/keys/a%2F%2Fb"),
        raw("PUT", "/v2/keys//a", "value=1", FORM), raw("DELETE", "/v2/keys//a"), raw("HEAD", "/v2/keys//a"),
        raw("POST", "/v2/keys//a", "value=1", FORM), raw("PUT", "/v2/keys//a", "value=1", {}),
        raw("GET", "/v2/keys//a%20b/%3c?x=<"), raw("GET", "/v2/keys/../../x"), raw("GET", "/v2/keys/.."), raw("GET", "/version/"),
        raw("GET", "/./version"), raw("PATCH", "/v2/keys//a"), raw("GET", "/v2/keys/a/...") , raw("GET", "/v2/keys//a%25b/%3f%23"),
    ],
    "head": [
        put("/h/1", value="a"), raw("HEAD", "/v2/keys/h/1"), raw("HEAD", "/v2/keys/h/none"), raw("HEAD", "/v2/keys/h"),
        raw("HEAD", "/version"), raw("HEAD", "/health"), raw("HEAD", "/nowhere"),
    ],
    "methods": [
        raw("PATCH", "/v2/keys/a"), raw("OPTIONS", "/v2/keys/a"), raw("OPTIONS", "/nowhere"), raw("TRACE", "/v2/keys/a"),
        raw("POST", "/version", "a=b", FORM), raw("PUT", "/version"), raw("DELETE", "/version"), raw("POST", "/health"),
        raw("PUT", "/health"), raw("FROB", "/v2/keys/a"), raw("get", "/v2/keys/a"),
    ],
    "other routes": [
        raw("GET", "/version"), raw("GET", "/version?x=y"), raw("GET", "/health"), raw("GET", "/v2/version"),
        raw("GET", "/nonexist"), raw("GET", "/"), raw("GET", "/v2"), raw("GET", "/v2/"), raw("GET", "/v2/keysx"),
        raw("GET", "/v2/nothing"), raw("GET", "/versionx"), raw("GET", "/v2/Keys/a"), raw("GET", "/v3"),
    ],
}

KEPT = re.compile("^(access-control-.*|allow|content-type|location|x-.*)$", re.I)


class Etcd:
    def __init__(self, binary):
        self.dir = tempfile.mkdtemp(prefix="etcd-capture-")
        ports = []
        sockets = [socket.socket() for _ in range(2)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
            ports.append(s.getsockname()[1])
        for s in sockets:
            s.close()
        client, peer = ("http://127.0.0.1:%d" % p for p in ports)
        self.port = ports[0]
        self.process = subprocess.Popen(
            [binary, "--enable-v2", "--name", "capture", "--data-dir", self.dir, "--listen-client-urls", client,
             "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
             "--initial-cluster", "capture=" + peer, "--heartbeat-interval", "20", "--election-timeout", "200"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.time() + 20
        while True:
            try:
                if self.request("GET", "/health")[0] == 200:
                    break
            except OSError:
                pass
            if time.time() > deadline:
                raise SystemExit("etcd does not start")
            time.sleep(0.02)
        while self.index() != self.index(wait=0.3):  # the member's own attributes are written just after the start
            pass

    def request(self, method, target, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        c.putrequest(method, target, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            c.putheader(name, value)
        data = body.encode("latin-1", "surrogateescape") if body is not None else None
        if data is not None:
            c.putheader("Content-Length", str(len(data)))
        c.endheaders(data)
        r = c.getresponse()
        answer = r.status, r.getheaders(), r.read()
        c.close()
        return answer

    def index(self, wait=0):
        time.sleep(wait)
        return int(dict(self.request("GET", "/v2/keys/")[1])["X-Etcd-Index"])

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)


def mark(text, base, version):
    def delta(n):
        return "{%+d}" % (int(n) - base)
    text = re.sub(r'("(?:modifiedIndex|createdIndex|index)":)(\d+)', lambda m: m[1] + (m[2] if m[2] == "0" else delta(m[2])), text)
    text = re.sub(r"\[(\d+) != (\d+)\]", lambda m: "[%s != %s]" % (delta(m[1]), delta(m[2])), text)
    text = re.sub(r"/(0{8,}\d+)", lambda m: "/{%+d:20}" % (int(m[1]) - base), text)
    text = re.sub(r'("expiration":")[^"]*', r"\1{time}", text)
    return text.replace(version, "{version}")


def fill(text, base):
    text = re.sub(r"\{\+(\d+):20\}", lambda m: "%020d" % (base + int(m[1])), text)
    return re.sub(r"\{\+(\d+)\}|%7B%2B(\d+)%7D", lambda m: str(base + int(m[1] or m[2])), text)


def play(etcd, steps, version):
    base, out = etcd.index(), []
    for step in steps:
        if isinstance(step, (int, float)):
            time.sleep(step)
            out.append({"wait": step})
            continue
        method, target, body, headers = step
        if body is not None:
            body = body.encode("utf-8", "surrogateescape").decode("latin-1")
        target = target.replace("%7B%2B", "{+").replace("%7D", "}")
        status, got, data = etcd.request(method, fill(target, base), None if body is None else fill(body, base), headers)
        kept = {}
        for name, value in got:
            name = name.lower()
            if not KEPT.match(name):
                continue
            if name == "x-etcd-index" and value != "0":
                value = "{%+d}" % (int(value) - base)
            kept[name] = {"x-etcd-cluster-id": "{cluster}", "x-raft-index": "{raft}", "x-raft-term": "{raft}"}.get(name, value)
        request = {"method": method, "target": target}
        if headers:
            request["headers"] = headers
        if body is not None:
            request["body"] = body
        out.append({"request": request,
                    "response": {"status": status, "headers": kept, "body": mark(data.decode("utf-8"), base, version)}})
    return out


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--etcd", default="/usr/bin/etcd")
    ap.add_argument("--output", default=os.path.join(here, "etcd_v2.json"))
    ap.add_argument("--only", default="*")
    a = ap.parse_args()
    version = re.search(r"etcd Version: (\S+)", subprocess.run([a.etcd, "--version"], capture_output=True, text=True).stdout)[1]
    cases = []
    for name, steps in CASES.items():
        if fnmatch.fnmatch(name, a.only):
            etcd = Etcd(a.etcd)
            try:
                cases.append({"name": name, "steps": play(etcd, steps, version)})
            finally:
                etcd.stop()
            print("%-40s %d steps" % (name, len(steps)), file=sys.stderr)
    with open(a.output, "w") as f:
        f.write('{"etcd": "%s", "cases": [\n' % version)
        for i, case in enumerate(cases):
            f.write('{"name": %s, "steps": [\n' % json.dumps(case["name"]))
            f.write(",\n".join(json.dumps(s, sort_keys=True) for s in case["steps"]))
            f.write("\n]}%s\n" % ("," if i + 1 < len(cases) else ""))
        f.write("]}\n")


if __name__ == "__main__":
    main()
