"""Works on a ZooKeeper as several applications would, and prints what happened as a JSON list of [step, outcome].

    transcript.py '{"hosts": "127.0.0.1:2181", "root": "/t", "alice": {…}, "bob": {…}, "names": [["digest:…", "ALICE"]]}'

The same script runs against a server directly and through zoogate, and the two lists must be equal. What must differ is
told by the arguments: `alice` and `bob` say how each connects (`tls`: [ca, certificate, key], `digest`: user:password, or
null), and `names` turns the ids that ACLs then show into words. Session ids, zxids and times are never printed.
"""

import hashlib
import json
import logging
import socket
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, NoNodeError
from kazoo.protocol.serialization import int_struct, read_string
from kazoo.security import ACL, CREATOR_ALL_ACL, Id, make_acl

PATIENCE_S = 20
SESSION_TIMEOUT_S = 10
JUTE_MAX_BUFFER = 0xFFFFF


class WhoAmI:
    """The request that kazoo lacks: the ids that the server holds for this connection (ZooKeeper 3.7)."""

    type = 107

    def serialize(self):
        return b""

    def deserialize(self, data, offset):
        (count,) = int_struct.unpack_from(data, offset)
        offset += int_struct.size
        ids = []
        for _ in range(count):
            scheme, offset = read_string(data, offset)
            user, offset = read_string(data, offset)
            ids.append(f"{scheme}:{user}")
        return ids


def whoami(client):
    result = client.handler.async_result()
    client._call(WhoAmI(), result)
    return result.get(timeout=PATIENCE_S)


class Story:
    """Runs the steps and keeps the transcript."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.root = arguments["root"]
        self.transcript = []
        self.clients = []

    def connect(self, who, **options):
        """A connected client of `who`, by TLS or with a digest credential of its own."""
        identity = self.arguments[who]
        auth = [("digest", identity["digest"])] if identity["digest"] else []
        auth += options.pop("auth_data", [])
        if identity["tls"]:
            ca, certificate, key = identity["tls"]
            options.update(use_ssl=True, ca=ca, certfile=certificate, keyfile=key)
        client = KazooClient(hosts=self.arguments["hosts"], timeout=SESSION_TIMEOUT_S, auth_data=auth, **options)
        client.start(PATIENCE_S)
        self.clients.append(client)
        return client

    def step(self, name, action):
        """Runs one action; its result, or the kind of its exception, is the outcome."""
        try:
            outcome = action()
        except KazooException as error:
            outcome = type(error).__name__
        self.note(name, outcome)

    def note(self, name, outcome):
        self.transcript.append([name, outcome])

    def name_of(self, acl_id):
        for shown, word in self.arguments["names"]:
            if acl_id == shown:
                return word
        # zoogate dials from an address of its own for each client, which is what ZooKeeper then sees.
        return "ip:loopback" if acl_id.startswith("ip:127.") else acl_id

    def acl(self, client, path):
        acls, _ = client.get_acls(path)
        return sorted(f"{self.name_of(f'{a.id.scheme}:{a.id.id}')} {a.perms}" for a in acls)

    def whoami(self, client):
        return sorted(self.name_of(acl_id) for acl_id in whoami(client))


def until(condition):
    """Waits for a condition and returns whether it came true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def access(story):
    """An `auth` ACL belongs to its creator: another identity is denied until it is granted."""
    alice, bob, root = story.connect("alice"), story.connect("bob"), story.root
    story.step("whoami", lambda: story.whoami(alice))
    story.step("create", lambda: alice.create(root, b"v0", acl=CREATOR_ALL_ACL))
    story.step("get", lambda: alice.get(root)[0].decode())
    story.step("acl", lambda: story.acl(alice, root))
    story.step("bob reads", lambda: bob.get(root)[0].decode())
    story.step("bob writes", lambda: bob.set(root, b"bob").version)
    story.step("bob lists", lambda: bob.get_children(root))
    story.step("bob creates below", lambda: bob.create(f"{root}/bob"))
    story.step("bob reads the ACL", lambda: story.acl(bob, root))
    story.step("bob sets the ACL", lambda: bob.set_acls(root, CREATOR_ALL_ACL).version)

    # Readable by all, administered by alice: others see who is in the ACL, but not the hash.
    shared = [make_acl("world", "anyone", read=True)] + CREATOR_ALL_ACL
    story.step("create shared", lambda: alice.create(f"{root}/shared", b"s", acl=shared))
    story.step("bob reads shared", lambda: bob.get(f"{root}/shared")[0].decode())
    story.step("bob sees the masked ACL", lambda: story.acl(bob, f"{root}/shared"))
    story.step("bob deletes shared", lambda: bob.delete(f"{root}/shared"))

    # The grant is an explicit entry, as an administrator would write it.
    scheme, _, bob_id = story.arguments["bob_id"].partition(":")
    grant = CREATOR_ALL_ACL + [ACL(1, Id(scheme, bob_id))]
    story.step("alice grants bob", lambda: alice.set_acls(root, grant).aversion)
    story.step("bob reads when granted", lambda: bob.get(root)[0].decode())
    story.step("bob writes when granted read", lambda: bob.set(root, b"bob").version)
    story.step("unknown scheme", lambda: alice.create(f"{root}/bad", acl=[ACL(31, Id("nobody", "x"))]))


