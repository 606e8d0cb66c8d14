"""Real ZooKeeper servers, and the certificates of their native TLS ports."""

import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import time

from wire import Client, Refused

JAR = os.environ["ZOOGATE_PROVIDER_JAR"]
ROOM = pathlib.Path(os.environ["ZOOGATE_PROVIDER_TESTS"])
VERSIONS = os.environ["ZOOKEEPER_VERSIONS"].split()
REMOTE_ADDRESS = os.environ.get("ZOOGATE_REMOTE_ADDRESS")
PROVIDER = "io.zoogate.zookeeper.GateAuthenticationProvider"


def free_port():
    # Below the ports that Linux gives to clients: among those are our own, while they wait for a server to listen.
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Server:
    """A server with the provider, up and running. `lines` go into zoo.cfg, `properties` onto the command line."""

    def __init__(self, version, factory, lines=None, properties=None):
        self._start(version, factory, lines, properties)
        self._wait()

    @classmethod
    def ensemble(cls, version, factory, lines):
        """Three servers that elect a leader."""
        members = {f"server.{n}": f"127.0.0.1:{free_port()}:{free_port()}" for n in [1, 2, 3]}
        servers = [cls.__new__(cls) for _ in members]
        try:
            for number, server in enumerate(servers, start=1):
                server._start(version, factory, {"initLimit": 10, "syncLimit": 5} | members | lines, None, number)
            for server in servers:
                server._wait()
        except BaseException:
            for server in servers:
                server.stop()
            raise
        return servers

    def _start(self, version, factory, lines, properties, number=0):
        self.version = tuple(int(part) for part in version.split("."))
        ROOM.mkdir(parents=True, exist_ok=True)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{version}-{factory}-", dir=ROOM))
        self.address = ("127.0.0.1", free_port())
        settings = {
            "tickTime": 2000,
            "dataDir": self.directory / "data",
            "clientPort": self.address[1],
            "maxClientCnxns": 0,
            "authProvider.x509": PROVIDER,
        } | (lines or {})
        (self.directory / "data").mkdir()
        (self.directory / "data" / "myid").write_text(f"{number}\n")
        config = self.directory / "zoo.cfg"
        config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        java = {
            "zookeeper.serverCnxnFactory": f"org.apache.zookeeper.server.{factory}ServerCnxnFactory",
            "zookeeper.admin.enableServer": "false",
            "zookeeper.jmx.log4j.disable": "true",
        } | (properties or {})
        class_path = (ROOM / "cp" / f"{version}.txt").read_text() + os.pathsep + JAR
        self.log_file = self.directory / "log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", class_path]
                + [f"-D{key}={value}" for key, value in java.items()]
                + ["org.apache.zookeeper.server.quorum.QuorumPeerMain", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _wait(self):
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                Client(self.address).__exit__()
                return
            except (OSError, Refused):
                time.sleep(0.1)
        log = self.log()
        self.stop()
        raise AssertionError("the server does not serve:\n" + log)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def wait_for_log(self, text):
        """Waits until the log has the text, and returns the last line that has it."""
        for _ in range(100):
            for line in reversed(self.log().splitlines()):
                if text in line:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"{text!r} is not in the log:\n" + self.log())

    def stop(self):
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.directory, ignore_errors=True)


class Pki:
    """An authority, a server's certificate, and those of clients: alice, and mallory from elsewhere."""

    def __init__(self):
        ROOM.mkdir(parents=True, exist_ok=True)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pki-", dir=ROOM))
        self.authority("ca")
        self.authority("elsewhere")
        self.leaf("server", "ca", "/CN=localhost")
        self.leaf("alice", "ca", "/O=Acme/CN=alice")
        self.leaf("mallory", "elsewhere", "/O=Acme/CN=alice")

    def authority(self, name):
        self._openssl("req", "-x509", *self._new_key(name), "-out", f"{name}.crt", "-days", "30", "-subj", f"/CN={name}")

    def leaf(self, name, issuer, subject):
        (self.directory / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl("req", *self._new_key(name), "-out", f"{name}.csr", "-subj", subject)
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key",
                      "-CAcreateserial", "-days", "30", "-extfile", "san", "-out", f"{name}.crt")
        (self.directory / f"{name}.pem").write_bytes(self.path(f"{name}.key").read_bytes()
                                                     + self.path(f"{name}.crt").read_bytes())

    def path(self, name):
        return self.directory / name

    def remove(self):
        shutil.rmtree(self.directory)

    @staticmethod
    def _new_key(name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)
