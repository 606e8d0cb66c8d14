"""What the provider jar does, on every server version, with NIO and with Netty."""

import hmac
import os
import pathlib
import ssl
import tempfile
import time
import unittest
import zipfile

from server import JAR, PROVIDER, REMOTE_ADDRESS, ROOM, VERSIONS, Pki, Server, free_port
from wire import (AUTH_FAILED, INVALID_ACL, NO_AUTH, OK, SESSION_CLOSED, Client, Refused, assertion, base64url, mac_of)

OLD = b"an old secret, of thirty-two bytes or more"
NEW = b"a new secret, of thirty-two bytes or more!"
FOREIGN = b"a secret that this server was never told of"
ALICE = "CN=alice,O=Acme"
BOB = "CN=bob,O=Acme"
ROOT = "CN=root,O=Acme"


def write_secrets(path, *lines):
    """As an operator would: a new file in the old one's place."""
    new = path.with_suffix(".new")
    new.write_bytes(b"".join(line + b"\n" for line in lines))
    new.replace(path)


class ServerTest(unittest.TestCase):
    """One server for the tests of a class; subclasses are made per version and factory."""

    version = factory = None
    first_version = "3.4"

    @classmethod
    def settings(cls):
        """Lines for zoo.cfg, and system properties."""
        return {"zoogate.secretFile": cls.secrets}, {}

    @classmethod
    def prepare(cls):
        write_secrets(cls.secrets, b"# both are in use", b"", NEW, b"  " + OLD + b"\t\r")

    @classmethod
    def setUpClass(cls):
        ROOM.mkdir(parents=True, exist_ok=True)
        cls.room = tempfile.TemporaryDirectory(prefix="secrets-", dir=ROOM)
        cls.addClassCleanup(cls.room.cleanup)
        cls.secrets = pathlib.Path(cls.room.name) / "secret"
        cls.prepare()
        cls.start()

    @classmethod
    def start(cls):
        cls.server = Server(cls.version, cls.factory, *cls.settings())
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.sent = []

    def tearDown(self):
        log = self.server.log()
        for secret in [OLD, NEW, FOREIGN]:
            self.assertNotIn(secret.decode(), log)
        for data in self.sent:
            self.assertNotIn(data.decode("latin-1"), log)
            self.assertNotIn(data.decode("latin-1").rsplit(":")[-1], log)

    @property
    def has_who_am_i(self):
        return self.server.version >= (3, 7)

    def connect(self, identity=None, secret=NEW, is_super=False):
        """A client on the plain port, with an identity or without."""
        client = Client(self.server.address)
        self.addCleanup(client.socket.close)
        if identity is not None:
            self.assertEqual(client.auth(assertion(secret, client.session_id, identity, is_super)), OK)
        return client

    def assert_refused(self, client, data, reason):
        """The auth packet is answered with AUTHFAILED, the connection ends, and the log says who and why."""
        data = data.encode() if isinstance(data, str) else data
        if data is not None and len(data.rsplit(b":")[-1]) > 20:
            self.sent.append(data)
        peer = client.peer
        self.assertEqual(client.auth(data), AUTH_FAILED)
        self.assertTrue(client.is_closed())
        line = self.server.wait_for_log(f"Refused x509 authentication of {peer}, ")
        self.assertIn(f"session 0x{client.session_id:x}: ", line)
        self.assertIn(reason, line)


