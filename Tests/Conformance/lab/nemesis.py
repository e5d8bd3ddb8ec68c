"""What goes wrong during a run, and when: a plan drawn from a seed, and its doing.

Two things go wrong side by side: the network, and one node at a time."""
import random

# Kinds of the network's faults, with what they do to a directed pair.
LOSS_10, LOSS_30 = {"loss": 0.1}, {"loss": 0.3}
SLOW = {"delay": 200, "jitter": 100}
TWICE = {"duplicate": 0.2}
MIXED = {"reorder": 0.2}
CUT = {"block": 1}
NETWORK = ["halves", "ring", "isolate", "oneway", "loss10", "loss30", "delay", "duplicate", "reorder"]
NODE = ["kill", "pause", "clock"]
CLOCK_STEPS = [-90, 90, -3600, 3600]


class Step:
    """One fault: `kind`, from `start` to `end` in seconds of the run, and `what` is hit."""

    def __init__(self, kind, start, end, **what):
        self.kind, self.start, self.end, self.what = kind, start, end, what

    def __str__(self):
        what = " ".join(f"{name}={value}" for name, value in self.what.items())
        return f"{self.start:6.1f} to {self.end:6.1f} s {self.kind} {what}"


def plan(seed, nodes, end, lease):
    """The steps of a run whose faults end at `end`, in the order of their starts."""
    chance = random.Random(f"plan {seed}")
    steps = network_steps(chance, nodes, end) + node_steps(chance, nodes, end, lease)
    return sorted(steps, key=lambda step: step.start)


def network_steps(chance, nodes, end):
    steps, at, bag = [], 3 + chance.uniform(0, 2), []
    while True:
        bag = bag or chance.sample(NETWORK, len(NETWORK))
        kind = bag.pop()
        length = chance.uniform(5, min(15, max(6, end / 5)))
        if at + length > end:
            # The last one lasts until writes stop: from then on everything must converge.
            if steps:
                steps[-1].end = end
            return steps
        steps.append(Step(kind, at, at + length, links=links(kind, chance, nodes)))
        # Now and then all is well for a while, so that what must hold in calm times is looked at as well.
        at += length + (chance.uniform(1, 3) if chance.random() < 0.75 or end < 120 else chance.uniform(15, 25))


def links(kind, chance, nodes):
    """The faults of a kind by directed pair: a list of (source, target, fault)."""
    order = chance.sample(nodes, len(nodes))
    pairs = [(a, b) for a in nodes for b in nodes if a != b]
    everywhere = {"loss10": LOSS_10, "loss30": LOSS_30, "delay": SLOW, "duplicate": TWICE, "reorder": MIXED}
    if kind in everywhere:
        return [(a, b, everywhere[kind]) for a, b in pairs]
    if kind == "oneway":
        # Nothing that one node says is heard by some of the others.
        deaf = order[1:1 + chance.randint(1, len(nodes) - 1)]
        return [(order[0], other, CUT) for other in deaf]
    if kind == "ring":
        # Each node sees its neighbours of a ring; with three nodes it is a line.
        size = len(order)
        near = {(order[i], order[(i + 1) % size]) for i in range(size if size > 3 else size - 1)}
        return [(a, b, CUT) for a, b in pairs if (a, b) not in near and (b, a) not in near]
    half = set(order[:1] if kind == "isolate" else order[:len(order) // 2])
    return [(a, b, CUT) for a, b in pairs if (a in half) != (b in half)]


def node_steps(chance, nodes, end, lease):
    steps, at, bag = [], 4 + chance.uniform(0, 2), []
    while True:
        bag = bag or chance.sample(NODE, len(NODE))
        kind, node = bag.pop(), chance.choice(nodes)
        length = {"kill": chance.uniform(1, 6), "pause": 2 * lease + 1, "clock": chance.uniform(6, 10)}[kind]
        if at + length > end:
            return steps
        what = {"seconds": chance.choice(CLOCK_STEPS)} if kind == "clock" else {}
        steps.append(Step(kind, at, at + length, node=node, **what))
        at += length + chance.uniform(2, 5)


def disks(seed, nodes):
    """The nodes that keep their registrations on a disk: some, never all."""
    chance = random.Random(f"disks {seed}")
    return sorted(chance.sample(nodes, chance.randint(1, len(nodes) - 1)))


def offsets(seed, nodes):
    """How far the clocks of nodes are off all the time, in seconds: one of them is, by less than what fences it."""
    chance = random.Random(f"offsets {seed}")
    wrong = chance.choice(nodes)
    return {node: (chance.choice([-3, 3]) if node == wrong else 0) for node in nodes}
