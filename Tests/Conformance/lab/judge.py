"""Judges a run after it is over: the invariants C1 to C9, each with its figures and the evidence against it.

The bounds are those of the design (ARCHITECTURE.md, Replication's and RegistryStore's documentation):
  converged       10 s after the last fault all nodes answer alike (C1), for 3 to 7 nodes
  ends            a lease that nobody renews is over 2 s late at most while all is well: 1 s at its home, and the time
                  of a change elsewhere; after a fault 1 s after everything has converged, and a whole lease more when a
                  node was killed or paused, since a home that is back counts anew; while a fault lasts, its home's
                  steward sees the home go (`detect`), gives the whole lease and a grace of 10 s or half the lease,
                  whichever is more (C3)
  TTL             never above what is left of the lease; half the lease where another node counts it (C3)
  alive           answers within 5 ms at the 99th percentile, and every question is answered (C9)

A write that nobody acknowledged is no registration, but may be one: whatever it can have done is nobody's fault.
"""
import math
from dataclasses import dataclass, field

CONVERGED = 10.0
# How long a change takes to all nodes while all is well.
SPREAD = 2.0
END_AT_HOME, END_ELSEWHERE = 1.0, 2.0
# Leases are counted in milliseconds, and a request's time is known to the length of the request only.
SLACK = 0.25
# How long it takes at most until a heartbeat at another node renews a lease: three repeats, then it becomes the home.
FORWARDED = 2.5
ALIVE = 0.005
# Seconds of the run in which the recorder was never woken later than this are quiet enough to judge times of answers.
CALM_MACHINE = 0.002
# A node that was killed or paused has this long until all its answers count, and one that was paused this long to hear
# from another what has ended; until then it answers SERVFAIL.
SETTLING, DOUBT = 0.5, 3.5
EVIDENCE = 8


@dataclass
class Verdict:
    name: str
    title: str
    figures: str = ""
    checked: int = 0
    # (time, node, text)
    violations: list = field(default_factory=list)

    def against(self, moment, node, text):
        self.violations.append((moment, node, text))


def judge(history):
    """The verdicts on C1 to C9, in order."""
    verdicts = [converged(history), kept(history), ended(history), stayed_away(history), last_writer(history)]
    verdicts.append(skewed(history, verdicts))
    for verdict in verdicts:
        if not verdict.checked:
            verdict.against(history.begin, 0, "there was nothing to look at")
    return verdicts + [paused(history), mass_stop(history), alive(history)]


def describe(writes):
    return "nothing" if not writes else "write " + ", ".join(str(write) for write in sorted(writes))


# C1

def converged(history):
    """From the last fault on, when writes have stopped, all nodes come to give equal answers to every name."""
    verdict = Verdict("C1", "convergence")
    changes = late_changes(history)
    latest, step = 0.0, 0.25
    for name in range(len(history.names)):
        rows = [history.series[node, name] for node in history.nodes]
        moment = history.healed + step
        while moment < history.end - step:
            verdict.checked += 1
            seen = {row.answer[row.before(moment)] if row.before(moment) >= 0 else 0 for row in rows}
            # What runs out or is registered anew meanwhile has the time that any change has.
            excused = any(c <= moment <= c + SPREAD for c in changes.get(name, []) + changes.get(None, []))
            if (len(seen) > 1 or 0 in seen) and not excused:
                latest = max(latest, moment - history.healed)
                if moment - history.healed > CONVERGED:
                    shown = [history.answers[row.answer[row.before(moment)]] for row in rows]
                    verdict.against(moment, 0, f"{history.names[name]}: "
                                    + "; ".join(f"n{n} {show(a)}" for n, a in zip(history.nodes, shown)))
            moment += step
    verdict.figures = f"all nodes alike {latest:.1f} s after the last fault (bound {CONVERGED:.0f} s)"
    return verdict


def show(answer):
    if answer is None:
        return "no answer"
    return describe(answer[1]) if answer[0] in (0, 3) else f"RCODE {answer[0]}"


def late_changes(history):
    """When names may change after the last fault, by name; None: names of services, which change with any instance."""
    changes = {None: []}
    for key in history.keys:
        for request in history.requests:
            if request.key == key and request.what != "beat" and request.effect > history.healed - SPREAD:
                changes.setdefault(key, []).append(request.start)
                if request.end > request.start + 0.5:
                    changes[key].append(request.end)
    for life in history.lives:
        if life.until == math.inf and life.last + history.lease < history.end:
            # Whoever counts it ends it some time before the bound of C3.
            for node in history.nodes:
                gone = gone_at(history, node, life)
                if gone is not None:
                    changes.setdefault(life.key, []).extend([gone - SPREAD / 2])
    services = [c for key in list(changes) if key is not None for c in changes[key]]
    for name in range(len(history.keys), len(history.names)):
        changes[name] = services
    return changes