class Assertions(ServerTest):
    @classmethod
    def settings(cls):
        # Both ways to name the file are tried: NIO servers get the system property, Netty servers the line in zoo.cfg.
        superuser = {"X509AuthenticationProvider.superUser": ROOT}
        if cls.factory == "NIO":
            return superuser, {"zoogate.secretFile": cls.secrets}
        return superuser | {"zoogate.secretFile": cls.secrets}, {}

    def test_an_assertion_gives_the_session_its_identity(self):
        alice = self.connect(ALICE)
        if self.has_who_am_i:
            self.assertEqual(alice.who_am_i(), ["x509:" + ALICE])
        self.assertEqual(alice.create("/alice"), OK)
        self.addCleanup(lambda: self.connect(ALICE).delete("/alice"))
        self.assertEqual(alice.acl("/alice"), [(31, "x509", ALICE)])
        self.assertEqual(alice.read("/alice"), OK)
        self.assertEqual(self.connect(ALICE).read("/alice"), OK)
        self.assertEqual(self.connect(BOB).read("/alice"), NO_AUTH)
        self.assertEqual(self.connect("CN=alice").read("/alice"), NO_AUTH)
        self.assertEqual(self.connect().read("/alice"), NO_AUTH)
        self.server.wait_for_log(f"session 0x{alice.session_id:x}, as x509:{ALICE}")

    def test_an_identity_may_be_any_text(self):
        names = ["alice", "spiffe://example.org/ns/storm", "CN=Zoë Å,O=a:b", "CN=a\nb", "CN=" + "x" * 5000]
        for number, name in enumerate(names):
            with self.subTest(name=name[:40]):
                owner, path = self.connect(name), f"/any-{number}"
                self.assertEqual(owner.create(path, [(31, "x509", name)]), OK)
                self.assertEqual(owner.acl(path), [(31, "x509", name)])
                self.assertEqual(self.connect(BOB).read(path), NO_AUTH)
                self.assertEqual(owner.delete(path), OK)
        self.assertEqual(self.connect(ALICE).create("/none", [(31, "x509", "")]), INVALID_ACL)
        self.assertIn("as x509:CN=a\\u000ab", self.server.log())

    def test_a_super_assertion_gives_every_right(self):
        self.assertEqual(self.connect(ALICE).create("/of-alice"), OK)
        chief = self.connect(BOB, is_super=True)
        if self.has_who_am_i:
            self.assertEqual(chief.who_am_i(), ["super:", "x509:" + BOB])
        self.assertEqual(chief.read("/of-alice"), OK)
        self.assertEqual(chief.delete("/of-alice"), OK)

    def test_the_servers_own_super_user_is_one_behind_zoogate_if_zoogate_says_so_too(self):
        self.assertEqual(self.connect(ALICE).create("/not-of-root"), OK)
        # A certificate that bears the name, or bore it before, is no word of zoogate's operator.
        for before in [None, ALICE]:
            client = self.connect(before)
            self.assert_refused(client, assertion(NEW, client.session_id, ROOT), "identity.super of zoogate does not list it")
        root = self.connect(ROOT, is_super=True)
        if self.has_who_am_i:
            self.assertEqual(root.who_am_i(), ["super:", "x509:" + ROOT])
        self.assertEqual(root.read("/not-of-root"), OK)
        self.assertEqual(root.delete("/not-of-root"), OK)

    def test_a_session_may_get_several_identities(self):
        both = self.connect(ALICE)
        self.assertEqual(both.auth(assertion(OLD, both.session_id, BOB)), OK)
        self.assertEqual(both.create("/both"), OK)
        self.assertEqual(sorted(both.acl("/both")), [(31, "x509", ALICE), (31, "x509", BOB)])
        self.assertEqual(both.delete("/both"), OK)

    def test_identity_is_the_connections_and_a_resumed_session_has_none(self):
        alice = self.connect(ALICE)
        self.assertEqual(alice.create("/resumed"), OK)
        again = Client(self.server.address, resume=(alice.session_id, alice.password))
        self.addCleanup(again.socket.close)
        self.assertEqual(again.read("/resumed"), NO_AUTH)
        self.assertEqual(again.auth(assertion(NEW, again.session_id, ALICE)), OK)
        self.assertEqual(again.delete("/resumed"), OK)

    def test_whatever_is_not_a_genuine_assertion_is_refused(self):
        forged = "made with another secret, for another session, or tampered with"
        identity = base64url(ALICE.encode())

        def with_mac(mac, flag="", who=identity, version="zoogate1"):
            return f"{version}:{who}:{flag}:{base64url(mac)}"

        def right(session, flag=False):
            return mac_of(NEW, session, ALICE.encode(), flag)

        other = self.connect().session_id
        raw = ALICE.encode()
        cases = {
            "wrong secret": (lambda s: assertion(FOREIGN, s, ALICE), forged),
            "another session's": (lambda s: assertion(NEW, other, ALICE), forged),
            "no session's": (lambda s: assertion(NEW, 0, ALICE), forged),
            "next session's": (lambda s: assertion(NEW, s + 1, ALICE), forged),
            "another's identity": (lambda s: with_mac(right(s), who=base64url(BOB.encode())), forged),
            "identity cut": (lambda s: with_mac(right(s), who=base64url(raw[:-1])), forged),
            "raised to super": (lambda s: with_mac(right(s), flag="super"), forged),
            "super taken away": (lambda s: with_mac(right(s, True)), forged),
            "MAC for another use": (lambda s: with_mac(mac_of(NEW, s, raw, purpose=b"zoogate digest v1\0")), forged),
            "MAC without its purpose": (lambda s: with_mac(mac_of(NEW, s, raw, purpose=b"")), forged),
            "MAC of the identity alone": (lambda s: with_mac(hmac.digest(NEW, raw, "sha256")), forged),
            "MAC of zeros": (lambda s: with_mac(bytes(32)), forged),
            "one bit": (lambda s: with_mac(right(s)[:-1] + bytes([right(s)[-1] ^ 1])), forged),
            "MAC cut": (lambda s: with_mac(right(s)[:-1]), "wrong length"),
            "MAC with more behind": (lambda s: with_mac(right(s) + b"\0"), "wrong length"),
            "no MAC": (lambda s: with_mac(b""), "wrong length"),
            "no identity": (lambda s: assertion(NEW, s, ""), "identity is empty"),
            # Either not base64url or, one time in sixteen, a MAC that is too short.
            "last character cut": (lambda s: assertion(NEW, s, ALICE)[:-1], ""),
            "parts cut": (lambda s: "zoogate1:" + identity, "not four parts"),
            "a fifth part": (lambda s: assertion(NEW, s, ALICE) + ":", "not four parts"),
            "version 2": (lambda s: with_mac(right(s), version="zoogate2"), "not an assertion of version zoogate1"),
            "no version": (lambda s: with_mac(right(s), version=""), "not an assertion of version zoogate1"),
            "unknown flag": (lambda s: with_mac(right(s), flag="admin"), "third part"),
            "flag in capitals": (lambda s: with_mac(right(s, True), flag="SUPER"), "third part"),
            "padding": (lambda s: assertion(NEW, s, ALICE) + "=", "base64url"),
            "line end": (lambda s: assertion(NEW, s, ALICE) + "\n", "base64url"),
            "leftover bits": (lambda s: assertion(NEW, s, ALICE)[:-1] + self.sibling(assertion(NEW, s, ALICE)[-1]),
                              "base64url"),
            "identity not UTF-8": (lambda s: with_mac(mac_of(NEW, s, b"\xff\xfe"), who=base64url(b"\xff\xfe")), "UTF-8"),
            "empty": (lambda s: b"", "the packet is empty"),
            "null": (lambda s: None, "the packet is empty"),
            "a plain name": (lambda s: ALICE, "not an assertion of version zoogate1"),
            "binary": (lambda s: bytes(range(256)), "not an assertion of version zoogate1"),
            "very long": (lambda s: assertion(NEW, s, "x" * 200_000), "too long"),
        }
        for name, (make, reason) in cases.items():
            with self.subTest(name):
                client = self.connect()
                self.assert_refused(client, make(client.session_id), reason)

    def test_a_refused_packet_takes_the_whole_connection_with_it(self):
        client = self.connect(ALICE)
        self.assert_refused(client, assertion(FOREIGN, client.session_id, BOB), "another secret")

    def test_the_scheme_that_the_class_itself_has_on_newer_servers_admits_nobody(self):
        client = self.connect()
        self.assertEqual(client.auth(assertion(NEW, client.session_id, ALICE), scheme="zoogate"), AUTH_FAILED)
        self.assertTrue(client.is_closed())
        self.assertEqual(self.connect(ALICE).create("/odd", [(31, "zoogate", ALICE)]), INVALID_ACL)

    @unittest.skipUnless(REMOTE_ADDRESS, "no address but loopback: run.sh could not make a network namespace")
    def test_a_peer_that_is_not_loopback_is_refused_a_right_assertion(self):
        client = Client((REMOTE_ADDRESS, self.server.address[1]))
        self.addCleanup(client.socket.close)
        self.assertTrue(client.peer.startswith(f"/{REMOTE_ADDRESS}:"))
        self.assert_refused(client, assertion(NEW, client.session_id, ALICE), "the peer's address is not loopback")

    def test_any_loopback_address_will_do(self):
        for host in ["127.0.0.1", "127.0.0.2", "::1"]:
            with self.subTest(host=host), Client((host, self.server.address[1])) as client:
                self.assertEqual(client.auth(assertion(NEW, client.session_id, ALICE)), OK)

    def test_secrets_are_rotated_while_the_server_runs(self):
        self.addCleanup(self.prepare)
        for secret in [NEW, OLD]:
            self.connect(ALICE, secret)
        write_secrets(self.secrets, NEW)
        time.sleep(1.1)
        late = self.connect()
        self.assert_refused(late, assertion(OLD, late.session_id, ALICE), "another secret")
        self.connect(ALICE, NEW)
        write_secrets(self.secrets, FOREIGN)
        # At once, and not only when the second is over in which the file was read last.
        self.connect(ALICE, FOREIGN)
        gone = self.connect()
        self.assert_refused(gone, assertion(NEW, gone.session_id, ALICE), "another secret")

    def test_a_new_secret_of_the_same_size_and_time_is_noticed(self):
        self.addCleanup(self.prepare)
        write_secrets(self.secrets, OLD)
        before = self.secrets.stat()
        self.connect(ALICE, OLD)
        self.secrets.write_bytes(NEW + b"\n")
        os.utime(self.secrets, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assertEqual(self.secrets.stat().st_size, before.st_size)
        self.connect(ALICE, NEW)

    def test_a_broken_file_leaves_the_last_good_secrets_in_use(self):
        self.addCleanup(self.prepare)
        # Servers before 3.7 make their providers when the first auth packet comes: nothing was read until then.
        self.connect(ALICE)
        broken = {
            "line 2 has fewer than 32 bytes": [NEW, FOREIGN[:31]],
            "line 2 repeats a secret": [FOREIGN, FOREIGN],
            "no secret is in it": [b"# soon", b""],
            "line 1 is not plain text": [b"\xef\xbb\xbf" + FOREIGN],
            "line 3 is not plain text": [FOREIGN, b"", NEW.replace(b" ", b"\r", 1)],
            "line 4 is not plain text": [FOREIGN, b"", b"", b"#\xff"],
            "more than 8 secrets": [FOREIGN + b"%d" % number for number in range(9)],
            "longer than 65536 bytes": [FOREIGN, b"#" * 70_000],
        }
        for reason, lines in broken.items():
            with self.subTest(reason):
                write_secrets(self.secrets, *lines)
                foreign = self.connect()
                self.assert_refused(foreign, assertion(FOREIGN, foreign.session_id, ALICE), "another secret")
                self.connect(ALICE, NEW)
                line = self.server.wait_for_log(reason)
                self.assertIn("ERROR", line)
                self.assertIn("The secrets read before stay in use.", line)
        self.secrets.unlink()
        time.sleep(1.1)
        self.connect(ALICE, OLD)
        self.server.wait_for_log("there is no such file. The secrets read before stay in use.")
        write_secrets(self.secrets, NEW, *[FOREIGN + b"%d" % number for number in range(7)])
        self.connect(ALICE, FOREIGN + b"6")

    @staticmethod
    def sibling(character):
        """Decodes to the same bytes at the end of 43 characters, for whoever doesn't look at the last two bits."""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        return alphabet[alphabet.index(character) ^ 1]


class NoSecret(ServerTest):
    @classmethod
    def prepare(cls):
        """No file."""

    def test_without_a_secret_all_are_refused_until_there_is_one(self):
        client = self.connect()
        self.assert_refused(client, assertion(NEW, client.session_id, ALICE), "no secret could be read")
        self.server.wait_for_log("there is no such file. Every assertion is refused until it is.")
        # HMAC under an empty key is something that anyone can compute.
        empty = self.connect()
        self.assert_refused(empty, assertion(b"", empty.session_id, ALICE), "no secret could be read")
        write_secrets(self.secrets, NEW)
        self.connect(ALICE)
        self.server.wait_for_log("Read 1 secret(s)")


class NoSetting(ServerTest):
    @classmethod
    def settings(cls):
        return {}, {}

    def test_a_server_that_was_told_of_no_file_starts_and_refuses(self):
        client = self.connect()
        self.assert_refused(client, assertion(NEW, client.session_id, ALICE), "no secret could be read")
        self.server.wait_for_log("neither the system property zoogate.secretFile nor a line of that name in zoo.cfg")
        self.assertEqual(self.connect().create("/open", [(31, "world", "anyone")]), OK)


class Ensemble(ServerTest):
    @classmethod
    def start(cls):
        cls.servers = Server.ensemble(cls.version, cls.factory, cls.settings()[0])
        cls.server = cls.servers[0]
        for server in cls.servers:
            cls.addClassCleanup(server.stop)

    def client_of(self, server, identity):
        client = Client(server.address)
        self.addCleanup(client.socket.close)
        self.assertEqual(client.auth(assertion(NEW, client.session_id, identity)), OK)
        return client

    def test_the_leader_judges_writes_by_what_another_server_was_told(self):
        for number, server in enumerate(self.servers):
            with self.subTest(server=number):
                alice, bob, path = self.client_of(server, ALICE), self.client_of(server, BOB), f"/from-{number}"
                self.assertEqual(alice.create(path), OK)
                self.assertEqual(alice.create(path + "/child"), OK)
                self.assertEqual(bob.create(path + "/intruder"), NO_AUTH)
                self.assertEqual(bob.delete(path + "/child"), NO_AUTH)
                self.assertEqual(bob.create(f"/given-{number}", [(31, "x509", "alice")]), OK)
                self.assertEqual(self.client_of(server, "alice").acl(f"/given-{number}"), [(31, "x509", "alice")])

    def test_an_assertion_is_good_for_no_session_of_another_server(self):
        elsewhere = self.client_of(self.servers[1], ALICE)
        client = self.connect()
        self.assert_refused(client, assertion(NEW, elsewhere.session_id, ALICE), "for another session")


class Enforcement(ServerTest):
    first_version = "3.7"

    @classmethod
    def settings(cls):
        lines = {"zoogate.secretFile": cls.secrets, "enforce.auth.enabled": "true", "enforce.auth.schemes": "x509"}
        return lines, {}

    def test_whoever_bypasses_the_gate_is_turned_away(self):
        self.assertEqual(self.connect(ALICE).create("/enforced", [(31, "world", "anyone")]), OK)
        bare = self.connect()
        self.assertEqual(bare.read("/enforced"), SESSION_CLOSED)
        self.assertTrue(bare.is_closed())
        digest = self.connect()
        self.assertEqual(digest.auth("alice:password", scheme="digest"), OK)
        self.assertEqual(digest.read("/enforced"), SESSION_CLOSED)
        self.assertEqual(self.connect(BOB).read("/enforced"), OK)


class NativeTls(ServerTest):
    first_version = "3.5"
    client_auth = "need"

    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.remove)
        super().setUpClass()
        cls.secure = ("127.0.0.1", cls.secure_port)

    @classmethod
    def settings(cls):
        cls.secure_port = free_port()
        return {
            "zoogate.secretFile": cls.secrets,
            "secureClientPort": cls.secure_port,
            "ssl.clientAuth": cls.client_auth,
            "ssl.keyStore.location": cls.pki.path("server.pem"),
            "ssl.trustStore.location": cls.pki.path("ca.crt").rename(cls.pki.path("ca.pem")),
        }, {}

    def tls(self, name=None):
        context = ssl.create_default_context(cafile=self.pki.path("ca.pem"))
        if name is not None:
            context.load_cert_chain(self.pki.path(f"{name}.pem"))
        return context

    def connect_tls(self, name=None):
        client = Client(self.secure, tls=self.tls(name))
        self.addCleanup(client.socket.close)
        return client


