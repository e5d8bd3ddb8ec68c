#!/usr/bin/env python3
"""A laboratory of N network namespaces on one machine, with faults per directed pair of nodes.

The kernel's emulation of networks (tc netem) is not needed: each node has a TAP device in a namespace of its own, and a
switch process forwards the frames between them, with blocks, loss, delay, jitter, duplication and reordering.

Nothing is left behind: the namespaces have no names, so they go with the processes in them, and every process of the
lab is ended by the kernel when the lab's own process is gone.

    with Lab(3) as lab:
        lab.put([(1, 2), (2, 1)], block=1)
        process = lab.popen(1, ["ping", lab.address(2)])
        lab.heal()

Needs the right to make namespaces and TAP devices: root, or a user namespace, and /dev/net/tun. See `obstacle`.
"""
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import socket
import stat
import struct
import subprocess
import time

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
TUN = "/dev/net/tun"
libc = ctypes.CDLL(None, use_errno=True)


def obstacle():
    """Why no lab can be made here; None when one can."""
    if os.geteuid() != 0:
        return "it needs root (or `unshare --user --map-root-user`)"
    if not os.path.exists(TUN):
        try:
            os.makedirs(os.path.dirname(TUN), exist_ok=True)
            os.mknod(TUN, 0o600 | stat.S_IFCHR, os.makedev(10, 200))
        except OSError as error:
            return f"there is no {TUN}: {error}"
    child = os.fork()
    if child == 0:
        code = 0
        try:
            enter_new_namespace()
            os.close(open_tap())
        except OSError as error:
            code = error.errno or 1
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return f"a network namespace with a TAP device: {os.strerror(code)}" if code else None


def enter_new_namespace():
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


def enter(namespace):
    """Moves this process into the namespace of an open descriptor."""
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def open_tap():
    """Makes lab0 in the namespace of this process; the descriptor works from any other."""
    tap = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"lab0", IFF_TAP | IFF_NO_PI))
    except OSError:
        os.close(tap)
        raise
    return tap


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def new_namespace():
    """A descriptor of a new namespace, which lives as long as the descriptor or a process in it."""
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            die_with_parent()
            os.close(done[1])
            enter_new_namespace()
            os.write(ready[1], b"1")
            os.read(done[0], 1)
        finally:
            os._exit(0)
    try:
        os.close(ready[1])
        if os.read(ready[0], 1) != b"1":
            raise OSError("no new namespace")
        return os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(done[1])
        os.waitpid(child, 0)
        os.close(ready[0])
        os.close(done[0])


class Switch:
    """Forwards frames between the TAP devices; runs in a process of its own until its control socket is closed."""

    def __init__(self, taps, seed, control):
        self.taps = taps
        self.node = {tap: number for number, tap in taps.items()}
        self.random = random.Random(seed)
        self.control = control
        self.faults = {}
        self.counts = {}
        self.queue = []
        self.serial = 0

    def push(self, source, target, frame, now):
        counts = self.counts.setdefault((source, target), [0, 0])
        fault = self.faults.get((source, target))
        if not fault:
            counts[0] += 1
            self.emit(target, frame)
            return
        if fault.get("block") or self.random.random() < fault.get("loss", 0):
            counts[1] += 1
            return
        counts[0] += 1
        for _ in range(2 if self.random.random() < fault.get("duplicate", 0) else 1):
            at = now + (fault.get("delay", 0) + self.random.uniform(-1, 1) * fault.get("jitter", 0)) / 1e3
            if self.random.random() < fault.get("reorder", 0):
                at += (fault.get("delay", 0) or 10) / 1e3 + .005
            if at <= now:
                self.emit(target, frame)
            else:
                self.serial += 1
                heapq.heappush(self.queue, (at, self.serial, target, frame))

    def emit(self, target, frame):
        try:
            os.write(self.taps[target], frame)
        except OSError:
            pass  # A full queue loses frames, as that of a real switch does.

    def run(self):
        numbers = {mac_octets(number): number for number in self.taps}
        poll = select.poll()
        for tap in self.node:
            poll.register(tap, select.POLLIN)
        poll.register(self.control, select.POLLIN)
        while True:
            wait = 1000 if not self.queue else max(0, (self.queue[0][0] - time.monotonic()) * 1e3)
            for descriptor, _ in poll.poll(wait):
                if descriptor == self.control.fileno():
                    if not self.obey():
                        return
                else:
                    self.drain(descriptor, numbers)
            now = time.monotonic()
            while self.queue and self.queue[0][0] <= now:
                _, _, target, frame = heapq.heappop(self.queue)
                self.emit(target, frame)

    def drain(self, tap, numbers):
        source = self.node[tap]
        for _ in range(64):
            try:
                frame = os.read(tap, 65535)
            except OSError:
                return
            now = time.monotonic()
            one = numbers.get(frame[:6])
            for target in [one] if one else list(self.taps):
                if target != source:
                    self.push(source, target, frame, now)

    def obey(self):
        """Takes one command: {"faults": [[a, b, {…}], …]}. False at the end."""
        message = self.control.recv(65536)
        if not message:
            return False
        self.faults = {(a, b): fault for a, b, fault in json.loads(message)["faults"] if fault}
        frames = {f"{a}>{b}": count for (a, b), count in sorted(self.counts.items())}
        self.control.send(json.dumps({"frames": frames}).encode())
        return True


