"""Memory of a registration: growth of the resident set."""
import time

from . import data
from .context import Context
from .report import Spread

LEASE = 600


def memory(context: Context) -> None:
    """Section `memory`."""
    count = 2000 if context.quick else 100_000
    instances = data.spread(count)
    registrations = data.write(context.file("memory-register"), (i.registration(LEASE) for i in instances))
    questions = data.each_once(instances, context.file("memory-questions"))
    services = sorted({f"{i.service}{tag}.{data.DOMAIN}" for i in instances for tag in ("", f".{i.tag}")})
    aggregates = data.write(
        context.file("memory-services"), (f"{name} {rrtype} 0 1\n" for name in services for rrtype in ("A", "SRV")))
    stages = {"registered": [], "asked": [], "services asked": []}
    for index in range(1 if context.quick else min(context.rounds, 3)):
        context.say(f"memory: start {index + 1}")
        with context.starter.regdns() as server:
            server.wait_until_it_answers(data.DOMAIN)
            server.quiet_cpu_ns()
            empty, sizes = server.rss_kib(), {}
            context.tools.http(server, registrations)
            sizes["registered"] = at_rest(server)
            context.tools.dns_each_once(server, questions, 2 * count, "-e", 1232)
            sizes["asked"] = at_rest(server)
            context.tools.dns_each_once(server, aggregates, 2 * len(services), "-e", 1232, "-T")
            sizes["services asked"] = at_rest(server)
            context.report.line("memory", start=index, count=count, empty_kib=empty, **{k.replace(" ", "_") + "_kib": v
                                                                                      for k, v in sizes.items()})
            for stage, size in sizes.items():
                stages[stage].append((size - empty) / count)
    labels = {"registered": "all registered", "asked": "and each name asked for A and SRV",
              "services asked": f"and each of the {len(services):,} service and service.tag names as well"}
    context.report.table(
        f"Resident set per registration, KiB ({count:,} over HTTP, one tag, "
        f"names of {len(instances[0].name) + 1} octets with the final dot)",
        ["after", "growth / registrations"], [[labels[stage], Spread.of(values)] for stage, values in stages.items()])
    context.report.bar("memory per registration, answers included", Spread.of(stages["asked"]), 1.5, " KiB")


def at_rest(server) -> int:
    server.quiet_cpu_ns()
    time.sleep(0.5)
    return server.rss_kib()