class NativeTlsNeeded(NativeTls):
    def test_certificates_give_identities_on_the_native_port_and_assertions_on_the_plain_one(self):
        native = self.connect_tls("alice")
        if self.has_who_am_i:
            self.assertEqual(native.who_am_i(), ["x509:" + ALICE])
        self.assertEqual(native.create("/native"), OK)
        self.assertEqual(native.acl("/native"), [(31, "x509", ALICE)])
        self.assertEqual(self.connect(ALICE).read("/native"), OK)
        self.assertEqual(self.connect(BOB).read("/native"), NO_AUTH)
        self.assertEqual(self.connect(ALICE).create("/gated"), OK)
        self.assertEqual(native.read("/gated"), OK)
        self.assertEqual(self.connect_tls("alice").delete("/native"), OK)

    def test_no_certificate_and_a_foreign_one_open_no_session(self):
        for name in [None, "mallory"]:
            with self.subTest(name):
                with self.assertRaises((Refused, ssl.SSLError, ConnectionError)):
                    self.connect_tls(name)

    def test_an_assertion_gains_a_native_client_nothing(self):
        self.assertEqual(self.connect(BOB).create("/of-bob"), OK)
        for secret in [FOREIGN, NEW]:
            for is_super in [False, True]:
                with self.subTest(secret=secret, is_super=is_super):
                    native = self.connect_tls("alice")
                    # What ZooKeeper's own provider does: it adds the certificate's identity again.
                    self.assertEqual(native.auth(assertion(secret, native.session_id, BOB, is_super)), OK)
                    if self.has_who_am_i:
                        self.assertEqual(native.who_am_i(), ["x509:" + ALICE])
                    self.assertEqual(native.read("/of-bob"), NO_AUTH)


