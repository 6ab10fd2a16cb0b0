"""Two network namespaces with one wire between them that can be cut, cut one way, or made slow.

Coordinator and agent each sit in a namespace of their own at the end of a veth pair; the other ends lie in a third one, where
this program carries frames from one to the other as it is told. Nothing outside these namespaces is touched, and they are
gone with the processes in them. Needs root, or unprivileged user namespaces.
"""

import collections
import ctypes
import fcntl
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import time

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"  # Seen inside only.
SIDES = ("server", "client")
SIOCETHTOOL = 0x8946
# What a network card would do later has to be done at once, since frames are read before they reach one: transmit checksums,
# and cutting large segments into frames.
OFFLOADS = (0x17, 0x1F, 0x24, 0x2C)  # ETHTOOL_STXCSUM, _STSO, _SGSO, _SGRO
QUEUE_LIMIT = 20000
RUN = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]


class Wire:
    """The test's end: starts this program in a namespace of its own and tells it what passes."""

    def __init__(self):
        self.process = subprocess.Popen(RUN + [sys.executable, "-B", os.path.abspath(__file__)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise OSError(self.process.communicate(timeout=10)[1].strip())
        self.namespaces = json.loads(line)

    def inside(self, side):
        """The beginning of a command line that runs its rest at one end of the wire."""
        user = [] if os.geteuid() == 0 else ["--preserve-credentials", "--user"]
        return ["nsenter", *user, "--net", f"--target={self.namespaces[side]}"]

    def tell(self, word):
        """pass | cut | to_server | to_client | unplugged, or a number: seconds that every frame takes."""
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != word:
            raise OSError(f"the wire answered {answer!r} to {word!r}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        for pipe in (self.process.stdout, self.process.stderr):
            pipe.close()


def why_not():
    """Why there can be no wire here, or nothing."""
    missing = [name for name in ("unshare", "nsenter", "ip") if not shutil.which(name)]
    if missing:
        return f"{' and '.join(missing)} is not installed"
    probe = "ip link set lo up && ip link add probe0 type veth peer name probe1"
    done = subprocess.run(RUN + ["sh", "-c", probe], capture_output=True, text=True, timeout=20, check=False)
    return f"network namespaces cannot be made here: {done.stderr.strip()}" if done.returncode else ""


# The rest runs inside.

def command(*words):
    subprocess.run(words, check=True, timeout=10, stdout=subprocess.DEVNULL)


def switch_off_offloads(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for what in OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", what, 0))
            request = struct.pack("16sQ8x", name.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(any_socket, SIOCETHTOOL, request)
            except OSError:
                pass  # This one cannot be switched on either.


def make_end(side, address):
    """A namespace with one end of a veth pair, kept by a process that waits for our end; answers that process."""
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo made; read nothing"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    holder.stdout.readline()
    command("ip", "link", "add", side, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
    enter = ["nsenter", "--net", f"--target={holder.pid}"]
    command(*enter, sys.executable, "-B", os.path.abspath(__file__), "--quiet-card", "eth0")
    switch_off_offloads(side)
    command(*enter, "ip", "link", "set", "lo", "up")
    command(*enter, "ip", "address", "add", f"{address}/24", "dev", "eth0")
    command(*enter, "ip", "link", "set", "eth0", "up")
    command("ip", "link", "set", side, "up")
    return holder


def open_tap(name):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))  # ETH_P_ALL
    tap.bind((name, 0))
    tap.setblocking(False)
    return tap


class Relay:
    def __init__(self):
        self.taps = {side: open_tap(side) for side in SIDES}
        self.mode, self.delay = "pass", 0.0
        self.waiting = collections.deque()  # (due, to, frame)

    def obey(self, word):
        if word == "unplugged" or self.mode == "unplugged":
            command("ip", "link", "set", "client", "down" if word == "unplugged" else "up")
        self.mode, self.delay = ("pass", float(word)) if word[0].isdigit() else (word, 0.0)
        print(word, flush=True)

    def passes(self, to):
        return self.mode == "pass" or self.mode == f"to_{to}"

    def take(self, side):
        other = SIDES[1 - SIDES.index(side)]
        while True:
            try:
                frame, origin = self.taps[side].recvfrom(1 << 16)
            except OSError:  # Nothing more, or the link is down.
                return
            if origin[2] != socket.PACKET_OUTGOING and self.passes(other) and len(self.waiting) < QUEUE_LIMIT:
                self.waiting.append((time.monotonic() + self.delay, other, frame))

    def send_due(self):
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, to, frame = self.waiting.popleft()
            try:
                self.taps[to].send(frame)
            except OSError:
                pass  # As on any wire, a frame may be lost.

    def run(self):
        while True:
            pause = max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else 1.0
            readable, _, _ = select.select([sys.stdin, *self.taps.values()], [], [], pause)
            if sys.stdin in readable:
                word = sys.stdin.readline().strip()
                if not word:
                    return
                self.obey(word)
            for side in SIDES:
                if self.taps[side] in readable:
                    self.take(side)
            self.send_due()


def main():
    if sys.argv[1:2] == ["--quiet-card"]:
        switch_off_offloads(sys.argv[2])
        return
    command("ip", "link", "set", "lo", "up")
    holders = [make_end("server", SERVER), make_end("client", CLIENT)]
    relay = Relay()
    print(json.dumps({side: holder.pid for side, holder in zip(SIDES, holders)}), flush=True)
    relay.run()
    for holder in holders:
        holder.communicate(timeout=10)


if __name__ == "__main__":
    main()
