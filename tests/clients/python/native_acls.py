"""An application of ZooKeeper's own TLS: two people who give each other rights by `x509` ids.

    native_acls.py '{"hosts": "127.0.0.1:2281", "root": "/p", "alice": {"tls": [ca, certificate, key], "id": "CN=…"}, "bob": …}'

Prints what happened as a JSON list of [step, outcome].
"""

import json
import logging
import sys

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.security import ACL, CREATOR_ALL_ACL, Id, make_acl

PATIENCE_S = 20
SESSION_TIMEOUT_S = 10
READ, WRITE, CREATE = 1, 2, 4


class Story:
    """Runs the steps and keeps the transcript."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.root = arguments["root"]
        self.transcript = []

    def connect(self, who):
        ca, certificate, key = self.arguments[who]["tls"]
        tls = {"use_ssl": True, "ca": ca, "certfile": certificate, "keyfile": key}
        # Programs add the identity that the connection has already.
        client = KazooClient(
            hosts=self.arguments["hosts"], timeout=SESSION_TIMEOUT_S, auth_data=[("x509", "")], **tls
        )
        client.start(PATIENCE_S)
        return client

    def step(self, name, action):
        """Runs one action; its result, or the kind of its exception, is the outcome."""
        try:
            outcome = action()
        except KazooException as error:
            outcome = type(error).__name__
        self.transcript.append([name, outcome])


def entries(client, path):
    return [f"{acl.id.scheme}:{acl.id.id}:{acl.perms}" for acl in client.get_acls(path)[0]]


def x509(name, rights):
    return ACL(rights, Id("x509", name))


def story(arguments):
    s = Story(arguments)
    root, alice_id, bob_id = s.root, arguments["alice"]["id"], arguments["bob"]["id"]
    alice, bob = s.connect("alice"), s.connect("bob")

    shared = [make_acl("x509", alice_id, all=True), x509(bob_id, READ)]
    s.step("alice creates", lambda: alice.create(root, b"v0", acl=shared))
    s.step("alice reads the ACL", lambda: entries(alice, root))
    s.step("bob reads", lambda: bob.get(root)[0].decode())
    s.step("bob reads the ACL", lambda: entries(bob, root))
    s.step("bob writes", lambda: bob.set(root, b"v1").version)
    s.step("bob sets the ACL", lambda: bob.set_acls(root, shared).aversion)
    more = [x509(alice_id, 31), x509(bob_id, READ | WRITE | CREATE)]
    s.step("alice lets bob write", lambda: alice.set_acls(root, more, version=0).aversion)
    s.step("bob writes now", lambda: bob.set(root, b"v1", version=0).version)
    s.step("the ACL comes back", lambda: alice.get_acls(root)[0] == more)
    s.step("the ACL goes round", lambda: alice.set_acls(root, alice.get_acls(root)[0], version=1).aversion)
    s.step("and is the same", lambda: entries(alice, root))

    s.step("bob creates for himself", lambda: bob.create(f"{root}/bob", b"b", acl=CREATOR_ALL_ACL))
    s.step("bob is in its ACL", lambda: entries(bob, f"{root}/bob"))
    s.step("alice reads bob's", lambda: alice.get(f"{root}/bob")[0].decode())
    s.step("many", lambda: alice.create(f"{root}/many", acl=more * 2 + [x509(f"CN={n}", 1) for n in range(300)]))
    s.step("many come back", lambda: len(entries(alice, f"{root}/many")))
    s.step("a name that is none", lambda: alice.create(f"{root}/x", acl=[x509("alice", 31)]))
    s.step("names of all kinds", lambda: alice.create(f"{root}/x", acl=[x509(n, 17) for n in arguments["strangers"]] + more))
    s.step("come back", lambda: entries(alice, f"{root}/x"))

    for version in (1, 99):
        transaction = bob.transaction()
        transaction.check(root, version)
        transaction.create(f"{root}/m", b"m", acl=[x509(bob_id, 31), x509(alice_id, READ)])
        transaction.create(f"{root}/m/e", b"e", acl=[x509(alice_id, 31)], ephemeral=True)
        s.step("multi", lambda t=transaction: [r if isinstance(r, (str, bool)) else type(r).__name__ for r in t.commit()])
        s.step("its ACL", lambda: entries(alice, f"{root}/m"))
        s.step("what bob gave away", lambda: bob.get(f"{root}/m/e")[0].decode())
        s.step("to alice", lambda: alice.get(f"{root}/m/e")[0].decode())
    for client in (alice, bob):
        client.stop()
        client.close()
    return s.transcript


def main():
    logging.basicConfig(level=logging.CRITICAL)
    print(json.dumps(story(json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