class NativeTlsWanted(NativeTls):
    client_auth = "want"

    def test_a_native_client_without_certificate_can_assert_nothing(self):
        bare = self.connect_tls()
        self.assert_refused(bare, assertion(NEW, bare.session_id, ALICE), "showed no certificate")

    def test_a_foreign_certificate_opens_no_session(self):
        with self.assertRaises((Refused, ssl.SSLError, ConnectionError)):
            self.connect_tls("mallory")


class NativeTlsUnified(NativeTls):
    """TLS and plaintext on one port (client.portUnification)."""

    @classmethod
    def settings(cls):
        lines, properties = super().settings()
        del lines["secureClientPort"]
        return lines | {"client.portUnification": "true"}, properties

    def test_the_shared_port_takes_certificates_and_assertions_each_their_way(self):
        self.assertEqual(self.connect(BOB).create("/unified"), OK)
        native = Client(self.server.address, tls=self.tls("alice"))
        self.addCleanup(native.socket.close)
        self.assertEqual(native.auth(assertion(NEW, native.session_id, BOB)), OK)
        self.assertEqual(native.read("/unified"), NO_AUTH)
        self.assertEqual(self.connect(BOB).read("/unified"), OK)
        for name in [None, "mallory"]:
            with self.subTest(name), self.assertRaises((Refused, ssl.SSLError, ConnectionError)):
                Client(self.server.address, tls=self.tls(name))


