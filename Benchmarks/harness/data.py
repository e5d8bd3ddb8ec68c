"""The names of a run: as registrations for regdns, as a zone file for the peers, as questions for the load tool."""
import random
from dataclasses import dataclass
from pathlib import Path

DOMAIN = "skydns.local"
# The SOA that regdns makes up for its domain, so that negative answers carry equal data.
APEX = f"""$TTL 60
@ IN SOA ns.dns.{DOMAIN}. hostmaster.{DOMAIN}. 1 28800 7200 604800 60
@ IN NS ns.dns.{DOMAIN}.
ns.dns.{DOMAIN}. IN A 127.0.0.1
"""


@dataclass(frozen=True)
class Instance:
    """One registration: instance `number` of a service, with at most one tag."""
    number: int
    service: str
    tag: str | None

    @property
    def id(self) -> str:
        return f"i{self.number:06d}"

    @property
    def address(self) -> str:
        return f"10.{self.number >> 16 & 255}.{self.number >> 8 & 255}.{self.number & 255}"

    @property
    def port(self) -> int:
        return 1024 + self.number % 60_000

    @property
    def name(self) -> str:
        return ".".join(part for part in (self.id, self.service, self.tag, DOMAIN) if part)

    def registration(self, lease: int) -> str:
        tags = f',"tags":["{self.tag}"]' if self.tag else ""
        return (f'POST /api/v1/instances 201 {{"service_name":"{self.service}","instance_id":"{self.id}"{tags},'
                f'"endpoint":{{"type":"tcp","value":"{self.address}:{self.port}"}},"ttl":{lease}}}\n')

    @property
    def heartbeat(self) -> str:
        return f"PUT /api/v1/instances/{self.id}/heartbeat 200\n"

    @property
    def removal(self) -> str:
        return f"DELETE /api/v1/instances/{self.id} 200\n"


def spread(count: int) -> list[Instance]:
    """Names of 34 octets in text: ten instances a service, twenty services a tag."""
    return [Instance(k, f"s{k // 10:05d}", f"t{k // 200:04d}") for k in range(count)]


def single_service(count: int, first: int = 0) -> list[Instance]:
    """Instances of the one service `s00000`."""
    return [Instance(k, "s00000", None) for k in range(first, first + count)]


def write(path: Path, lines) -> Path:
    with open(path, "w") as file:
        file.writelines(lines)
    return path


def zone_of(instances: list[Instance], path: Path) -> Path:
    """Each instance's name with its address and an SRV record that points to itself."""
    return write(path, [APEX] + [
        f"{i.name}. IN A {i.address}\n{i.name}. IN SRV 10 100 {i.port} {i.name}.\n" for i in instances])


def zone_of_service(instances: list[Instance], path: Path) -> Path:
    """The service's name with the addresses and SRV records of all; equal weights share 100, rounded down (SkyDNS)."""
    weight = 100 // len(instances)
    service = f"{instances[0].service}.{DOMAIN}."
    return write(path, [APEX] + [
        f"{service} IN A {i.address}\n{service} IN SRV 10 {weight} {i.port} {i.name}.\n{i.name}. IN A {i.address}\n"
        for i in instances])


def missing(instances: list[Instance], chance: random.Random) -> str:
    """A name that does not exist: half of them beside existing ones, half below names that do not exist either."""
    number = chance.randrange(len(instances))
    if chance.random() < 0.5:
        return "x" + instances[number].name[1:]
    return f"x{number:06d}.y{number // 10:05d}.t0000.{DOMAIN}"


def mix(instances: list[Instance], count: int, path: Path) -> Path:
    """Questions at random: A and SRV alike, one in twenty for a missing name."""
    chance = random.Random(7)
    lines = []
    for _ in range(count):
        rrtype = "A" if chance.random() < 0.5 else "SRV"
        if chance.random() < 0.05:
            lines.append(f"{missing(instances, chance)} {rrtype} 3 0\n")
        else:
            lines.append(f"{instances[chance.randrange(len(instances))].name} {rrtype} 0 1\n")
    return write(path, lines)


def each_once(instances: list[Instance], path: Path) -> Path:
    """Every name, A and SRV."""
    return write(path, [f"{i.name} {rrtype} 0 1\n" for i in instances for rrtype in ("A", "SRV")])


ZONE_LOADED = "bench.example"


def zone_to_load(records: int, path: Path) -> Path:
    """A zone of so many records: hosts with A, AAAA, TXT and SRV. SOA and NS come on top."""
    lines = [f"$ORIGIN {ZONE_LOADED}.\n$TTL 300\n@ IN SOA ns hostmaster 1 28800 7200 604800 60\n@ IN NS ns\n"
             "ns IN A 127.0.0.1\n"]
    for k in range(records // 4):
        lines.append(f"h{k:06d} IN A 10.{k >> 16 & 255}.{k >> 8 & 255}.{k & 255}\n"
                     f"h{k:06d} IN AAAA 2001:db8::{k >> 16:x}:{k & 0xffff:x}\n"
                     f"h{k:06d} IN TXT \"host {k} of the benchmark\"\n"
                     f"_http._tcp.h{k:06d} IN SRV 10 100 {1024 + k % 60_000} h{k:06d}\n")
    return write(path, lines)
