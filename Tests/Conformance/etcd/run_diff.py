#!/usr/bin/env python3
"""Black-box differential runner: plays the same ordered script against two etcd-speaking
servers and compares what came back, with the volatile parts taken out.

  run_diff.py --ref 127.0.0.1:2379 --target 127.0.0.1:12379 [--cases DIR] [--only GLOB]
              [--level core|full] [--skip NAME,...] [-v]

Needs python3 + grpcio + protobuf (PyPI) and protoc for the v3 steps; the v2 and gateway
steps use the standard library only. etcdctl steps need etcdctl on PATH (or $ETCDCTL).

A step is one of
  {"http": "PUT", "path": "/v2/keys{K}/a", "query": {}, "form": {}, "json": {}, "bg": "w1"}
  {"join": "w1"}                        waits for a background http step
  {"rpc": "KV/Put", "req": {...}}       unary call; bytes fields are written as text
  {"watch": "w1", "req": {...}}         opens a watch stream, waits for 'created'
  {"events": "w1", "n": 2, "within": 3} takes n events from it
  {"unwatch": "w1"}                     cancels on the stream, waits for 'canceled'
  {"keepalive": ["$L"]}                 one LeaseKeepAlive stream, one answer per id
  {"etcdctl": ["put", ...], "api": 3, "stdin": ""}
  {"raw": "/pkg.Service/Method"}        empty unary call: the status code or the answer's hex
  {"sleep": 1.5}
"save": {"L": "ID"} stores a response field; "$L", "$L+1", "$rev+2" use it; {K} is the case's own
key prefix. "times": n plays an http step n times, the last answer counts. "drop": ["path", ...] leaves response fields out of the comparison.
"""
import argparse, fnmatch, glob, json, os, queue, random, re, subprocess, sys, tempfile, threading, time
import http.client, urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "..", "..", "..", "Sources", "EtcdMessages")
POOL = {}


def load_pb():
    if POOL:
        return
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    with tempfile.NamedTemporaryFile(suffix=".desc") as f:
        subprocess.run(["protoc", "-I", PROTO, "--descriptor_set_out=" + f.name, "etcd.proto"], check=True)
        fs = descriptor_pb2.FileDescriptorSet.FromString(open(f.name, "rb").read())
    pool = descriptor_pool.DescriptorPool()
    for x in fs.file:
        pool.Add(x)
    POOL.update(grpc=grpc, pool=pool, mf=message_factory)


def cls(name):
    return POOL["mf"].GetMessageClass(POOL["pool"].FindMessageTypeByName("etcdserverpb." + name))


def build(desc, d):
    """dict -> message; text becomes bytes where the field is bytes."""
    m = POOL["mf"].GetMessageClass(desc)()
    for k, v in d.items():
        f = desc.fields_by_name[k]
        def one(x):
            if f.type == f.TYPE_MESSAGE:
                return build(f.message_type, x)
            if f.type == f.TYPE_BYTES:
                return x.encode("utf-8", "surrogateescape").replace(b"\\0", b"\0").replace(b"\\xff", b"\xff")
            if f.type == f.TYPE_ENUM and isinstance(x, str):
                return f.enum_type.values_by_name[x].number
            return x
        if f.is_repeated if hasattr(f, "is_repeated") else f.label == f.LABEL_REPEATED:
            getattr(m, k).extend([one(x) for x in v])
        elif f.type == f.TYPE_MESSAGE:
            getattr(m, k).CopyFrom(one(v))
        else:
            setattr(m, k, one(v))
    return m


def plain(m):
    o = {}
    for f, v in m.ListFields():
        def one(x):
            if f.type == f.TYPE_MESSAGE:
                return plain(x)
            if f.type == f.TYPE_BYTES:
                return x.decode("utf-8", "backslashreplace")
            if f.type == f.TYPE_ENUM:
                return f.enum_type.values_by_number[x].name
            return x
        rep = f.is_repeated if hasattr(f, "is_repeated") else f.label == f.LABEL_REPEATED
        o[f.name] = [one(x) for x in v] if rep else one(v)
    return o


REV = {"revision", "create_revision", "mod_revision", "compact_revision", "modifiedIndex", "createdIndex", "index"}
TTL = {"ttl", "TTL", "grantedTTL"}


