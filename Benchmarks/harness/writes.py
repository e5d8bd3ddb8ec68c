"""CPU time of a write: registrations and deregistrations in a service of 1,000 and in one of 100,000 instances."""
import contextlib

from . import data
from .context import Context
from .process import Server, end
from .report import Spread

LEASE = 600     # the longest that the door grants by default; the section ends before
QUERIES = 1000  # per second, in the second form


def writes(context: Context) -> None:
    """Section `writes`."""
    small, large = (100, 1000) if context.quick else (1000, 100_000)
    each = 200 if context.quick else 2000
    with contextlib.ExitStack() as stack:
        servers = {}
        for size in (small, large):
            context.say(f"writes: registering {size:,} instances of one service")
            servers[size] = stack.enter_context(context.starter.regdns())
            loaded = context.tools.http(servers[size], data.write(
                context.file(f"writes-{size}"), (i.registration(LEASE) for i in data.single_service(size))))
            context.say(f"writes: {size / loaded['seconds']:,.0f} registrations a second")
        # Beyond all ids in use, the same for both.
        extra = data.single_service(each, first=500_000)
        files = [data.write(context.file("writes-add"), (i.registration(LEASE) for i in extra)),
                 data.write(context.file("writes-remove"), (i.removal for i in extra))]
        name = f"{extra[0].service}.{data.DOMAIN}"
        questions = data.write(context.file("writes-questions"), [f"{name} A 0 1\n", f"{name} SRV 0 1\n"])
        for server in servers.values():
            burst(context, server, files, each, None)   # not counted: buffers grow, connections open
        costs = {form: {size: [] for size in servers} for form in ("alone", "asked")}
        for index in range(context.rounds):
            context.say(f"writes: round {index + 1} of {context.rounds}")
            for form in costs:
                for size in (small, large) if index % 2 else (large, small):
                    measured = burst(context, servers[size], files, each, questions if form == "asked" else None)
                    costs[form][size].append(measured)
                    context.report.line("writes", form=form, size=size, round=index, **measured)
        for size, server in servers.items():
            check_alive(context, server, size)
    write_tables(context, costs, small, large, each)


def burst(context: Context, server: Server, files, each: int, questions) -> dict:
    """Microseconds of the server's CPU time for each registration and each deregistration, what they set off included:
    the time is read when the server is at rest again."""
    result = {}
    with contextlib.ExitStack() as stack:
        process = None
        if questions:
            process = context.tools.start_dns(
                server, questions, "-e", 1232, "-T", "-W", 0, "-r", QUERIES, "-c", 4, "-d", 120)
            stack.callback(end, process, [])
        for what, file in zip(("add", "remove"), files):
            before = server.cpu_ns() if process else server.quiet_cpu_ns()
            context.tools.http(server, file, seconds=60)
            after = server.cpu_ns() if process else server.quiet_cpu_ns()
            result[what] = (after - before) / 1000 / each
        if process:
            asked = context.tools.stop_dns(server, process)
            result |= {"answered": asked["answered"], "lost": asked["lost"], "p99_us": asked["p99_us"]}
    result["both"] = result["add"] + result["remove"]
    return result


def check_alive(context: Context, server: Server, size: int) -> None:
    """All instances must still be there, or the large service was none."""
    ends = data.single_service(1) + data.single_service(1, first=size - 1)
    context.tools.http(server, data.write(context.file("writes-alive"), (i.heartbeat for i in ends)), 1, 1)


def write_tables(context: Context, costs, small: int, large: int, each: int) -> None:
    rows = []
    titles = {"alone": "writes alone",
              "asked": f"writes while {QUERIES:,} queries a second ask for the service, the queries included"}
    for form, by_size in costs.items():
        for what in ("add", "remove", "both"):
            of = {size: [measured[what] for measured in by_size[size]] for size in by_size}
            ratio = Spread.ratio(of[large], of[small])
            label = {"add": "registration", "remove": "deregistration", "both": "one of each"}[what]
            rows.append([titles[form], label, Spread.of(of[small]), Spread.of(of[large]), ratio])
            if form == "alone" and what == "both":
                context.report.bar(
                    f"a write's CPU time at {large:,} instances in one service over that at {small:,}", ratio, 2.0)
    asked = {size: [sum(measured[key] for measured in costs["asked"][size]) for key in ("answered", "lost")]
             for size in (small, large)}
    context.report.table(
        f"CPU time of a write over HTTP, us ({each:,} registrations, then {each:,} deregistrations)",
        ["", "write", f"at {small:,}", f"at {large:,}", "ratio"], rows)
    context.report.paragraph("Queries meanwhile: " + "; ".join(
        f"at {size:,} {answered:,} answered, {lost:,} without an answer for a second"
        for size, (answered, lost) in asked.items()) + ".")
