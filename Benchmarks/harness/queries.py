"""CPU time per answered query, beside knot and nsd that serve the same names from a zone file."""
import contextlib
import random
import re
import time

from . import data, wire
from .context import Context
from .load import Renewer
from .process import BenchError, Server
from .report import Spread

PEERS = ("knot", "nsd")
# The load tool never waits; with less of its CPU than this, others had it, and the server waited for questions instead
# of being saturated. Such a burst is repeated, three times at most, and not for ever on a machine that is always busy.
SHARE_OF_CPU = 0.9
REPEATS = 3
REPEATS_IN_ALL = 30


def names(context: Context) -> None:
    """Section `names`: registrations with leases that are being renewed; A and SRV with 5 % missing names."""
    sizes = [1000, 2000] if context.quick else [1000, 100_000]
    for count, lease in zip(sizes, (context.leases["small"], context.leases["large"])):
        instances = data.spread(count)
        questions = data.mix(instances, 10_000 if context.quick else max(50_000, 4 * count),
                             context.file(f"mix-{count}"))
        variants = {kind: (questions, options) for kind, options in
                    (("plain", ()), ("EDNS 1232", ("-e", 1232)))}
        if context.rate:
            variants[f"EDNS 1232 at {context.rate:g}/s"] = (questions, ("-e", 1232, "-r", context.rate))
        zone = data.zone_of(instances, context.file(f"names-{count}.zone"))
        compare = [(i.name, rrtype) for i in random.Random(3).sample(instances, 100) for rrtype in ("A", "SRV")]
        compare += [(data.missing(instances, random.Random(k)), "A") for k in range(50)]
        run(context, f"{count:,} names", instances, lease, zone, variants, compare, same_additionals=True)


def service(context: Context) -> None:
    """Section `service`: one service of 1,000 instances, asked for at its name."""
    count = 100 if context.quick else 1000
    instances = data.single_service(count)
    name = f"{instances[0].service}.{data.DOMAIN}"
    zone = data.zone_of_service(instances, context.file(f"service-{count}.zone"))
    variants = {}
    for rrtype in ("A", "SRV"):
        questions = data.write(context.file(f"service-{count}-{rrtype}"), [f"{name} {rrtype} 0 {count}\n"])
        variants[f"{rrtype}, UDP, EDNS 1232 (truncated)"] = (questions, ("-e", 1232, "-T"))
        # Few at a time: each answer is tens of kilobytes.
        variants[f"{rrtype}, TCP, whole"] = (questions, ("-t", "-c", 4, "-w", 16))
    compare = [(name, rrtype) for rrtype in ("A", "SRV")]
    run(context, f"one service of {count:,}", instances, context.leases["small"], zone, variants, compare,
        same_additionals=False)


def run(context, title, instances, lease, zone, variants, compare, same_additionals) -> None:
    """Starts the three servers with the same data and measures all variants in interleaved rounds."""
    with contextlib.ExitStack() as stack:
        context.say(f"{title}: starting knot and nsd, registering over HTTP with a lease of {lease} s")
        servers = {"regdns": stack.enter_context(context.starter.regdns()),
                   "knot": stack.enter_context(context.starter.knot(data.DOMAIN, zone)),
                   "nsd": stack.enter_context(context.starter.nsd(data.DOMAIN, zone))}
        for server in servers.values():
            server.wait_until_it_answers(data.DOMAIN)
        slug = re.sub(r"\W+", "-", title)
        begun = time.monotonic()
        loaded = context.tools.http(servers["regdns"], data.write(
            context.file(f"{slug}-register"), (i.registration(lease) for i in instances)))
        context.say(f"{title}: {len(instances) / loaded['seconds']:,.0f} registrations a second")
        # Three renewals in the time of each lease.
        rate = 3 * len(instances) / lease
        heartbeats = data.write(context.file(f"{slug}-renew"), (i.heartbeat for i in instances))
        age = time.monotonic() - begun
        renewer = stack.enter_context(Renewer(context.tools, servers["regdns"], heartbeats, rate))
        renewer.resume()
        notes = check_equality(context, servers, compare, same_additionals)
        bursts = measure(context, title, servers, renewer, variants)
        renewed = renewer.stop(lease, age)
        context.report.line("renewals", title=title, lease=lease, rate=rate, **renewed)
        write_tables(context, title, variants, bursts)
        notes.append(
            f"regdns: {len(instances):,} registrations over HTTP, lease {lease} s, {rate:,.0f} heartbeats a second, "
            f"{renewed['sent']:,} sent, none failed, none later than {renewed['longest_gap_seconds'] + age:.0f} s; "
            "their CPU time is in regdns's figures.")
        context.report.paragraph("\n".join(f"- {note}" for note in notes))


