"""Just enough DNS to ask a question and to compare what servers answer."""
import os
import socket
import struct
from dataclasses import dataclass

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "OPT": 41}


class Malformed(Exception):
    """The bytes are no DNS message."""


@dataclass(frozen=True)
class Record:
    """One record without its TTL: owner in lower case, type, class, data with the names in it spelt out."""
    owner: bytes
    type: int
    rrclass: int
    data: bytes


@dataclass(frozen=True)
class Answer:
    rcode: int
    authoritative: bool
    truncated: bool
    answers: frozenset[Record]
    authorities: frozenset[Record]
    additionals: frozenset[Record]
    edns: bool
    length: int


def encoded(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def query(name: str, rrtype: str, edns: int) -> bytes:
    header = os.urandom(2) + struct.pack(">HHHHH", 0, 1, 0, 0, 1 if edns else 0)
    options = b"\0" + struct.pack(">HHIH", TYPES["OPT"], edns, 0, 0) if edns else b""
    return header + encoded(name) + struct.pack(">HH", TYPES[rrtype], 1) + options


def ask(port: int, name: str, rrtype: str, edns: int = 0, tcp: bool = False, timeout: float = 2) -> Answer:
    """Asks the server on 127.0.0.1 once; raises OSError when it does not answer in time."""
    question = query(name, rrtype, edns)
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as connection:
        connection.settimeout(timeout)
        connection.connect(("127.0.0.1", port))
        if tcp:
            connection.sendall(struct.pack(">H", len(question)) + question)
            stream = connection.makefile("rb")
            message = stream.read(struct.unpack(">H", stream.read(2))[0])
        else:
            connection.send(question)
            message = connection.recv(65_535)
    if message[:2] != question[:2]:
        raise Malformed("another id")
    return parse(message)


def read_name(message: bytes, start: int) -> tuple[bytes, int]:
    """The name at `start` spelt out in lower case, and the place behind it; pointers go back only."""
    labels, place, behind, lowest = b"", start, None, start
    while True:
        length = message[place]
        if length & 0xC0 == 0xC0:
            target = struct.unpack_from(">H", message, place)[0] & 0x3FFF
            if target >= lowest:
                raise Malformed("a pointer that does not go back")
            behind = place + 2 if behind is None else behind
            place = lowest = target
        elif length & 0xC0:
            raise Malformed("label type")
        else:
            labels += message[place:place + 1 + length]
            place += 1 + length
            if length == 0:
                return labels.lower(), place if behind is None else behind


def read_data(message: bytes, rrtype: int, start: int, length: int) -> bytes:
    """The data of a record with the names in it spelt out."""
    fixed, names = {2: (0, 1), 5: (0, 1), 12: (0, 1), 15: (2, 1), 33: (6, 1), 6: (0, 2)}.get(rrtype, (length, 0))
    data, place = message[start:start + fixed], start + fixed
    for _ in range(names):
        name, place = read_name(message, place)
        data += name
    return data + message[place:start + length]


def parse(message: bytes) -> Answer:
    try:
        _, flags, questions, *counts = struct.unpack_from(">HHHHHH", message)
        place, sections, edns = 12, [], False
        for _ in range(questions):
            place = read_name(message, place)[1] + 4
        for count in counts:
            records = []
            for _ in range(count):
                owner, place = read_name(message, place)
                rrtype, rrclass, _, length = struct.unpack_from(">HHIH", message, place)
                place += 10
                if rrtype == TYPES["OPT"]:
                    edns = True
                else:
                    records.append(Record(owner, rrtype, rrclass, read_data(message, rrtype, place, length)))
                place += length
            sections.append(frozenset(records))
    except (struct.error, IndexError) as error:
        raise Malformed(str(error)) from error
    if place != len(message):
        raise Malformed("octets after the last record, or too few")
    return Answer(flags & 15, bool(flags & 0x400), bool(flags & 0x200), *sections, edns, len(message))


def differences(ours: Answer, theirs: Answer) -> list[str]:
    """In which parts two answers differ; TTLs, order, and the SOA's serial do not count."""
    parts = []
    for name in ("rcode", "authoritative", "truncated", "answers", "additionals", "edns"):
        if getattr(ours, name) != getattr(theirs, name):
            parts.append(name)
    if {(r.owner, r.type) for r in ours.authorities} != {(r.owner, r.type) for r in theirs.authorities}:
        parts.append("authorities")
    return parts