class NativeTlsReloaded(NativeTls):
    """The server makes a new provider whenever its certificates change (client.certReload)."""

    first_version = "3.9"

    @classmethod
    def settings(cls):
        lines, properties = super().settings()
        return lines | {"client.certReload": "true"}, properties

    def test_new_certificates_leave_the_provider_and_its_secrets_in_place(self):
        self.addCleanup(self.prepare)
        self.connect(ALICE)
        self.connect_tls("alice")
        with self.assertRaises((Refused, ssl.SSLError, ConnectionError)):
            self.connect_tls("mallory")
        write_secrets(self.secrets, b"too short")
        both = self.pki.path("ca.crt.new")
        both.write_bytes(self.pki.path("ca.pem").read_bytes() + self.pki.path("elsewhere.crt").read_bytes())
        both.replace(self.pki.path("ca.pem"))
        deadline = time.monotonic() + 30
        while True:
            try:
                newly_trusted = self.connect_tls("mallory")
                break
            except (Refused, ssl.SSLError, ConnectionError):
                self.assertLess(time.monotonic(), deadline, "the new authority is not trusted")
                time.sleep(0.5)
        self.assertEqual(newly_trusted.create("/reloaded"), OK)
        self.assertEqual(newly_trusted.acl("/reloaded"), [(31, "x509", ALICE)])
        self.assertEqual(self.connect(ALICE).read("/reloaded"), OK)
        forged = self.connect()
        self.assert_refused(forged, assertion(FOREIGN, forged.session_id, ALICE), "another secret")


