#!/usr/bin/env python3
"""Is the judge worth something? It must find nothing wrong in a made-up run where all is well, and each of the faults
that are planted in such a run, by the name of the invariant that they break.

Ends with `N passed, N failed`.
"""
import sys

import judge
from dnsname import Instance
from history import Event, History, Request

NODES, LEASE = [1, 2, 3], 4
TICK = 0.05
STEADY, CHURNER, MORTAL, RIVAL = range(4)
W = [Instance(index, "s").write for index in range(4)]
NONE = (3, frozenset())


class Made:
    """A made-up run of 60 s: three nodes, one owner of each manner, a cut, a pause, a kill and a wrong clock.

    What the nodes say is given by `says(node, key, time)`, which a planted fault overrides; requests and events by
    lists, to which it adds."""

    def __init__(self):
        self.events = [Event("link", 5, 10, detail="halves", isCut=True), Event("pause", 12, 21, node=2),
                       Event("kill", 22, 26, node=3), Event("clock", 14, 20, node=1, seconds=90)]
        self.requests = []
        self.delay = {}
        self.add_steady()
        self.add_churner()
        # The mortal falls silent at 10.6 s, so it is over at 14.6 s, while n2 is paused.
        self.put(MORTAL, 0, 1, 1.0)
        self.beats(MORTAL, 0, 1, 2.0, 10.6)
        self.put(MORTAL, 1, 1, 50.0)
        self.put(RIVAL, 0, 1, 1.0)
        self.put(RIVAL, 1, 2, 4.0)
        self.put(RIVAL, 2, 1, 27.0)

    def ask(self, key, count, what, node, at, status=200, length=0.01):
        self.requests.append(Request(key, W[key](count), what, node, at, at + length, status))

    def put(self, key, count, node, at):
        self.ask(key, count, "put", node, at, 201)

    def beats(self, key, count, node, first, last):
        at = first
        while at <= last:
            self.ask(key, count, "beat", node, at)
            at += 1.2

    def add_steady(self):
        self.put(STEADY, 0, 1, 1.0)
        self.beats(STEADY, 0, 1, 2.2, 59)

    def add_churner(self):
        self.put(CHURNER, 0, 1, 1.0)
        self.beats(CHURNER, 0, 1, 2.2, 28)
        self.ask(CHURNER, 0, "delete", 1, 28.0)
        self.put(CHURNER, 1, 2, 31.0)
        self.beats(CHURNER, 1, 2, 32.2, 59)

    def says(self, node, key, at):
        """(answer, TTL) of a node: None, or (code, writes)."""
        steps = {STEADY: [(1.0, 0)], CHURNER: [(1.0, 0), (28.0, None), (31.0, 1)],
                 MORTAL: [(1.0, 0), (14.2, None), (50.0, 1), (54.0, None)],
                 RIVAL: [(1.0, 0), (4.0, 1), (27.0, 2)]}[key]
        shown = None
        for start, count in steps:
            wrote = 2 if (key, count) in ((CHURNER, 1), (RIVAL, 1)) else 1
            if at >= start + (0 if node == wrote else 0.1):
                shown = count
        return (NONE if shown is None else (0, frozenset([W[key](shown)]))), LEASE // 2

    def latency(self, node, at):
        return 0.0005

    def answer(self, node, key, at):
        if any(e.kind in ("kill", "pause") and e.node == node and e.start <= at < e.end for e in self.events):
            return None, 0
        return self.says(node, key, at)

    def history(self):
        made = History(NODES, LEASE, 15, [Instance(key, "s").name for key in range(4)], 0, 38, 38, 60)
        made.keys, made.rivals, made.massed = list(range(4)), {RIVAL}, {MORTAL}
        made.events, made.requests = list(self.events), list(self.requests)
        for node in NODES:
            at = 0.0
            made.noise[node] = []
            while at < 60:
                made.noise[node].append((at, 0.0001))
                for key in range(4):
                    answer, ttl = self.answer(node, key, at)
                    latency = 0 if answer is None else self.latency(node, at)
                    made.record(node, key, at + latency, latency, answer, ttl)
                at += TICK
        made.finish()
        return made


