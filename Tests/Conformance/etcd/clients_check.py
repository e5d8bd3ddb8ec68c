#!/usr/bin/env python3
"""Real clients, unchanged, against a server that speaks etcd.

  clients_check.py HOST:PORT [--only GLOB] [--perf]

python-etcd (v2), etcd3 (v3) and etcdctl in both dialects ($ETCDCTL, default etcdctl). Ends with
`N passed, N failed`. --perf adds `etcdctl check perf`, which takes a minute.
"""
import argparse
import fnmatch
import json
import os
import subprocess
import sys
import threading
import time
import traceback

# The client's generated messages are older than today's protobuf.
os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
import etcd  # noqa: E402
import etcd3  # noqa: E402

CHECKS = []
PREFIX = "/clients-%d-%d" % (os.getpid(), int(time.time()))


def check(function):
    CHECKS.append(function)
    return function


def equal(actual, expected, what=""):
    assert actual == expected, "%s: %r, expected %r" % (what or "value", actual, expected)


class raises:
    """Expects an exception of this type."""

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        assert kind is not None, "no %s" % self.kind.__name__
        return issubclass(kind, self.kind)


class Context:
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.endpoint = "%s:%d" % (host, port)

    def v2(self, **options):
        return etcd.Client(host=self.host, port=self.port, read_timeout=10, **options)

    def v3(self):
        return etcd3.client(host=self.host, port=self.port, timeout=10)

    def ctl(self, *args, api="3", fails=False, stdin="", timeout=30):
        flag = "--endpoints=" + ("http://" if api == "2" else "") + self.endpoint
        command = [os.environ.get("ETCDCTL", "etcdctl"), flag, *args]
        done = subprocess.run(command, env={**os.environ, "ETCDCTL_API": api}, input=stdin, text=True,
                              capture_output=True, timeout=timeout)
        if not fails:
            assert done.returncode == 0, "%s: status %d: %s" % (args, done.returncode, done.stderr + done.stdout)
        else:
            assert done.returncode != 0, "%s: no error: %s" % (args, done.stdout)
        return done.stdout