class NamedDirectly(ServerTest):
    """GateX509AuthenticationProvider in place of the class that chooses."""

    first_version = "3.5"

    @classmethod
    def settings(cls):
        name = PROVIDER.replace("GateAuth", "GateX509Auth")
        return {"zoogate.secretFile": cls.secrets, "authProvider.x509": name}, {}

    def test_the_class_may_be_named_itself(self):
        self.assertEqual(self.connect(ALICE).create("/direct"), OK)
        client = self.connect()
        self.assert_refused(client, assertion(FOREIGN, client.session_id, ALICE), "another secret")


class Jar(unittest.TestCase):
    def test_the_jar_is_java_8_and_has_nothing_but_our_package(self):
        with zipfile.ZipFile(JAR) as jar:
            classes = [name for name in jar.namelist() if not name.endswith("/") and name != "META-INF/MANIFEST.MF"]
            self.assertIn("io/zoogate/zookeeper/GateAuthenticationProvider.class", classes)
            for name in classes:
                self.assertTrue(name.startswith("io/zoogate/zookeeper/"), name)
                self.assertEqual(jar.read(name)[:8], b"\xca\xfe\xba\xbe\0\0\0\x34", name)

    def test_an_assertion_is_made_of_these_bytes(self):
        # The examples of the provider's README.md, made here by what every other test makes assertions with.
        secret = b"0123456789abcdef0123456789abcdef"
        self.assertEqual(assertion(secret, 0x0100_0000_0000_002A, "CN=alice,O=Acme"),
                         "zoogate1:Q049YWxpY2UsTz1BY21l::_HV3ALPGiNbVXrJ7BVVIOyqlIe0HpLJABz1vCKbIQ90")
        self.assertEqual(assertion(secret, 0xFF00_0000_0000_002A, "CN=Zoë", is_super=True),
                         "zoogate1:Q049Wm_Dqw:super:uRfyNQssRyF13zFnJz5vkffPMB4nfkmftFsNlPuLMi0")


def load_tests(loader, _tests, _pattern):
    """A class per kind of test, version and factory, named like Assertions_3_9_5_netty."""
    suite = loader.loadTestsFromTestCase(Jar)
    kinds = [Assertions, NoSecret, NoSetting, Ensemble, Enforcement, NamedDirectly,
             NativeTlsNeeded, NativeTlsWanted, NativeTlsUnified, NativeTlsReloaded]
    for version in VERSIONS:
        numbers = [int(part) for part in version.split(".")]
        for kind in kinds:
            if numbers < [int(part) for part in kind.first_version.split(".")]:
                continue
            for factory in ["Netty"] if issubclass(kind, NativeTls) else ["NIO", "Netty"]:
                name = f"{kind.__name__}_{version.replace('.', '_')}_{factory.lower()}"
                case = type(name, (kind,), {"version": version, "factory": factory, "__module__": __name__})
                suite.addTests(loader.loadTestsFromTestCase(case))
    return suite