def watches(story):
    """One client watches while another changes: every event comes, once."""
    watcher, writer, root = story.connect("alice"), story.connect("alice"), story.root
    events = []

    def seen(event):
        events.append(f"{event.type} {event.path}")

    story.step("watch data", lambda: watcher.get(root, watch=seen)[0].decode())
    story.step("watch children", lambda: sorted(watcher.get_children(root, watch=seen)))
    story.step("watch absent", lambda: watcher.exists(f"{root}/w", watch=seen))
    story.step("change", lambda: writer.set(root, b"v1").version)
    story.step("make", lambda: writer.create(f"{root}/w", b"", acl=CREATOR_ALL_ACL))
    until(lambda: len(events) >= 3)
    story.step("watch present", lambda: watcher.exists(f"{root}/w", watch=seen) is not None)
    story.step("remove", lambda: writer.delete(f"{root}/w"))
    until(lambda: len(events) >= 4)
    time.sleep(0.2)
    story.note("events", sorted(events))


def multi(story):
    """A multi that succeeds, one that fails as a whole, and one that another identity may not do."""
    alice, bob, root = story.connect("alice"), story.connect("bob"), story.root

    def transaction(client, version):
        t = client.transaction()
        t.check(root, version)
        t.create(f"{root}/m", b"m", acl=CREATOR_ALL_ACL)
        t.set_data(f"{root}/m", b"n")
        t.delete(f"{root}/m")
        return [type(r).__name__ if isinstance(r, Exception) or not isinstance(r, (str, bool)) else r for r in t.commit()]

    version = alice.exists(root).version
    story.step("multi", lambda: transaction(alice, version))
    story.step("multi fails", lambda: transaction(alice, version + 7))
    story.step("multi denied", lambda: transaction(bob, version))


def session(story):
    """A cut connection comes back to the same session and identity; closing it removes its ephemeral znodes."""
    alice, other, root = story.connect("alice"), story.connect("alice"), story.root
    story.step("ephemeral", lambda: alice.create(f"{root}/e", b"e", acl=CREATOR_ALL_ACL, ephemeral=True))
    session_id, cut, back = alice.client_id, threading.Event(), threading.Event()

    def follow(state):
        if state == KazooState.CONNECTED and cut.is_set():
            back.set()
        elif state == KazooState.SUSPENDED:
            cut.set()

    alice.add_listener(follow)
    alice._connection._socket.shutdown(socket.SHUT_RDWR)
    story.note("cut and back", [cut.wait(PATIENCE_S), back.wait(PATIENCE_S)])
    story.note("same session", alice.client_id == session_id)
    story.step("whoami when back", lambda: story.whoami(alice))
    story.step("own znode when back", lambda: alice.get(f"{root}/e")[0].decode())
    gone = threading.Event()
    story.step("ephemeral survives", lambda: other.exists(f"{root}/e", watch=lambda _: gone.set()) is not None)
    alice.stop()
    story.note("closeSession removes it", gone.wait(PATIENCE_S))
    story.step("after close", lambda: other.get(f"{root}/e"))


def big(story):
    """Data of the largest frame that the server takes, there and back."""
    alice, root = story.connect("alice"), story.root
    path = f"{root}/big"
    header = 8 + 4 + len(path) + 4 + 4
    data = bytes(range(251)) * 4200
    data = data[: JUTE_MAX_BUFFER - header]
    story.step("create for big", lambda: alice.create(path, b"", acl=CREATOR_ALL_ACL))
    story.step("set big", lambda: alice.set(path, data).dataLength)
    got = alice.get(path)[0]
    story.note("get big", [len(got), hashlib.sha256(got).hexdigest() == hashlib.sha256(data).hexdigest()])
    small = [alice.set_async(path, b"x" * i) for i in range(500)]
    story.note("pipelined", [s.get(timeout=PATIENCE_S).dataLength for s in small] == list(range(500)))


def other_auth(story):
    """Credentials of the client's own stand beside the connection's identity."""
    root = story.root
    added = story.connect("alice", auth_data=[("digest", "app:app-password")])
    story.step("whoami with digest", lambda: story.whoami(added))
    story.step("create with digest", lambda: added.create(f"{root}/d", acl=CREATOR_ALL_ACL))
    story.step("acl with digest", lambda: story.acl(added, f"{root}/d"))
    later = story.connect("alice")
    story.step("add digest later", lambda: later.add_auth("digest", "late:late-password"))
    story.step("whoami with later digest", lambda: story.whoami(later))
    refused = story.connect("bob")
    story.step("unknown auth scheme", lambda: refused.add_auth("nobody", "x"))

    sasl = {"mechanism": "DIGEST-MD5", "username": "carol", "password": "carol-password"}
    carol = story.connect("alice", sasl_options=sasl)
    story.step("create with sasl", lambda: carol.create(f"{root}/s", acl=CREATOR_ALL_ACL))
    story.step("acl with sasl", lambda: story.acl(carol, f"{root}/s"))


def tidy(story):
    """Everything away again, sessions closed."""
    alice = story.connect("alice")
    story.step("delete all", lambda: alice.delete(story.root, recursive=True))
    story.step("read deleted", lambda: alice.get(story.root))
    for client in story.clients:
        client.stop()
        client.close()


def main():
    logging.basicConfig(level=logging.CRITICAL)
    story = Story(json.loads(sys.argv[1]))
    for chapter in (access, watches, multi, session, big, other_auth, tidy):
        chapter(story)
    print(json.dumps(story.transcript))


if __name__ == "__main__":
    main()