def later(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


# python-etcd

@check
def v2_write_read_delete(c):
    client, key = c.v2(), PREFIX + "/a"
    written = client.write(key, "1")
    equal(written.action, "set")
    assert written.newKey
    read = client.read(key)
    equal((read.value, read.modifiedIndex), ("1", written.modifiedIndex))
    again = client.write(key, "2")
    assert not again.newKey
    equal(again._prev_node.value, "1")
    equal(client.delete(key).action, "delete")
    with raises(etcd.EtcdKeyNotFound):
        client.read(key)


@check
def v2_ttl_and_refresh(c):
    client, key = c.v2(), PREFIX + "/ttl"
    equal(client.write(key, "1", ttl=60).ttl, 60)
    client.refresh(key, ttl=120)
    read = client.read(key)
    equal(read.value, "1")
    assert 60 < read.ttl <= 120, read.ttl
    client.write(key, "1", ttl=1)
    deadline = time.time() + 10
    while time.time() < deadline:
        try:
            client.read(key)
        except etcd.EtcdKeyNotFound:
            return
        time.sleep(.1)
    raise AssertionError("the key is still there")


@check
def v2_test_and_set(c):
    client, key = c.v2(), PREFIX + "/cas"
    client.write(key, "1")
    equal(client.test_and_set(key, "2", "1").action, "compareAndSwap")
    with raises(etcd.EtcdCompareFailed):
        client.test_and_set(key, "3", "1")
    with raises(etcd.EtcdAlreadyExist):
        client.write(key, "3", prevExist=False)
    index = client.read(key).modifiedIndex
    client.write(key, "4", prevIndex=index)
    equal(client.get(key).value, "4")


@check
def v2_directories(c):
    client, key = c.v2(), PREFIX + "/dir"
    client.write(key, None, dir=True)
    for name in ("b", "a"):
        client.write("%s/%s" % (key, name), name)
    client.write(key, "appended", append=True)
    listing = client.read(key, recursive=True, sorted=True)
    assert listing.dir
    children = [child.value for child in listing.children]
    equal(sorted(children), ["a", "appended", "b"])
    with raises(etcd.EtcdNotFile):
        client.delete(key)
    with raises(etcd.EtcdDirNotEmpty):
        client.delete(key, dir=True)
    client.delete(key, recursive=True)
    assert key not in client


@check
def v2_watch(c):
    client, key = c.v2(), PREFIX + "/watch"
    first = client.write(key + "/x", "1")
    timer = later(.3, lambda: c.v2().write(key + "/y", "2"))
    seen = client.watch(key, recursive=True, timeout=10)
    timer.join()
    equal((seen.action, seen.key, seen.value), ("set", key + "/y", "2"))
    old = client.watch(key, recursive=True, index=first.modifiedIndex, timeout=10)
    equal((old.key, old.value), (key + "/x", "1"))


@check
def v2_eternal_watch(c):
    client, key = c.v2(), PREFIX + "/eternal"
    index = client.write(key, "0").modifiedIndex

    def write():
        for number in range(1, 4):
            c.v2().write(key, str(number))

    timer = later(.2, write)
    values = []
    for event in client.eternal_watch(key, index=index + 1):
        values.append(event.value)
        if len(values) == 3:
            break
    timer.join()
    equal(values, ["1", "2", "3"])


@check
def v2_cluster(c):
    client = c.v2()
    assert client.version.startswith("3.4."), client.version
    equal(len(client.machines), 1)
    assert client.machines[0].endswith(":%d" % c.port), client.machines
    assert client.leader["clientURLs"], client.leader
    assert client.members
    assert client.stats["id"]
    assert client.store_stats["setsSuccess"] >= 0
    # The client that wanders to the advertised member still works.
    c.v2(allow_reconnect=True).write(PREFIX + "/cluster", "1")


# etcd3

@check
def v3_put_get_delete(c):
    client, key = c.v3(), PREFIX + "/v3/a"
    client.put(key, "1")
    value, meta = client.get(key)
    equal((value, meta.version), (b"1", 1))
    client.put(key, b"\x00\xff")
    equal(client.get(key)[0], b"\x00\xff")
    assert client.delete(key)
    assert not client.delete(key)
    equal(client.get(key)[0], None)


@check
def v3_prefix_and_sort(c):
    client, key = c.v3(), PREFIX + "/v3/list/"
    for number in (3, 1, 2):
        client.put(key + str(number), str(number))
    equal([value for value, _ in client.get_prefix(key)], [b"1", b"2", b"3"])
    equal([value for value, _ in client.get_prefix(key, sort_order="descend", sort_target="create")],
          [b"2", b"1", b"3"])
    equal([meta.key.decode()[-1] for _, meta in client.get_range(key + "1", key + "3")], ["1", "2"])
    equal(client.delete_prefix(key).deleted, 3)


@check
def v3_transaction(c):
    client, key = c.v3(), PREFIX + "/v3/txn"
    client.put(key, "1")
    t = client.transactions
    succeeded, responses = client.transaction(
        compare=[t.value(key) == "1", t.version(key) > 0], success=[t.put(key, "2"), t.get(key)],
        failure=[t.delete(key)])
    assert succeeded
    equal(responses[1][0][0], b"2")
    succeeded, _ = client.transaction(compare=[t.create(key) == 0], success=[], failure=[t.put(key, "3")])
    assert not succeeded
    assert client.put_if_not_exists(key + "/new", "1")
    assert not client.put_if_not_exists(key + "/new", "2")
    assert client.replace(key, "3", "4")
    assert not client.replace(key, "3", "5")


@check
def v3_lease(c):
    client, key = c.v3(), PREFIX + "/v3/lease"
    lease = client.lease(60)
    client.put(key, "1", lease=lease)
    equal(client.get(key)[1].lease_id, lease.id)
    equal(lease.granted_ttl, 60)
    assert 0 < lease.remaining_ttl <= 60
    equal(lease.keys, [key.encode()])
    equal(next(iter(client.refresh_lease(lease.id))).TTL, 60)
    lease.revoke()
    equal(client.get(key)[0], None)
    short = client.lease(2)
    client.put(key, "1", lease=short)
    deadline = time.time() + 15
    while client.get(key)[0] is not None and time.time() < deadline:
        time.sleep(.1)
    equal(client.get(key)[0], None)


@check
def v3_watch(c):
    client, key = c.v3(), PREFIX + "/v3/watch/"
    events, cancel = client.watch_prefix(key, prev_kv=True)
    try:
        client.put(key + "a", "1")
        client.put(key + "a", "2")
        client.delete(key + "a")
        seen = [next(events) for _ in range(3)]
    finally:
        cancel()
    equal([type(event).__name__ for event in seen], ["PutEvent", "PutEvent", "DeleteEvent"])
    equal([event.value for event in seen], [b"1", b"2", b""])
    equal(seen[1].prev_value, b"1")
    past, cancel = client.watch_prefix(key, start_revision=seen[0].mod_revision)
    try:
        equal([next(past).value for _ in range(3)], [b"1", b"2", b""])
    finally:
        cancel()


@check
def v3_lock(c):
    client = c.v3()
    with client.lock(PREFIX + "-lock", ttl=10) as lock:
        assert lock.is_acquired()
        assert not c.v3().lock(PREFIX + "-lock", ttl=10).acquire(timeout=1)
    assert not lock.is_acquired()


@check
def v3_status_and_members(c):
    client = c.v3()
    status = client.status()
    assert status.version.startswith("3.4."), status.version
    equal(len(list(client.members)), 1)
    equal(list(client.list_alarms()), [])


# v2 and v3 see one store only in regdns; real etcd holds them apart.

# etcdctl

@check
def ctl3_keys(c):
    key = PREFIX + "/ctl3"
    equal(c.ctl("put", key + "/a", "1"), "OK\n")
    equal(c.ctl("get", key + "/a"), key + "/a\n1\n")
    equal(c.ctl("get", "--prefix", "--keys-only", key).split(), [key + "/a"])
    equal(c.ctl("txn", stdin='mod("%s/a") > "0"\n\nput %s/b 2\n\nput %s/c 3\n\n' % (key, key, key)),
          "SUCCESS\n\nOK\n")
    equal(c.ctl("del", "--prefix", key), "2\n")


@check
def ctl3_lease(c):
    key = PREFIX + "/ctl3-lease"
    lease = c.ctl("lease", "grant", "30").split()[1]
    c.ctl("put", "--lease=" + lease, key, "1")
    assert "remaining" in c.ctl("lease", "timetolive", lease)
    assert lease in c.ctl("lease", "list")
    assert "keepalived" in c.ctl("lease", "keep-alive", "--once", lease)
    c.ctl("lease", "revoke", lease)
    equal(c.ctl("get", key), "")


@check
def ctl3_watch(c):
    key = PREFIX + "/ctl3-watch"
    watch = subprocess.Popen(
        [os.environ.get("ETCDCTL", "etcdctl"), "--endpoints=" + c.endpoint, "watch", "--prefix", key],
        env={**os.environ, "ETCDCTL_API": "3"}, text=True, stdout=subprocess.PIPE)
    try:
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(watch.stdout.readline().strip() for _ in range(5)))
        reader.start()
        deadline = time.time() + 15
        # The watch begins at some moment: put until it has seen one.
        while not lines and time.time() < deadline:
            c.ctl("put", key + "/x", "1")
        c.ctl("del", key + "/x")
        reader.join(15)
        equal(lines[:3], ["PUT", key + "/x", "1"])
    finally:
        watch.kill()
        watch.wait()


