#!/usr/bin/env python3
"""kill -9 cannot show a missing fsync (the page cache survives the process). This one can: it reads an strace of
the server and checks that every reply on a client socket that follows a journal write comes after a sync of that file.

  fsync_order.py --start CMD --port P --journal SUBSTRING --send FILE_OR_TEXT [--count 20] [--reply-has 'OK']
"""
import argparse
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time

ap = argparse.ArgumentParser()
ap.add_argument("--start", required=True)
ap.add_argument("--host", default="127.0.0.1")
ap.add_argument("--port", type=int, required=True)
ap.add_argument("--journal", required=True, help="part of the journal's file name")
ap.add_argument("--send", required=True, help="raw request; \\r \\n and {n} are expanded")
ap.add_argument("--count", type=int, default=20)
a = ap.parse_args()
out = tempfile.mktemp(suffix=".strace")
p = subprocess.Popen(["strace", "-f", "-yy", "-s", "64", "-e", "trace=write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,sendto,sendmsg,openat", "-o", out] + shlex.split(a.start),
                     start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
for _ in range(400):
    try:
        s = socket.create_connection((a.host, a.port), 2)
        break
    except OSError:
        time.sleep(.05)
time.sleep(1)
try:
    for i in range(a.count):
        s.sendall(a.send.replace("\\r", "\r").replace("\\n", "\n").replace("{n}", str(i)).encode())
        s.recv(65536)
    s.close()
    time.sleep(.3)
finally:
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()
dirty = {}
replies = early = syncs = writes = 0
for line in open(out, errors="replace"):
    m = re.match(r"\d+\s+(?:<\.\.\. )?(\w+)\(?(\d+)?<?([^>]*)>?", line)
    if not m:
        continue
    call, _fd, what = m.groups()
    done = "unfinished" not in line and "= -1" not in line
    if call in ("fsync", "fdatasync") and done:
        syncs += a.journal in what
        if a.journal in what or "resumed" in line:
            dirty.clear()
    elif a.journal in what and call.startswith(("write", "pwrite")):
        writes += 1
        if "SYNC" not in what:
            dirty[what] = 1
    elif ("TCP" in what) and call in ("write", "writev", "sendto", "sendmsg") and ":%d-" % a.port in what:
        replies += 1
        early += bool(dirty)
print("journal writes %d, syncs %d, replies %d, replies before the sync %d" % (writes, syncs, replies, early))
os.unlink(out)
sys.exit(1 if early or not writes else 0)
