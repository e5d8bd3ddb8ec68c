"""Names, addresses, and the little of the DNS that the lab needs.

Every write of an instance has a number of its own, and the instance's address says it: an answer names the write that
it shows."""
import struct

DOMAIN = "skydns.local"
# Writes of one key.
WRITES = 1 << 12


class Instance:
    """A key of the registry: an instance of a service, by its index among all of them."""

    def __init__(self, index, service):
        self.index = index
        self.service = service
        self.id = f"i{index}"

    @property
    def name(self):
        return f"{self.id}.{self.service}.{DOMAIN}"

    def write(self, count):
        """The number of its nth write."""
        if count >= WRITES:
            raise ValueError(f"{self.id}: more than {WRITES} writes")
        return self.index * WRITES + count


def index_of(write):
    return write // WRITES


def address_of(write):
    return f"10.{write >> 16 & 255}.{write >> 8 & 255}.{write & 255}"


def question(identifier, name, qtype=1):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", identifier, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", qtype, 1)


def skip_name(message, at):
    while True:
        length = message[at]
        if length >= 192:
            return at + 2
        at += 1 + length
        if length == 0:
            return at


def answers(message):
    """The response code, the numbers of the writes in the A records of the answer section, and their least TTL."""
    _, flags, questions, count, _, _ = struct.unpack_from(">6H", message)
    at = 12
    for _ in range(questions):
        at = skip_name(message, at) + 4
    writes, least = [], None
    for _ in range(count):
        at = skip_name(message, at)
        rtype, _, ttl, length = struct.unpack_from(">2HIH", message, at)
        at += 10
        if rtype == 1 and length == 4:
            writes.append(int.from_bytes(message[at + 1:at + 4], "big"))
            least = ttl if least is None else min(least, ttl)
        at += length
    return flags & 15, frozenset(writes), least or 0