def gone_at(history, node, life):
    """When a node first answered without a write after the last fault; None when it never did."""
    row, shown = history.series[node, life.key], False
    for index in row.between(history.healed, history.end):
        writes = history.shows(node, life.key, index)
        if writes is None:
            continue
        if life.write in writes:
            shown = True
        elif shown:
            return row.at[index]
    return None


# C2

def kept(history):
    """Who was acknowledged and goes on sending heartbeats is answered by the node that took the last one, and by all
    while all is well."""
    verdict = Verdict("C2", "no lost registration")
    claims = 0
    for life in history.lives:
        spans = list(claimed_spans(history, life))
        claims += len(spans)
        for node, start, end in spans:
            require(history, verdict, life, node, start, end, "the node that took its last heartbeat")
        for start, end in settled_claims(history, life):
            for node in history.nodes:
                require(history, verdict, life, node, start, end, "a connected node")
        for request, since in refused_beats(life, spans):
            verdict.against(request.start, request.node, f"{history.names[life.key]}: heartbeat refused with 410 "
                            f"{request.start - since:.2f} s after the same node had acknowledged one")
    verdict.figures = f"{claims} acknowledged requests, {verdict.checked} answers looked at"
    return verdict


def require(history, verdict, life, node, start, end, who):
    row = history.series[node, life.key]
    for index in row.between(start, end):
        writes = history.shows(node, life.key, index)
        if writes is None:
            continue  # Silence and errors are C9's matter.
        verdict.checked += 1
        if writes != {life.write}:
            verdict.against(row.at[index], node, f"{history.names[life.key]}: {who} must answer write {life.write}, "
                            f"it answers {describe(writes)}")


def claimed_spans(history, life):
    """(node, start, end) in which a node must answer a write: from each acknowledgement for the rest of the lease."""
    before, settled = None, -math.inf
    for request in life.confirmed:
        end = min(request.start + history.lease - SLACK, life.until, life.doubtful,
                  history.next_down(request.node, request.start))
        gap = request.start - before.start if before else 0
        # A heartbeat at a node that does not count the lease renews it only after some time, and it may have run out
        # until then. Who counts it cannot be seen from outside. One that is acknowledged later shows that it has not.
        if gap + FORWARDED > history.lease:
            settled = request.start + FORWARDED
        if request.start >= settled and not history.is_down(request.node, request.start, request.end):
            yield request.node, request.end, end
        before = request


def settled_claims(history, life):
    """The spans in which all nodes must answer a write: it is renewed in time, and all has been well for a while."""
    done = life.confirmed
    if life.written is None:
        return
    for start, end in history.calm_spans():
        start += CONVERGED if start > history.begin else CONVERGED / 2
        before = None
        for request, following in zip(done, done[1:] + [None]):
            # A heartbeat just in time, perhaps for a lease that has run out elsewhere, needs the time of a change.
            isNews = request.what == "put" or request.start - before.start > history.lease - FORWARDED
            before = request
            begin = max(start, request.end + (SPREAD if isNews else 0))
            stop = min(end, request.start + history.lease - SLACK - FORWARDED, life.until, life.doubtful,
                       following.start if following else math.inf)
            if begin < stop:
                yield begin, stop


def refused_beats(life, spans):
    """Heartbeats refused while their node must have answered the write."""
    for request in life.renewals:
        for node, start, end in spans:
            if request.status == 410 and request.node == node and start <= request.start and request.end <= end:
                yield request, start


# C3

def ended(history):
    """Nobody answers an instance long after its lease is over, nor with a TTL beyond its lease."""
    verdict = Verdict("C3", "expiry")
    latest, ends = 0.0, 0
    for life in history.lives:
        if not life.requests:
            continue
        over = life.last + history.lease
        for node in history.nodes:
            row = history.series[node, life.key]
            seen = False
            for index in row.between(life.first, history.end):
                writes = history.shows(node, life.key, index)
                if writes is None or life.write not in writes:
                    continue
                check_ttl(history, verdict, life, node, row, index)
                if row.at[index] <= over or life.deleted:
                    continue
                seen = True
                verdict.checked += 1
                limit = end_bound(history, life, over, row.at[index])
                if limit == over + END_ELSEWHERE:
                    latest = max(latest, row.at[index] - over)
                if row.at[index] > limit:
                    verdict.against(row.at[index], node, f"{history.names[life.key]}: write {life.write} is answered "
                                    f"{row.at[index] - over:.2f} s after its lease was over, "
                                    f"bound {limit - over:.2f} s")
            ends += seen or over < history.end
    verdict.figures = (f"{ends} ends at nodes, at most {latest:.2f} s late while all was well "
                       f"(bound {END_ELSEWHERE:.0f} s)")
    return verdict