class Side:
    def __init__(self, ep, key):
        self.ep, self.key = ep, key
        self.host, self.port = ep.rsplit(":", 1)
        self.vars, self.names, self.bg, self.watches = {}, {}, {}, {}
        self.base2 = self.base3 = 0
        self.chan = None

    # -- transport
    def http(self, method, path, body=None, headers=None, timeout=15):
        c = http.client.HTTPConnection(self.host, int(self.port), timeout=timeout)
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        b = r.read()
        c.close()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, b

    def stub(self, meth):
        load_pb()
        if self.chan is None:
            self.chan = POOL["grpc"].insecure_channel(self.ep)
        svc, m = meth.split("/")
        sd = POOL["pool"].FindServiceByName("etcdserverpb." + svc)
        md = sd.methods_by_name[m]
        return "/etcdserverpb." + meth, POOL["mf"].GetMessageClass(md.input_type), POOL["mf"].GetMessageClass(md.output_type), md

    def unary(self, meth, req):
        path, qi, ro, md = self.stub(meth)
        call = self.chan.unary_unary(path, request_serializer=qi.SerializeToString, response_deserializer=ro.FromString)
        return call(build(md.input_type, req), timeout=10)

    # -- substitution
    def sub(self, x):
        if isinstance(x, dict):
            return {k: self.sub(v) for k, v in x.items()}
        if isinstance(x, list):
            return [self.sub(v) for v in x]
        if isinstance(x, str):
            x = x.replace("{K}", self.key).replace("{KN}", self.key[:-1] + chr(ord(self.key[-1]) + 1))
            m = re.fullmatch(r"\$(\w+)([+-]\d+)?", x)
            if m:
                v = self.base3 if m[1] == "rev" else self.base2 if m[1] == "index" else self.vars[m[1]]
                return int(v) + int(m[2]) if m[2] else v
            return re.sub(r"\$\{(\w+)(:x)?\}", lambda m: ("%x" % self.vars[m[1]]) if m[2] else str(self.vars[m[1]]), x)
        return x

    # -- normalisation
    def norm(self, x, base, k=None):
        if isinstance(x, dict):
            o = {}
            for kk, v in x.items():
                if kk in ("cluster_id", "member_id", "raft_term"):
                    continue
                if kk == "expiration":
                    o[kk] = "<when>" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", v) else "bad:" + v
                else:
                    o[kk] = self.norm(v, base, kk)
            return o
        if isinstance(x, list):
            return [self.norm(v, base, k) for v in x]
        if k in REV and re.fullmatch(r"-?\d+", str(x)):
            n = int(x)
            r = n if n == 0 else n - base
            return ("s%+d" if isinstance(x, str) else "%+d") % r if n else x
        if k in TTL and re.fullmatch(r"-?\d+", str(x)) and int(x) > 0:
            return {"~ttl": int(x), "text": isinstance(x, str)}
        if k in ("ID", "lease", "id"):
            for name, v in self.names.items():
                if str(v) == str(x):
                    return "<%s>" % name
            return x if str(x) in ("0",) else "<id>"
        if isinstance(x, str):
            x = x.replace(self.key, "{K}")
            for name, v in self.names.items():
                if isinstance(v, int) and v > 1000:
                    x = re.sub(r"\b0*%x\b" % v, "<%s>" % name, x).replace(str(v), "<%s>" % name)
            x = re.sub(r"/0{8,}(\d+)", lambda m: "/<n%+d>" % (int(m[1]) - base), x)
            x = x.replace(self.ep, "{EP}")
            x = re.sub(r"\[(\d+) != (\d+)\]", lambda m: "[%+d != %+d]" % (int(m[1]) - base, int(m[2]) - base) if base else m[0], x)
        return x

    def start(self):
        try:
            _, h, _ = self.http("GET", "/v2/keys/__none__")
            self.base2 = int(h.get("x-etcd-index", 0))
        except Exception:
            self.base2 = 0

    def start3(self):
        load_pb()
        self.base3 = self.unary("KV/Range", {"key": "__none__"}).header.revision

    # -- steps
    def http_step(self, st):
        path = self.sub(st["path"])
        q = {k: str(v) for k, v in self.sub(st.get("query", {})).items()}
        if q:
            path += "?" + urllib.parse.urlencode(q)
        body, hd = None, dict(st.get("headers", {}))
        if "form" in st:
            body = urllib.parse.urlencode({k: str(v) for k, v in self.sub(st["form"]).items()})
            hd.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if "json" in st:
            import base64
            def enc(x, k=None):
                if isinstance(x, dict):
                    return {a: enc(b, a) for a, b in x.items()}
                if isinstance(x, list):
                    return [enc(v, k) for v in x]
                if k in ("key", "value", "range_end") and isinstance(x, str):
                    return base64.b64encode(x.encode()).decode()
                return x
            body = json.dumps(enc(self.sub(st["json"])))
            hd.setdefault("Content-Type", "application/json")
        if "raw" in st:
            body = st["raw"]
        code, h, b = self.http(st["http"], path, body, hd, st.get("timeout", 15))
        v3 = path.startswith("/v3")
        base = self.base3 if v3 else self.base2
        out = {"status": code}
        if path.startswith("/v2/keys"):
            xi = h.get("x-etcd-index")
            out["x-etcd-index"] = None if xi is None else "0" if xi == "0" else "%+d" % (int(xi) - base)
        out["type"] = h.get("content-type", "").split(";")[0]
        try:
            js = json.loads(b) if b else None
        except ValueError:
            js = b.decode("utf-8", "replace").strip()
        if v3 and isinstance(js, dict):
            import base64
            def dec(x, k=None):
                if isinstance(x, dict):
                    return {a: dec(c, a) for a, c in x.items()}
                if isinstance(x, list):
                    return [dec(v, k) for v in x]
                if k in ("key", "value", "range_end", "keys") and isinstance(x, str):
                    return base64.b64decode(x).decode("utf-8", "replace")
                return x
            js = dec(js)
        for n, p in st.get("save", {}).items():
            v = js
            for part in p.split("."):
                v = v[int(part)] if part.isdigit() else v[part]
            self.vars[n] = int(v)
            if "ID" in p:
                self.names[n] = int(v)
        out["body"] = self.norm(js, base)
        if isinstance(out["body"], dict) and isinstance(out["body"].get("node"), dict) and st.get("query", {}).get("sorted") != "true":
            def srt(n):  # unsorted listings have no promised order
                if "nodes" in n:
                    n["nodes"] = sorted((srt(c) for c in n["nodes"]), key=lambda c: c.get("key", ""))
                return n
            srt(out["body"]["node"])
        return out

    def do(self, st):
        if "sleep" in st:
            time.sleep(st["sleep"])
            return None
        if "times" in st:
            for _ in range(st["times"] - 1):
                self.http_step({k: v for k, v in st.items() if k != "times"})
        if "http" in st:
            if "bg" in st:
                q = queue.Queue()
                t = threading.Thread(target=lambda: q.put(self.guard(lambda: self.http_step(st))), daemon=True)
                t.start()
                time.sleep(0.25)
                self.bg[st["bg"]] = q
                return None
            return self.http_step(st)
        if "join" in st:
            try:
                return self.bg[st["join"]].get(timeout=st.get("within", 8))
            except queue.Empty:
                return "no answer"
        if "raw" in st and "http" not in st:
            load_pb()
            if self.chan is None:
                self.chan = POOL["grpc"].insecure_channel(self.ep)
            try:
                return self.chan.unary_unary(st["raw"])(b"", timeout=5).hex()
            except POOL["grpc"].RpcError as e:
                return {"code": e.code().name}
        if "rpc" in st:
            grpc = (load_pb(), POOL["grpc"])[1]
            try:
                m = self.unary(st["rpc"], self.sub(st["req"]))
            except grpc.RpcError as e:
                return {"code": e.code().name, "message": self.norm(e.details(), self.base3)}
            d = plain(m)
            for n, f in st.get("save", {}).items():
                v = d
                for part in f.split("."):
                    v = v[int(part)] if part.isdigit() else v[part]
                self.vars[n] = v
                if f == "ID":
                    self.names[n] = v
            return self.norm(d, self.base3)
        if "keepalive" in st:
            path, qi, ro, md = self.stub("Lease/LeaseKeepAlive")
            ids = [self.sub(i) for i in st["keepalive"]]
            hold = threading.Event()
            def gen():
                for i in ids:
                    yield build(md.input_type, {"ID": i})
                hold.wait(5)
            call = self.chan.stream_stream(path, request_serializer=qi.SerializeToString, response_deserializer=ro.FromString)(gen(), timeout=10)
            out = []
            try:
                for r in call:
                    out.append(self.norm(plain(r), self.base3))
                    if len(out) == len(ids):
                        break
            except POOL["grpc"].RpcError as e:
                out.append({"code": e.code().name, "message": e.details()})
            hold.set()
            call.cancel()
            return out
        if "watch" in st:
            path, qi, ro, md = self.stub("Watch/Watch")
            w = {"in": queue.Queue(), "out": queue.Queue(), "evs": []}
            def gen():
                while True:
                    x = w["in"].get()
                    if x is None:
                        return
                    yield x
            w["call"] = self.chan.stream_stream(path, request_serializer=qi.SerializeToString, response_deserializer=ro.FromString)(gen(), timeout=60)
            def pump():
                try:
                    for r in w["call"]:
                        w["out"].put(plain(r))
                except Exception as e:
                    w["out"].put({"stream_end": e.code().name if hasattr(e, "code") else str(e)})
            threading.Thread(target=pump, daemon=True).start()
            w["in"].put(build(md.input_type, {"create_request": self.sub(st["req"])}))
            self.watches[st["watch"]] = w
            first = w["out"].get(timeout=5)
            first.pop("header", None)
            return self.norm(first, self.base3)
        if "events" in st:
            w, end, flags = self.watches[st["events"]], time.time() + st.get("within", 4), []
            while len(w["evs"]) < st["n"] and time.time() < end:
                try:
                    r = w["out"].get(timeout=max(0.05, end - time.time()))
                except queue.Empty:
                    break
                r.pop("header", None)
                w["evs"] += r.pop("events", [])
                r.pop("watch_id", None)
                if r:
                    flags.append(r)
                    if r.get("canceled") or "stream_end" in r:
                        break
            got, w["evs"] = w["evs"][: st["n"]], w["evs"][st["n"]:]
            return self.norm({"events": got, "flags": flags}, self.base3)
        if "unwatch" in st:
            w = self.watches[st["unwatch"]]
            _, _, _, md = self.stub("Watch/Watch")
            w["in"].put(build(md.input_type, {"cancel_request": {"watch_id": st.get("id", 0)}}))
            end = time.time() + 3
            while time.time() < end:
                try:
                    r = w["out"].get(timeout=max(0.05, end - time.time()))
                except queue.Empty:
                    break
                if r.get("canceled"):
                    r.pop("header", None)
                    return self.norm(r, self.base3)
            return "no cancel answer"
        if "progress" in st:
            w = self.watches[st["progress"]]
            _, _, _, md = self.stub("Watch/Watch")
            w["in"].put(build(md.input_type, {"progress_request": {}}))
            try:
                r = w["out"].get(timeout=3)
            except queue.Empty:
                return "no progress answer"
            return self.norm({"revision": r["header"]["revision"], "watch_id": r.get("watch_id", 0), "events": r.get("events", [])}, self.base3)
        if "etcdctl" in st:
            api = str(st.get("api", 3))
            ep = self.ep if api == "3" else "http://" + self.ep
            args = [str(self.sub(a)) for a in st["etcdctl"]]
            r = subprocess.run([os.environ.get("ETCDCTL", "etcdctl"), "--endpoints", ep] + args, input=self.sub(st.get("stdin", "")),
                               capture_output=True, text=True, timeout=20, env=dict(os.environ, ETCDCTL_API=api))
            if "save_hex" in st:
                m = re.search(r"lease ([0-9a-f]{8,}) ", r.stdout)
                if m:
                    self.vars[st["save_hex"]] = self.names[st["save_hex"]] = int(m[1], 16)
            err = [l for l in r.stderr.splitlines() if l.startswith("Error")]
            out = {"rc": r.returncode, "out": self.norm(r.stdout.strip(), self.base3), "err": self.norm("\n".join(err), self.base3)}
            if api == "2":
                out["err"] = re.sub(r"\[\d+\]", "[n]", out["err"])
            out["out"] = re.sub(r"remaining\(\d+s\)", "remaining(~)", re.sub(r"took = \S+", "took", out["out"]))
            return out
        raise ValueError("unknown step %r" % st)

    def guard(self, f):
        try:
            return f()
        except Exception as e:
            return {"runner-error": type(e).__name__ + ": " + str(e)[:200]}

    def play(self, case):
        if any("path" in s and s["path"].startswith("/v2") or s.get("api") == 2 for s in case["steps"]):
            self.guard(self.start)
        if any(k in s for s in case["steps"] for k in ("rpc", "watch", "keepalive")) or any(s.get("path", "").startswith("/v3") or ("etcdctl" in s and s.get("api", 3) == 3) for s in case["steps"]):
            e = self.guard(self.start3)
            if e:
                return [e]
        out = []
        for st in case["steps"]:
            r = self.guard(lambda: self.do(st))
            for p in st.get("drop", []):
                d, parts = r, p.split(".")
                for x in parts[:-1]:
                    d = d.get(x, {}) if isinstance(d, dict) else {}
                if isinstance(d, dict):
                    d.pop(parts[-1], None)
            out.append(r)
        self.clean()
        return out

    def clean(self):
        for w in self.watches.values():
            w["in"].put(None)
            w["call"].cancel()
        self.guard(lambda: self.http("DELETE", "/v2/keys" + self.key + "?recursive=true"))
        if POOL and self.chan:
            for v in list(self.names.values()):
                self.guard(lambda: self.unary("Lease/LeaseRevoke", {"ID": v}))
            self.guard(lambda: self.unary("KV/DeleteRange", {"key": self.key, "range_end": self.key[:-1] + chr(ord(self.key[-1]) + 1)}))
            self.chan.close()


