"""The least of HTTP/2 and protobuf that makes calls of etcd's v3 API: a client that costs little and waits for nothing
but what it measures. Fields of responses are skipped; a call counts as answered when its stream ends."""
import select
import socket
import struct
import time

from .process import BenchError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
BIG = 2**31 - 1


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value) -> bytes:
    """A protobuf field: bytes, text or a whole number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(message: bytes):
    """The fields of a protobuf message: (number, value)."""
    at = 0

    def number():
        nonlocal at
        result = shift = 0
        while True:
            octet = message[at]
            at += 1
            result |= (octet & 127) << shift
            shift += 7
            if octet < 128:
                return result

    while at < len(message):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
        elif tag & 7 == 2:
            length = number()
            yield tag >> 3, message[at:at + length]
            at += length
        else:
            raise BenchError(f"protobuf: wire type {tag & 7}")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes((kind, flags)) + struct.pack("!I", stream) + payload


def grpc(message: bytes) -> bytes:
    return b"\0" + struct.pack("!I", len(message)) + message


class Connection:
    """One connection with prior knowledge, its windows as wide as they get."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=3)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        settings = struct.pack("!HI", 4, BIG) + struct.pack("!HI", 2, 0)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings)
                            + frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", BIG - 65535)))
        self.received, self.at = b"", 0
        self.stream = 1
        self.blocks: dict[str, bytes] = {}

    def headers(self, path: str) -> bytes:
        """The request's fields, as literals without indexing."""
        if path not in self.blocks:
            block = b"\x83\x86"  # :method POST, :scheme http
            for name, value in ((b":path", path.encode()), (b":authority", b"bench"), (b"te", b"trailers"),
                                (b"content-type", b"application/grpc")):
                block += b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value
            self.blocks[path] = block
        return self.blocks[path]

    def call(self, path: str, message: bytes, ends: bool = True) -> tuple[int, bytes]:
        """A new call and the bytes that make it."""
        stream, self.stream = self.stream, self.stream + 2
        return stream, (frame(HEADERS, END_HEADERS, stream, self.headers(path))
                        + frame(DATA, END_STREAM if ends else 0, stream, grpc(message)))

    def frames(self):
        """The frames received since, whole ones only; reads once."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise BenchError("the server closed the connection")
        buffer = self.received + data
        at, end, found = 0, len(buffer), []
        while end - at >= 9:
            length = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            if end - at < 9 + length:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            stream = int.from_bytes(buffer[at + 5:at + 9], "big") & BIG
            payload = buffer[at + 9:at + 9 + length]
            at += 9 + length
            if kind == SETTINGS and not flags & ACK:
                self.socket.sendall(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self.socket.sendall(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY:
                raise BenchError(f"the server went away: {payload!r}")
            elif kind == RST_STREAM:
                raise BenchError(f"stream {stream} was reset: {payload!r}")
            else:
                found.append((kind, flags, stream, payload))
        self.received = buffer[at:]
        return found

    def unary(self, path: str, message: bytes, seconds: float = 30) -> bytes:
        """One call with its answer's message."""
        stream, octets = self.call(path, message)
        self.socket.sendall(octets)
        self.socket.settimeout(seconds)
        data = b""
        while True:
            for kind, flags, number, payload in self.frames():
                if number == stream and kind == DATA:
                    data += payload
                if number == stream and flags & END_STREAM:
                    if len(data) < 5:
                        raise BenchError(f"{path}: no message in the answer")
                    return data[5:]

    def close(self) -> None:
        self.socket.close()


def pump(port: int, path: str, messages: list[bytes], connections: int = 4, depth: int = 16, seconds: float = 60) -> None:
    """Makes all calls, so many at a time, and returns when each has its answer."""
    links = [Connection(port) for _ in range(connections)]
    try:
        queue, at = messages, 0
        outstanding = dict.fromkeys((link.socket for link in links), 0)
        by_socket = {link.socket: link for link in links}
        limit = time.monotonic() + seconds
        for link in links:
            octets = b""
            while outstanding[link.socket] < depth and at < len(queue):
                octets += link.call(path, queue[at])[1]
                at += 1
                outstanding[link.socket] += 1
            link.socket.sendall(octets)
        done = 0
        while done < len(queue):
            ready = select.select([s for s in outstanding if outstanding[s]], [], [], max(0, limit - time.monotonic()))[0]
            if not ready:
                raise BenchError(f"{done} of {len(queue)} calls of {path} answered within {seconds} s")
            for sock in ready:
                link, ended = by_socket[sock], 0
                for _, flags, stream, _ in link.frames():
                    if stream and flags & END_STREAM:
                        ended += 1
                done += ended
                outstanding[sock] -= ended
                octets = b""
                for _ in range(min(ended, len(queue) - at)):
                    octets += link.call(path, queue[at])[1]
                    at += 1
                    outstanding[sock] += 1
                if octets:
                    sock.sendall(octets)
    finally:
        for link in links:
            link.close()
