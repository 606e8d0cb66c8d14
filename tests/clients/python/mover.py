"""Keeps one session while servers and gates die around it, and tells how it fares. Commands come line by line on standard
input; each is answered by one line of JSON.

    mover.py '{"hosts": "127.0.0.1:2181,127.0.0.1:2182", "root": "/m", "tls": [ca, certificate, key], "digest": null}'

    open        opens the session: an ephemeral znode, a watched znode; answers with the port that it is connected to
    change V    another client of the same identity writes V; answers whether the watch has seen it
    settle      waits until the session has been without a connection since the last settling, and has one again
    close       closes the session; answers whether the ephemeral znode is gone, and was there until then
"""

import json
import logging
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.retry import KazooRetry
from kazoo.security import CREATOR_ALL_ACL

PATIENCE_S = 90
SESSION_TIMEOUT_S = 40


def connected(arguments):
    options = {}
    if arguments["tls"]:
        ca, certificate, key = arguments["tls"]
        options.update(use_ssl=True, ca=ca, certfile=certificate, keyfile=key)
    if arguments["digest"]:
        options["auth_data"] = [("digest", arguments["digest"])]
    # Always the first server that can be had, so that it is known where a client turns to.
    client = KazooClient(hosts=arguments["hosts"], timeout=SESSION_TIMEOUT_S, randomize_hosts=False, **options)
    client.start(PATIENCE_S)
    return client


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def persistently(action):
    """What a careful program does: tries again when the connection was lost in between."""
    retry = KazooRetry(max_tries=-1, max_delay=0.5, deadline=PATIENCE_S)
    return retry(action)


class Mover:
    def __init__(self, arguments):
        self.arguments, self.root = arguments, arguments["root"]
        self.client = self.other = self.session = None
        self.suspended, self.expired = threading.Event(), threading.Event()
        self.values, self.ephemeral = [], []

    def open(self):
        self.client, self.other = connected(self.arguments), connected(self.arguments)
        self.session = self.client.client_id[0]
        self.client.create(self.root, b"", acl=CREATOR_ALL_ACL)
        self.client.create(f"{self.root}/watched", b"v0", acl=CREATOR_ALL_ACL)
        self.client.create(f"{self.root}/own", b"", acl=CREATOR_ALL_ACL, ephemeral=True)
        self.client.DataWatch(f"{self.root}/watched", lambda data, _: self.values.append(data and data.decode()))
        self.other.DataWatch(f"{self.root}/own", lambda _, stat: self.ephemeral.append(stat is not None))
        self.client.add_listener(self.follow)
        return self.port()

    def follow(self, state):
        if state == KazooState.SUSPENDED:
            self.suspended.set()
        elif state == KazooState.LOST:
            self.expired.set()

    def port(self):
        return self.client._connection._socket.getpeername()[1]

    def change(self, value):
        persistently(lambda: self.other.set(f"{self.root}/watched", value.encode()))
        return until(lambda: self.values[-1:] == [value])

    def settle(self):
        moved = self.suspended.wait(PATIENCE_S)
        stat = persistently(lambda: self.client.exists(f"{self.root}/own"))
        until(lambda: self.client.connected)
        self.suspended.clear()
        return {
            "moved": moved,
            "same session": self.client.client_id[0] == self.session and not self.expired.is_set(),
            "ephemeral is the session's": stat is not None and stat.ephemeralOwner == self.session,
            "port": self.port(),
        }

    def close(self):
        was_there = all(self.ephemeral)
        self.client.stop()
        gone = until(lambda: not self.ephemeral[-1])
        persistently(lambda: self.other.delete(self.root, recursive=True))
        self.other.stop()
        return {"was there until then": was_there, "gone": gone}


def main():
    logging.basicConfig(level=logging.CRITICAL)
    mover = Mover(json.loads(sys.argv[1]))
    for line in sys.stdin:
        command, *rest = line.split()
        print(json.dumps(getattr(mover, command)(*rest)), flush=True)


if __name__ == "__main__":
    main()