def same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        if "~ttl" in a and "~ttl" in b:
            return abs(a["~ttl"] - b["~ttl"]) <= 1 and a["text"] == b["text"]
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return a == b


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--ref", required=True)
    ap.add_argument("--target", required=True)
    ap.add_argument("--cases", default=os.path.join(HERE, "cases"))
    ap.add_argument("--only", default="*")
    ap.add_argument("--skip", default="", help="names of cases, with commas")
    ap.add_argument("--level", default="full", choices=["core", "full"])
    ap.set_defaults(heldout="all")
    ap.add_argument("-v", action="store_true")
    a = ap.parse_args()
    cases = []
    for f in sorted(glob.glob(os.path.join(a.cases, "*.json"))):
        cases += json.load(open(f))
    ok = bad = 0
    run = "%06x" % random.getrandbits(24)
    for c in cases:
        if not fnmatch.fnmatch(c["name"], a.only) or (a.level == "core" and c.get("level", "core") != "core"):
            continue
        if c["name"] in a.skip.split(","):
            continue
        if a.heldout == "skip" and c.get("heldout") or a.heldout == "only" and not c.get("heldout"):
            continue
        key = "/skydns/rd/%s/%s" % (run, c["name"])
        sides = [Side(a.ref, key), Side(a.target, key)]
        res = [None, None]
        ts = [threading.Thread(target=lambda i=i: res.__setitem__(i, sides[i].play(c))) for i in (0, 1)]
        [t.start() for t in ts]
        [t.join() for t in ts]
        diff = [(i, x, y) for i, (x, y) in enumerate(zip(*res)) if not same(x, y) or isinstance(x, dict) and "runner-error" in x]
        if len(res[0]) != len(res[1]) or diff:
            bad += 1
            print("FAIL", c["name"])
            for i, x, y in diff[:3]:
                print("   step", i, json.dumps({k: v for k, v in c["steps"][i].items()})[:220])
                print("     ref   ", json.dumps(x)[:700])
                print("     target", json.dumps(y)[:700])
        else:
            ok += 1
            if a.v:
                print("ok  ", c["name"])
                for s, x in zip(c["steps"], res[0]):
                    print("      ", json.dumps(s)[:110], "->", json.dumps(x)[:400])
    print("%d passed, %d failed" % (ok, bad))
    return 1 if bad or not ok else 0


if __name__ == "__main__":
    sys.exit(main())
