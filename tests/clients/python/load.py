"""Clients that create znodes as fast as they are answered, while gates are restarted. Commands come line by line on
standard input; each is answered by one line of JSON.

    load.py '{"hosts": "127.0.0.1:2281,127.0.0.1:2282", "root": "/l", "tls": [ca, certificate, key], "clients": 6}'

    go      waits until every client has created more znodes since the last time
    end     stops, and tells what was acknowledged and what is there
"""

import json
import logging
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException

PATIENCE_S = 90
SESSION_TIMEOUT_S = 40
MORE = 20


class Worker(threading.Thread):
    """One session. Every attempt has a name of its own, so that what was done twice or in vain shows."""

    def __init__(self, arguments, number):
        super().__init__(daemon=True)
        ca, certificate, key = arguments["tls"]
        self.client = KazooClient(
            hosts=arguments["hosts"], timeout=SESSION_TIMEOUT_S, use_ssl=True, ca=ca, certfile=certificate, keyfile=key
        )
        self.client.start(PATIENCE_S)
        self.session = self.client.client_id[0]
        self.prefix = f"{arguments['root']}/{number}"
        self.acknowledged, self.failed, self.moves, self.losses = [], [], 0, 0
        self.ending = threading.Event()
        self.client.add_listener(self.follow)
        self.client.create(f"{self.prefix}-own", b"", ephemeral=True)

    def follow(self, state):
        self.moves += state == KazooState.SUSPENDED
        self.losses += state == KazooState.LOST

    def run(self):
        attempt = 0
        while not self.ending.is_set():
            attempt += 1
            path = f"{self.prefix}-{attempt}"
            try:
                self.client.create(path, b"x" * 100)
                self.acknowledged.append(path)
            except KazooException:
                self.failed.append(path)

    def kept(self):
        own = self.client.exists(f"{self.prefix}-own")
        return not self.losses and self.client.client_id[0] == self.session and own.ephemeralOwner == self.session


class Load:
    def __init__(self, arguments):
        self.root = arguments["root"]
        ca, certificate, key = arguments["tls"]
        tls = {"use_ssl": True, "ca": ca, "certfile": certificate, "keyfile": key}
        self.reader = KazooClient(hosts=arguments["hosts"], timeout=SESSION_TIMEOUT_S, **tls)
        self.reader.start(PATIENCE_S)
        self.reader.create(self.root)
        self.workers = [Worker(arguments, number) for number in range(arguments["clients"])]
        for worker in self.workers:
            worker.start()

    def go(self):
        goals = [len(worker.acknowledged) + MORE for worker in self.workers]
        deadline = time.monotonic() + PATIENCE_S
        while any(len(w.acknowledged) < goal for w, goal in zip(self.workers, goals)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def end(self):
        for worker in self.workers:
            worker.ending.set()
        for worker in self.workers:
            worker.join(PATIENCE_S)
        # A server that is behind would not know the newest znodes.
        self.reader.sync(self.root)
        there = {f"{self.root}/{name}" for name in self.reader.get_children(self.root)}
        acknowledged = [path for worker in self.workers for path in worker.acknowledged]
        failed = [path for worker in self.workers for path in worker.failed]
        result = {
            "sessions kept": all(worker.kept() for worker in self.workers),
            "acknowledged": len(acknowledged),
            "acknowledged but lost": sorted(set(acknowledged) - there),
            "failed": len(failed),
            "failed but done": sorted(set(failed) & there),
            "moves": sum(worker.moves for worker in self.workers),
        }
        for worker in self.workers:
            worker.client.stop()
        self.reader.stop()
        return result


def main():
    logging.basicConfig(level=logging.CRITICAL)
    load = Load(json.loads(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(getattr(load, line.strip())()), flush=True)


if __name__ == "__main__":
    main()