def check_equality(context: Context, servers: dict[str, Server], compare, same_additionals: bool) -> list[str]:
    """Compares the answers of regdns with those of the peers, octet by octet, before anything is measured."""
    # Truncated answers hold what each server chose: the whole sets are compared over TCP.
    tcp = not same_additionals
    ours = {question: servers["regdns"].ask(*question, tcp=tcp) for question in compare}
    notes = []
    for peer in PEERS:
        differing = {}
        for question, answer in ours.items():
            parts = wire.differences(answer, servers[peer].ask(*question, tcp=tcp))
            if parts:
                differing[question] = parts
        essential = {"rcode", "answers", "authoritative"} | ({"additionals"} if same_additionals else set())
        wrong = {q: parts for q, parts in differing.items() if peer == "knot" and essential & set(parts)}
        if wrong:
            question, parts = next(iter(wrong.items()))
            raise BenchError(
                f"{len(wrong)} of {len(compare)} answers differ from knot's, first {question} in {', '.join(parts)}: "
                f"{ours[question]} against {servers[peer].ask(*question, tcp=tcp)}")
        parts = sorted({part for each in differing.values() for part in each})
        notes.append(f"{len(compare)} sampled answers compared with {peer}'s (order, TTL and SOA numbers aside): "
                     + (f"{len(differing)} differ, in {', '.join(parts)}" if differing else "equal") + ".")
        context.report.line("equality", peer=peer, compared=len(compare), differing=len(differing), parts=parts)
    return notes


def measure(context: Context, title: str, servers, renewer: Renewer, variants) -> dict:
    """bursts[variant][server] = one result per round."""
    bursts = {variant: {kind: [] for kind in servers} for variant in variants}
    context.repeats_left = REPEATS_IN_ALL
    context.say(f"{title}: every server answers every question once, unmeasured")
    for variant, (questions, options) in variants.items():
        for server in servers.values():
            total = sum(1 for _ in open(questions))
            if "-r" not in options:
                context.tools.dns_each_once(server, questions, total, *options)
    kinds = list(servers)
    for index in range(context.rounds):
        context.say(f"{title}: round {index + 1} of {context.rounds}")
        for variant, (questions, options) in variants.items():
            # Another order in each round, so that no server always follows the same one.
            for kind in kinds[index % len(kinds):] + kinds[:index % len(kinds)]:
                burst = undisturbed(context, servers[kind], renewer, questions, *options, "-f", index * 7919)
                bursts[variant][kind].append(burst)
                context.report.line("burst", title=title, variant=variant, server=kind, round=index, **burst)
        renewer.resume()
    return bursts


def undisturbed(context: Context, server: Server, renewer: Renewer, questions, *options) -> dict:
    """One burst, repeated while other programs disturb it."""
    for attempt in range(1 + min(REPEATS, context.repeats_left)):
        # Every time, so that no lease waits for longer than one burst.
        renewer.resume()
        if server.kind != "regdns":
            # Heartbeats while a peer is measured would take CPU time and cache from it.
            renewer.pause()
        burst = context.tools.dns(server, questions, *options, seconds=context.seconds)
        burst["load_tool_share"] = round(burst["generator_cpu_ns"] / burst["seconds"] / 1e9, 3)
        burst["repeated"] = attempt
        if burst["load_tool_share"] >= SHARE_OF_CPU:
            break
    context.repeats_left -= attempt
    return burst


def cost(burst: dict) -> float:
    """Microseconds of CPU time for each answered query."""
    return burst["cpu_ns"] / 1000 / burst["answered"]


def thread_shares(bursts: list[dict]) -> str:
    """Parts of the CPU time by the names of the threads, numbers in them left out."""
    times: dict[str, int] = {}
    for burst in bursts:
        for name, nanoseconds in burst["threads"]:
            group = re.sub(r"[-#]*\d+", "", name) or name
            times[group] = times.get(group, 0) + nanoseconds
    total = sum(times.values()) or 1
    parts = sorted(times.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {100 * nanoseconds / total:.1f} %" for name, nanoseconds in parts
                     if nanoseconds >= total / 1000)


def octets_per_answer(bursts: list[dict]) -> str:
    return f"{sum(burst['octets'] for burst in bursts) / sum(burst['ok'] for burst in bursts):.0f}"


def write_tables(context: Context, title: str, variants, bursts) -> None:
    report, rows, shares = context.report, [], []
    for variant in variants:
        of = {kind: [cost(burst) for burst in bursts[variant][kind]] for kind in bursts[variant]}
        ratios = {peer: Spread.ratio(of["regdns"], of[peer]) for peer in PEERS}
        octets = " / ".join(octets_per_answer(bursts[variant][kind]) for kind in of)
        rows.append([variant, *(Spread.of(costs) for costs in of.values()), *ratios.values(), octets])
        for peer, ratio in ratios.items():
            report.line("ratio", title=title, variant=variant, peer=peer, median=ratio.median, low=ratio.low,
                        high=ratio.high)
        if "-r" not in variants[variant][1]:
            report.bar(f"{title}, {variant}: CPU per answered query over knot's", ratios["knot"], 1.0)
        shares.append(f"- {variant}: {thread_shares(bursts[variant]['regdns'])}")
    report.table(
        f"{title}: CPU time per answered query, us",
        ["questions", "regdns", "knot", "nsd", "regdns/knot", "regdns/nsd", "octets per answer"], rows)
    every = [burst for of in bursts.values() for each in of.values() for burst in each]
    lost = {kind: sum(burst["lost"] for of in bursts.values() for burst in of[kind]) for kind in ("regdns", *PEERS)}
    starved = sum(burst["load_tool_share"] < SHARE_OF_CPU for burst in every)
    repeated = sum(burst["repeated"] for burst in every)
    report.paragraph(
        f"{repeated} bursts were repeated because other programs had the load tool's CPU; {starved} of the "
        f"{len(every)} that count were disturbed so all the same. Questions without an answer: "
        + ", ".join(f"{kind} {number}" for kind, number in lost.items()) + ".")
    report.paragraph("regdns's CPU time by thread names:\n\n" + "\n".join(shares))