def end_bound(history, life, over, moment):
    """Until when a write whose lease was over at `over` may be answered, as seen at a later moment."""
    change = history.last_boundary(moment)
    if not history.is_disturbed(moment) and change <= over - CONVERGED:
        return over + END_ELSEWHERE
    start = max(over, change)
    if history.is_disturbed(moment):
        return start + history.detect + history.lease + history.grace + END_ELSEWHERE
    anew = any(e.kind in ("kill", "pause") and e.end >= life.first and e.start <= moment for e in history.disturbances)
    return start + CONVERGED + END_AT_HOME + (history.lease + END_AT_HOME if anew else 0)


def check_ttl(history, verdict, life, node, row, index):
    ttl = row.ttl[index]
    if ttl <= math.ceil(history.lease / 2):
        return
    verdict.checked += 1
    at = row.at[index]
    renewed = max((min(r.effect, at) for r in life.renewals if r.start <= at and r.effect > -math.inf), default=at)
    left = math.ceil(renewed + history.lease - row.sent[index]) if not counted_anew(history, renewed, at) else (
        math.ceil(history.lease))
    if ttl > left + 1:
        verdict.against(at, node, f"{history.names[life.key]}: write {life.write} is answered with a TTL of {ttl} s, "
                        f"{left} s of its lease are left")


def counted_anew(history, renewed, moment):
    """Whether a fault since a renewal can have made somebody count a lease from its beginning."""
    return any(e.start <= moment and e.end >= renewed - CONVERGED for e in history.disturbances)


# C4

def stayed_away(history):
    """What was deregistered, or is over and gone, does not come back unless it is registered anew."""
    verdict = Verdict("C4", "no resurrection")
    deletes = 0
    for life in history.lives:
        over = life.last + history.lease
        request = life.deleted
        deletes += request is not None
        for node in history.nodes:
            for start, end in history.lives_through(node):
                check_returns(history, verdict, life, node, start, end, over)
            if request and request.node == node:
                stop = min(end for start, end in history.lives_through(node) + [(0, math.inf)] if end > request.end)
                check_absent(history, verdict, life, node, request.end, stop, "the node that took its deregistration")
        if request and not is_delete_lost(history, request):
            for start, end in history.calm_spans():
                begin = max(start + CONVERGED, request.end + SPREAD)
                for node in history.nodes:
                    check_absent(history, verdict, life, node, begin, end, "a connected node")
    verdict.figures = f"{deletes} deregistrations, {verdict.checked} answers looked at"
    return verdict


def check_returns(history, verdict, life, node, start, end, over):
    """Gone for good: after the deregistration was acknowledged, or after the lease was over. Who never had a write may
    get it late, from one who has not heard of its end either."""
    had, gone = False, None
    since = min(over, life.deleted.end if life.deleted else math.inf)
    row = history.series[node, life.key]
    for index in row.between(max(start, life.first), end):
        writes = history.shows(node, life.key, index)
        if writes is None:
            continue
        verdict.checked += 1
        if life.write not in writes:
            gone = gone or (row.at[index] if had and row.sent[index] >= since else None)
        elif not gone:
            had = True
        else:
            what = "deregistered" if life.deleted else "over"
            verdict.against(row.at[index], node, f"{history.names[life.key]}: write {life.write} is {what} since "
                            f"{since - history.begin:.2f} s, was gone at {gone - history.begin:.2f} s, and is back")
            return


def check_absent(history, verdict, life, node, start, end, who):
    row = history.series[node, life.key]
    for index in row.between(start, end):
        writes = history.shows(node, life.key, index)
        if writes is None:
            continue
        verdict.checked += 1
        if life.write in writes:
            verdict.against(row.at[index], node, f"{history.names[life.key]}: {who} answers write {life.write}, "
                            "which was deregistered")
            return