def lies(node, key, start, end, answer, ttl=LEASE // 2):
    """A run in which one node gives another answer for a while."""
    class Lying(Made):
        def says(self, asked, name, at):
            if (node is None or asked == node) and name == key and start <= at < end:
                return answer, ttl
            return super().says(asked, name, at)
    return Lying()


def writes(key, count):
    return 0, frozenset([W[key](count)])


class Slow(Made):
    def latency(self, node, at):
        return 0.02 if node == 2 and 6 <= at < 8 else 0.0005


class Refusing(Made):
    """n1 refuses a heartbeat right after it took another."""
    def add_steady(self):
        super().add_steady()
        self.ask(STEADY, 0, "beat", 1, 33.7, status=410)


class Skewed(Made):
    """What is lost while a clock is wrong."""
    def says(self, node, key, at):
        return (NONE, 0) if key == STEADY and node == 1 and 16 <= at < 17 else super().says(node, key, at)


class MassKept(Made):
    """The mass falls silent for good, and one node keeps it."""
    def __init__(self):
        super().__init__()
        self.requests = [r for r in self.requests if r.key != MORTAL or r.start < 40]

    def says(self, node, key, at):
        if key == MORTAL and at >= 14.7:
            return (writes(MORTAL, 0) if node == 2 and at >= 21 else NONE), 2
        return super().says(node, key, at)


class Unfinished(Made):
    """A write without a reply that is carried out after the pause is nobody's fault."""
    def __init__(self):
        super().__init__()
        self.ask(STEADY, 1, "put", 2, 13.0, status=0, length=1.0)

    def says(self, node, key, at):
        return (writes(STEADY, 1), 2) if key == STEADY and at >= 21.5 else super().says(node, key, at)


class Doubting(Made):
    """A woken node may say that it does not know yet."""
    def says(self, node, key, at):
        return ((2, frozenset()), 0) if node == 2 and 21 <= at < 23 else super().says(node, key, at)


class Moved(Made):
    """A node without disk that was killed may begin without what it had."""
    def says(self, node, key, at):
        return (NONE, 0) if node == 3 and 26 <= at < 27 else super().says(node, key, at)


WELL = {"a run where all is well": Made, "a write without a reply": Unfinished, "a node that begins anew": Moved,
        "a woken node that does not know yet": Doubting}
PLANTED = [
    ("C1", "one node has another answer 12 s after the last fault", lambda: lies(2, RIVAL, 48, 52, writes(RIVAL, 1))),
    ("C1", "one node is silent 12 s after the last fault", lambda: lies(3, RIVAL, 48, 52, (2, frozenset()))),
    ("C2", "the node of the last heartbeat forgets for 200 ms", lambda: lies(1, STEADY, 7, 7.2, NONE)),
    ("C2", "a connected node forgets for 200 ms", lambda: lies(3, STEADY, 45, 45.2, NONE)),
    ("C2", "a heartbeat is refused", Refusing),
    ("C3", "an answer 5 s after the lease was over", lambda: lies(1, MORTAL, 54, 59.5, writes(MORTAL, 1))),
    ("C3", "a TTL beyond the lease", lambda: lies(1, MORTAL, 52, 53, writes(MORTAL, 1), ttl=60)),
    ("C4", "what was deregistered comes back once", lambda: lies(2, CHURNER, 29, 29.06, writes(CHURNER, 0))),
    ("C4", "the node that deregistered it still answers it", lambda: lies(1, CHURNER, 28, 28.3, writes(CHURNER, 0))),
    ("C4", "what was over comes back once", lambda: lies(1, MORTAL, 45, 45.06, writes(MORTAL, 0))),
    ("C5", "one node sees two writes the other way round", lambda: lies(3, RIVAL, 2, 3, writes(RIVAL, 1))),
    ("C6", "a registration is lost while a clock is wrong", Skewed),
    ("C7", "a woken node answers what is over, once", lambda: lies(2, MORTAL, 21, 21.06, writes(MORTAL, 0))),
    ("C8", "one node keeps what fell silent", MassKept),
    ("C9", "one node takes 20 ms for 2 s", Slow),
    ("C9", "one question stays without an answer", lambda: lies(3, STEADY, 8, 8.06, None)),
    ("C9", "one question is answered with SERVFAIL", lambda: lies(2, STEADY, 40, 40.06, (2, frozenset()))),
]


def main():
    passed = failed = 0

    def note(good, text):
        nonlocal passed, failed
        passed, failed = passed + good, failed + (not good)
        print(("ok   " if good else "FAIL ") + text)

    for what, make in WELL.items():
        blamed = [v for v in judge.judge(make().history()) if v.violations]
        note(not blamed, f"{what}: nothing is found"
             + "".join(f"; {v.name} {v.violations[0]}" for v in blamed))
    for name, what, make in PLANTED:
        found = {v.name for v in judge.judge(make().history()) if v.violations}
        note(name in found, f"planted: {what}: {name} is among {', '.join(sorted(found)) or 'nothing'}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