def mac(number):
    return f"02:77:00:00:00:{number:02x}"


def mac_octets(number):
    return bytes.fromhex(mac(number).replace(":", ""))


class Lab:
    def __init__(self, count, seed=1):
        self.nodes = list(range(1, count + 1))
        self.processes = []
        self.namespaces = {}
        self.faults = {}
        self.seed = seed
        self.switch = None

    def __enter__(self):
        try:
            self.create()
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(self, *_):
        self.destroy()

    @staticmethod
    def address(number):
        return f"10.77.0.{number}"

    def create(self):
        taps = {}
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        for number in self.nodes:
            self.namespaces[number] = new_namespace()
            enter(self.namespaces[number])
            try:
                taps[number] = open_tap()
            finally:
                enter(own)
        os.close(own)
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.switch = os.fork()
        if self.switch == 0:
            try:
                die_with_parent()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                here.close()
                Switch(taps, self.seed, there).run()
            finally:
                os._exit(0)
        there.close()
        self.control = here
        self.control.settimeout(10)
        for tap in taps.values():
            os.close(tap)
        for number in self.nodes:
            self.configure(number)

    def configure(self, number):
        lines = ["link set lo up", f"link set lab0 address {mac(number)}",
                 f"addr add {self.address(number)}/24 dev lab0", "link set lab0 up"]
        # Fixed neighbours: an ARP request lost to a fault would blur the picture.
        lines += [f"neigh replace {self.address(other)} lladdr {mac(other)} nud permanent dev lab0"
                  for other in self.nodes if other != number]
        self.popen(number, ["ip", "-batch", "-"], stdin=subprocess.PIPE, text=True).communicate("\n".join(lines))
        if self.processes.pop().returncode != 0:
            raise OSError(f"node {number}: ip failed")

    # Faults, by directed pair.

    def set_faults(self, faults):
        """Sets all faults at once: by (source, target) what is done, {block, loss, delay, jitter, duplicate, reorder};
        delay and jitter are milliseconds, the others shares of one."""
        self.faults = {pair: dict(fault) for pair, fault in faults.items()}
        self.control.send(json.dumps({"faults": [[a, b, f] for (a, b), f in self.faults.items()]}).encode())
        return json.loads(self.control.recv(65536))["frames"]

    def put(self, pairs, **fault):
        return self.set_faults({**self.faults, **{pair: {**self.faults.get(pair, {}), **fault} for pair in pairs}})

    def heal(self):
        return self.set_faults({})

    # Processes in a node's namespace.

    def popen(self, number, command, **options):
        """Starts a program in a node; it ends when the lab's process does."""
        namespace = self.namespaces[number]

        def prepare():
            die_with_parent()
            enter(namespace)

        process = subprocess.Popen(command, preexec_fn=prepare, start_new_session=True, **options)
        self.processes.append(process)
        return process

    def destroy(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        for process in self.processes:
            process.wait()
        self.processes = []
        if self.switch:
            self.control.close()
            os.kill(self.switch, signal.SIGKILL)
            os.waitpid(self.switch, 0)
            self.switch = None
        for namespace in self.namespaces.values():
            os.close(namespace)
        self.namespaces = {}
