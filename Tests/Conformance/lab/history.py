"""What happened in a run, as the judge reads it: requests and their replies, faults, and what every node answered when.

All times are of one monotonic clock, in seconds."""
import array
import bisect
import math
from dataclasses import dataclass, field

# A request that had no reply may be carried out this much later; one that a node could not read while it was paused,
# after the pause and this.
LATE = 1.0
LATE_AFTER_PAUSE = 3.0
# Of two writes of a key, neither of which was known where the other was made, the one with the later clock stays. And
# clocks may differ by twice what fences a node, 5 s.
CLOCKS = 10.0


@dataclass
class Event:
    """A fault. `kind` is link, kill, pause or clock. A kill lasts until the node was ready again."""
    kind: str
    start: float
    end: float
    node: int = 0
    # kill: whether the node kept its registrations. clock: seconds off. link: what was done.
    keeps: bool = False
    seconds: float = 0
    detail: str = ""
    # link: whether some pairs could not talk at all.
    isCut: bool = False


@dataclass
class Request:
    key: int
    write: int
    what: str
    node: int
    start: float
    end: float
    status: int
    # The latest moment at which it can have been carried out; -inf when it was not.
    effect: float = -math.inf

    @property
    def isAcknowledged(self):
        return self.status in (200, 201)


@dataclass
class Life:
    """One write of one key and what its owner did for it."""
    key: int
    write: int
    first: float
    requests: list = field(default_factory=list)
    # When the next write or delete of the key was first tried.
    until: float = math.inf
    # From when on a request of unknown outcome may have replaced or removed it.
    doubtful: float = math.inf
    # When heartbeats that their owner meant for another write of the key renewed this one.
    strays: list = field(default_factory=list)

    @property
    def renewals(self):
        return [r for r in self.requests if r.what != "delete"]

    # Acknowledged by nodes that knew of this write: a heartbeat names the instance, not the write, so that a node that
    # has not heard of the latest one renews what it knows.
    confirmed: list = field(default_factory=list)

    @property
    def written(self):
        """The request that wrote it; None when no node said so."""
        return next((r for r in self.requests if r.what == "put" and r.isAcknowledged), None)

    @property
    def last(self):
        """The latest moment at which its lease can have been renewed."""
        return max([r.effect for r in self.renewals] + self.strays, default=-math.inf)

    @property
    def deleted(self):
        return next((r for r in self.requests if r.what == "delete" and r.status == 200), None)


class Series:
    """The answers of one node to one name, in the order of their times."""

    def __init__(self):
        self.at, self.sent = array.array("d"), array.array("d")
        self.answer, self.ttl = array.array("H"), array.array("L")

    def add(self, at, latency, answer, ttl):
        self.at.append(at)
        self.sent.append(at - latency)
        self.answer.append(answer)
        self.ttl.append(ttl)

    def sort(self):
        order = sorted(range(len(self.at)), key=self.at.__getitem__)
        for name in ("at", "sent", "answer", "ttl"):
            column = getattr(self, name)
            setattr(self, name, array.array(column.typecode, (column[i] for i in order)))

    def between(self, start, end):
        """The indices of answers to questions asked after `start` that came before `end`."""
        first, last = bisect.bisect_left(self.at, start), bisect.bisect_right(self.at, end)
        return (i for i in range(first, last) if self.sent[i] >= start)

    def before(self, moment):
        """The index of the last answer before a moment; -1 when there is none."""
        return bisect.bisect_right(self.at, moment) - 1


