"""CPU time to load a zone file, beside knot."""
from . import data
from .context import Context
from .process import BenchError, Server
from .report import Spread


def zones(context: Context) -> None:
    """Section `zones`: start to rest with the zone, less the same with a zone of three records."""
    records = 20_000 if context.quick else 100_000
    folders = {}
    for kind, size in (("empty", 0), ("full", records)):
        folders[kind] = context.file(f"zones-{kind}")
        folders[kind].mkdir()
        data.zone_to_load(size, folders[kind] / f"{data.ZONE_LOADED}.zone")
    times = {server: {kind: [] for kind in folders} for server in ("regdns", "knot")}
    sizes = {server: {kind: [] for kind in folders} for server in times}
    for index in range(context.rounds):
        context.say(f"zones: round {index + 1} of {context.rounds}")
        for which in ("regdns", "knot") if index % 2 else ("knot", "regdns"):
            for kind, folder in folders.items():
                seconds, rss = load(context, which, folder, records if kind == "full" else 0)
                times[which][kind].append(seconds)
                sizes[which][kind].append(rss / 1024)
                context.report.line("zone", server=which, zone=kind, round=index, cpu_seconds=seconds, rss_kib=rss)
    net = {which: [full - empty for full, empty in zip(of["full"], of["empty"])] for which, of in times.items()}
    if min(net["knot"]) <= 0:
        raise BenchError("knot's start with the zone took no more CPU time than without")
    ratio = Spread.ratio(net["regdns"], net["knot"])
    context.report.table(
        f"Loading a zone of {records:,} records", ["", "regdns", "knot", "ratio"],
        [["CPU s, start with the zone", *(Spread.of(times[which]["full"]) for which in times), ""],
         ["CPU s, start with three records", *(Spread.of(times[which]["empty"]) for which in times), ""],
         ["CPU s, the zone alone", *(Spread.of(net[which]) for which in times), ratio],
         ["RSS with the zone, MiB", *(Spread.of(sizes[which]["full"]) for which in times), ""],
         ["RSS with three records, MiB", *(Spread.of(sizes[which]["empty"]) for which in times), ""]])
    context.report.bar(f"CPU time to load a zone of {records:,} records over knot's", ratio, 2.0)


def load(context: Context, which: str, folder, records: int) -> tuple[float, int]:
    """CPU seconds from the start until the server answers from the zone and is at rest; its resident set then."""
    zone = folder / f"{data.ZONE_LOADED}.zone"
    if which == "knot":
        starting: Server = context.starter.knot(data.ZONE_LOADED, zone)
    else:
        starting = context.starter.regdns("--zones", str(folder))
    with starting as server:
        server.wait_until_it_answers(data.ZONE_LOADED)
        cpu = server.quiet_cpu_ns() / 1e9
        if records:
            # The last host of the file answers, or the time was not that of the whole zone.
            last = f"h{records // 4 - 1:06d}.{data.ZONE_LOADED}"
            for rrtype in ("A", "TXT"):
                if not server.ask(last, rrtype).answers:
                    raise BenchError(f"{which} does not answer {last} {rrtype}")
        return cpu, server.rss_kib()