def is_delete_lost(history, request):
    """Whether a deregistration can have died with the memory of the node that took it, before others heard of it."""
    for event in history.disturbances:
        if event.kind == "kill" and not event.keeps and event.node == request.node and event.start >= request.end:
            heard = any(min(end, event.start) - max(start, request.end) >= SPREAD
                        for start, end in history.calm_spans())
            return not heard
    return False


# C5

def last_writer(history):
    """All nodes see the writes of a key in one order, and in the end the same one."""
    verdict = Verdict("C5", "last writer")
    for key in history.keys:
        after = {}
        for node in history.nodes:
            for start, end in history.lives_through(node):
                for at, first, second in successions(history, node, key, start, end):
                    verdict.checked += 1
                    after.setdefault(first, {}).setdefault(second, (at, node))
        circle = find_circle(after)
        if circle:
            at, node = max(after[a][b] for a, b in zip(circle, circle[1:] + circle[:1]))
            verdict.against(at, node, f"{history.names[key]}: nodes disagree on the order of writes: "
                            + " before ".join(str(w) for w in circle + circle[:1]) + ": "
                            + ", ".join(f"n{after[a][b][1]} at {after[a][b][0] - history.begin:.2f} s"
                                        for a, b in zip(circle, circle[1:] + circle[:1])))
    verdict.figures = f"{verdict.checked} successions of writes, {len(history.rivals)} keys with two writers"
    return verdict


def successions(history, node, key, start, end):
    """(time, write, next write) as a node showed them."""
    row, last = history.series[node, key], None
    for index in row.between(start, end):
        writes = history.shows(node, key, index)
        if not writes:
            continue
        for write in writes:
            if last is not None and write != last:
                yield row.at[index], last, write
            last = write


def find_circle(after):
    """A circle in a graph given by successors, as a list of its nodes; None when there is none."""
    state, path = {}, []

    def visit(write):
        state[write] = 1
        path.append(write)
        for following in after.get(write, {}):
            if state.get(following) == 1:
                return path[path.index(following):]
            if following not in state:
                found = visit(following)
                if found:
                    return found
        state[write] = 2
        path.pop()
        return None

    for write in sorted(after):
        if write not in state:
            found = visit(write)
            if found:
                return found
    return None


# C6

def skewed(history, verdicts):
    """C1 to C5 hold with a clock that is wrong or has been set."""
    verdict = Verdict("C6", "wrong clocks")
    clocks = [event for event in history.events if event.kind == "clock"]
    verdict.checked = len(clocks)
    for other in verdicts:
        for moment, node, text in other.violations:
            if history.is_skewed(moment):
                verdict.against(moment, node, f"{other.name}: {text}")
    far = max((abs(event.seconds) for event in clocks), default=0)
    refused = sum(request.status == 503 for request in history.requests)
    verdict.figures = f"{len(clocks)} clocks wrong by up to {far:.0f} s, {refused} requests answered with 503"
    return verdict


# C7

def paused(history):
    """What was over, and had been ended by the others, before a node was woken, is not answered by it, not even once.

    A node that is cut off when it is woken cannot know what the others have ended."""
    verdict = Verdict("C7", "pause")
    pauses = [e for e in history.events if e.kind == "pause" and e.end - e.start >= 2 * history.lease
              and not is_cut_off(history, e.node, e.end)]
    tempting = 0
    for event in pauses:
        for life in history.lives:
            over = life.last + history.lease
            row = history.series[event.node, life.key]
            known = row.before(event.start)
            shown = history.shows(event.node, life.key, known) if known >= 0 else None
            if over >= event.end or not shown or life.write not in shown or is_shown_elsewhere(history, life, event):
                continue
            tempting += 1
            # An answer to a question asked before counts by when it was given.
            for index in range(row.before(event.end) + 1, len(row.at)):
                writes = history.shows(event.node, life.key, index)
                verdict.checked += 1
                if writes and life.write in writes:
                    verdict.against(row.at[index], event.node, f"{history.names[life.key]}: write {life.write} was "
                                    f"over {event.end - over:.2f} s before the node went on, and is answered")
                    break
    verdict.figures = f"{len(pauses)} pauses of two leases, {tempting} instances had ended before a node went on"
    return verdict


def is_cut_off(history, node, moment):
    """Whether some nodes could not talk to each other soon after a moment, or all others were down."""
    end = moment + DOUBT
    return any(e.isCut and e.start <= end and e.end >= moment for e in history.events) or all(
        history.is_down(other, moment, end) for other in history.nodes if other != node)