@check
def ctl3_cluster(c):
    health = json.loads(c.ctl("endpoint", "health", "-w", "json"))
    equal([one["health"] for one in health], [True])
    status = json.loads(c.ctl("endpoint", "status", "-w", "json"))
    equal(status[0]["Endpoint"], c.endpoint)
    equal(len(json.loads(c.ctl("member", "list", "-w", "json"))["members"]), 1)
    equal(c.ctl("alarm", "list"), "")
    assert c.ctl("endpoint", "status", "--cluster")


@check
def ctl2_keys(c):
    key = PREFIX + "/ctl2"
    equal(c.ctl("set", key + "/a", "1", api="2"), "1\n")
    equal(c.ctl("get", key + "/a", api="2"), "1\n")
    c.ctl("mk", key + "/a", "2", api="2", fails=True)
    equal(c.ctl("mk", key + "/b", "2", api="2"), "2\n")
    equal(c.ctl("update", key + "/a", "3", api="2"), "3\n")
    equal(c.ctl("ls", "--sort", key, api="2").split(), [key + "/a", key + "/b"])
    c.ctl("set", key + "/a", "4", "--swap-with-value", "3", api="2")
    c.ctl("mkdir", key + "/d", api="2")
    c.ctl("rmdir", key + "/d", api="2")
    c.ctl("rm", "--recursive", key, api="2")
    c.ctl("get", key + "/a", api="2", fails=True)


@check
def ctl2_cluster(c):
    assert "cluster is healthy" in c.ctl("cluster-health", api="2")
    assert "clientURLs=" in c.ctl("member", "list", api="2")


def perf(c):
    """`check perf` judges the machine as well; that it runs to its end and writes is what counts."""
    command = [os.environ.get("ETCDCTL", "etcdctl"), "--endpoints=" + c.endpoint, "check", "perf"]
    done = subprocess.run(command, env={**os.environ, "ETCDCTL_API": "3"}, text=True, capture_output=True, timeout=150)
    words = done.stdout + done.stderr
    assert "Throughput is" in words and "Slowest request took" in words, words
    assert "PASS: Throughput" in words, words


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--only", default="*")
    parser.add_argument("--perf", action="store_true")
    options = parser.parse_args()
    host, port = options.server.rsplit(":", 1)
    context = Context(host, int(port))
    passed = failed = 0
    for function in CHECKS + ([perf] if options.perf else []):
        if not fnmatch.fnmatch(function.__name__, options.only):
            continue
        try:
            function(context)
        except Exception as error:  # noqa: BLE001
            failed += 1
            place = traceback.extract_tb(error.__traceback__)
            line = next((frame.lineno for frame in reversed(place) if frame.filename == __file__), 0)
            print("FAIL %s (line %d): %s: %s" % (function.__name__, line, type(error).__name__, error))
        else:
            passed += 1
            print("ok   " + function.__name__)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