class History:
    def __init__(self, nodes, lease, detect, names, begin, quiet, healed, end):
        """`names` are the instances' names by key, then those of services; `detect` is how long it takes at most until
        a node that is gone is seen as gone. Writes stop at `quiet`, faults at `healed`."""
        self.nodes, self.lease, self.detect, self.names = nodes, lease, detect, names
        self.grace = max(10.0, lease / 2)
        self.begin, self.quiet, self.healed, self.end = begin, quiet, healed, end
        self.keys, self.rivals, self.massed = [], set(), set()
        self.events, self.requests = [], []
        self.series = {}
        self.answers = [None]
        self.known = {None: 0}
        self.noise = {}

    def record(self, node, name, at, latency, answer, ttl):
        """`answer` is (code, writes), or None when there was none."""
        if answer not in self.known:
            self.known[answer] = len(self.answers)
            self.answers.append(answer)
        self.series.setdefault((node, name), Series()).add(at, latency, self.known[answer], ttl)

    def finish(self):
        for series in self.series.values():
            series.sort()
        self.events.sort(key=lambda event: event.start)
        self.requests.sort(key=lambda request: request.start)
        for request in self.requests:
            request.effect = self.effect(request)
        self.disturbances = [event for event in self.events if event.kind != "clock"]
        self.boundaries = sorted({t for event in self.disturbances for t in (event.start, event.end)})
        self.downs = {node: [(e.start, e.end) for e in self.disturbances if e.kind != "link" and e.node == node]
                      for node in self.nodes}
        self.lives = [life for key in self.keys if key not in self.rivals for life in self.lives_of(key)]

    def effect(self, request):
        if request.status in (200, 201):
            return request.end
        if request.status != 0:
            return -math.inf
        latest = request.end + LATE
        for event in self.events:
            if event.kind == "pause" and event.node == request.node and overlap(event, request):
                latest = max(latest, event.end + LATE_AFTER_PAUSE)
        return latest

    def lives_of(self, key):
        """The writes of a key in the order of their numbers."""
        requests = [r for r in self.requests if r.key == key]
        lives = {}
        for request in requests:
            if request.write not in lives:
                lives[request.write] = Life(key, request.write, request.start)
            lives[request.write].requests.append(request)
        for life in lives.values():
            for request in requests:
                ends = request.what != "beat" and (request.write != life.write or request.what == "delete")
                if not ends:
                    continue
                if request.start >= life.first:
                    life.until = min(life.until, request.start)
                if request.status == 0 and request.effect > life.first:
                    life.doubtful = min(life.doubtful, max(life.first, request.start))
            if any(self.is_concurrent(earlier, life) for earlier in requests):
                life.doubtful = life.first
            life.confirmed = [r for r in life.renewals if r.isAcknowledged
                              and (r.what == "put" or self.showed(r.node, key, life.write, r.start - 1, r.end))]
            life.strays = [r.effect for r in requests if r.what == "beat" and r.write != life.write
                           and r.effect > -math.inf and self.showed(r.node, key, life.write, r.start - 1, r.effect)]
        return list(lives.values())

    def is_concurrent(self, earlier, life):
        """Whether a write or delete not long before was not known where a write was made."""
        written = life.written
        if written is None or earlier.what == "beat" or earlier.write == life.write or earlier.effect == -math.inf:
            return False
        if earlier.node == written.node or not life.first - CLOCKS < earlier.effect or earlier.start > written.start:
            return False
        if earlier.what == "put":
            return not self.showed(written.node, life.key, earlier.write, earlier.start, written.end)
        row = self.series.get((written.node, life.key))
        last = row.before(written.start) if row else -1
        shown = self.shows(written.node, life.key, last) if last >= 0 else None
        known = self.showed(written.node, life.key, earlier.write, earlier.start - 1, written.start)
        return not known or shown is None or earlier.write in shown

    def showed(self, node, key, write, start, end):
        """Whether a node answered a write at any time of a span."""
        row = self.series.get((node, key))
        return row is not None and any(
            write in (self.shows(node, key, index) or ()) for index in row.between(start, end))

    # Faults

    def is_down(self, node, start, end):
        """Whether a node was killed or paused at any time from `start` to `end`."""
        return any(first <= end and last >= start for first, last in self.downs[node])

    def next_down(self, node, moment):
        return min((start for start, _ in self.downs[node] if start >= moment), default=math.inf)

    def lives_through(self, node):
        """The spans of a node in which it forgot nothing."""
        spans, start = [], self.begin
        for event in self.disturbances:
            if event.kind == "kill" and not event.keeps and event.node == node:
                spans.append((start, event.start))
                start = event.end
        return spans + [(start, self.end)]

    def is_disturbed(self, moment):
        return any(event.start <= moment < event.end for event in self.disturbances)

    def last_boundary(self, moment):
        """When the faults last changed before a moment."""
        place = bisect.bisect_right(self.boundaries, moment) - 1
        return self.boundaries[place] if place >= 0 else self.begin

    def calm_spans(self):
        """The spans without any fault but of clocks."""
        spans, at = [], self.begin
        for event in self.disturbances:
            if event.start > at:
                spans.append((at, event.start))
            at = max(at, event.end)
        return spans + ([(at, self.end)] if at < self.end else [])

    def is_skewed(self, moment, after=60.0):
        """Whether a clock was wrong at a moment, or not long before."""
        return any(e.kind == "clock" and e.start <= moment <= e.end + after for e in self.events)

    def shows(self, node, key, index):
        """The writes in an answer to an instance's name; None when the node did not answer with success or NXDOMAIN."""
        answer = self.answers[self.series[node, key].answer[index]]
        return None if answer is None or answer[0] not in (0, 3) else answer[1]


def overlap(event, request):
    return event.start <= request.end and event.end >= request.start