def is_shown_elsewhere(history, life, event):
    """Whether another node still answered a write just before one was woken: the steward of a home that is gone counts
    anew, so that the lease has not ended."""
    for node in history.nodes:
        row = history.series[node, life.key]
        last = row.before(event.end - 0.2)
        writes = history.shows(node, life.key, last) if last >= 0 else None
        if node != event.node and writes and life.write in writes:
            return True
    return False


# C8

def mass_stop(history):
    """Many that fall silent at once are over like any other: keeping them is a choice, off by default."""
    verdict = Verdict("C8", "mass stop is no reason to keep leases")
    for life in history.lives:
        if life.key not in history.massed or life.until < math.inf:
            continue
        for node in history.nodes:
            row = history.series[node, life.key]
            last = row.before(history.end)
            writes = history.shows(node, life.key, last) if last >= 0 else None
            verdict.checked += 1
            if end_bound(history, life, life.last + history.lease, history.end) < history.end:
                if writes and life.write in writes:
                    verdict.against(row.at[last], node, f"{history.names[life.key]}: still answered at the end")
    verdict.figures = f"{len(history.massed)} instances fell silent at once"
    return verdict


# C9

def alive(history):
    """Every node answers every question about its own data, and quickly, whatever becomes of the network."""
    verdict = Verdict("C9", "DNS alive")
    figures = []
    for node in history.nodes:
        calm = calm_seconds(history, node)
        times, quiet = [], []
        for name in range(len(history.names)):
            row = history.series[node, name]
            for index, at in enumerate(row.at):
                answer = history.answers[row.answer[index]]
                # What was asked just before a node went down has no answer either.
                if is_excused(history, node, row.sent[index], at if answer else at + 1):
                    continue
                verdict.checked += 1
                if answer is None or answer[0] not in (0, 3):
                    if answer and answer[0] == 2 and was_woken(history, node, at):
                        continue
                    verdict.against(at, node, f"{history.names[name]}: {show(answer)}")
                    continue
                times.append(at - row.sent[index])
                if int(at) in calm:
                    quiet.append(at - row.sent[index])
        late = percentile([late for _, late in history.noise.get(node, [])], 0.99)
        # On a machine that is hardly ever quiet, two waits for a processor are allowed for, as the recorder met them:
        # its own between looking at the clock and sending, and the server's.
        enough = len(quiet) >= 500
        measured, bound = percentile(quiet if enough else times, 0.99), ALIVE + (0 if enough else 2 * late)
        figures.append(f"n{node} {measured * 1e3:.2f} ms" + ("" if enough else f" of {bound * 1e3:.1f}")
                       + f" (all {percentile(times, 0.99) * 1e3:.2f}, quiet {len(quiet) / max(1, len(times)):.0%})")
        if not times:
            verdict.against(history.begin, node, "it never answered")
        elif measured > bound:
            verdict.against(history.end, node, f"99 of 100 answers came within {measured * 1e3:.2f} ms, "
                            f"bound {bound * 1e3:.2f} ms")
    starts = [event.end - event.start for event in history.events if event.kind == "kill"]
    verdict.figures = "99 % within: " + ", ".join(figures)
    if starts:
        verdict.figures += f"; killed nodes were ready again {max(starts):.1f} s after the kill at most"
    return verdict


def calm_seconds(history, node):
    worst = {}
    for at, late in history.noise.get(node, []):
        worst[int(at)] = max(worst.get(int(at), 0), late)
    return {second for second, late in worst.items() if late <= CALM_MACHINE}


def is_excused(history, node, sent, at):
    return any(start <= at and end >= sent - SETTLING for start, end in history.downs[node])


def was_woken(history, node, moment):
    return any(e.kind == "pause" and e.node == node and e.end <= moment <= e.end + DOUBT for e in history.events)


def percentile(values, share):
    if not values:
        return 0.0
    values = sorted(values)
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def report(history, verdicts):
    """Prints the verdicts; gives how many passed and failed."""
    failed = 0
    for verdict in verdicts:
        failed += bool(verdict.violations)
        print(f"{'FAIL' if verdict.violations else 'ok  '} {verdict.name} {verdict.title}: {verdict.figures}")
        for moment, node, text in sorted(verdict.violations)[:EVIDENCE]:
            print(f"     at {moment - history.begin:7.2f} s {f'n{node}' if node else 'all'}: {text}")
        if len(verdict.violations) > EVIDENCE:
            print(f"     and {len(verdict.violations) - EVIDENCE} more")
    return len(verdicts) - failed, failed
