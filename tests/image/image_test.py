"""What is in the image, what it says of itself, and that it does its work with no more than it needs."""

import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest

from compose_spec import PyCompose
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
IMAGE = pathlib.Path(os.environ["ZOOGATE_IMAGE"]).resolve()
ZOOKEEPER_IMAGE = REPOSITORY / "target/zookeeper-image.tar"
PAGE = REPOSITORY / "docs/install-docker.md"
COMPOSE = REPOSITORY / "deploy/container/compose"


def manifest():
    with tarfile.open(IMAGE) as tar:
        blobs = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}
    index = json.loads(blobs["index.json"])
    return blobs, index["manifests"][0]


def blob(blobs, descriptor):
    data = blobs["blobs/" + descriptor["digest"].replace(":", "/")]
    assert len(data) == descriptor["size"], descriptor
    return data


class Content(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.blobs, cls.descriptor = manifest()
        cls.manifest = json.loads(blob(cls.blobs, cls.descriptor))
        cls.config = json.loads(blob(cls.blobs, cls.manifest["config"]))
        cls.room = tempfile.TemporaryDirectory(prefix="zoogate-image-")
        cls.addClassCleanup(cls.room.cleanup)
        cls.root = pathlib.Path(cls.room.name)
        (layer,) = cls.manifest["layers"]
        (cls.root / "layer.tar").write_bytes(blob(cls.blobs, layer))

    def entries(self):
        with tarfile.open(self.root / "layer.tar") as tar:
            return list(tar)

    def read(self, name):
        with tarfile.open(self.root / "layer.tar") as tar:
            return tar.extractfile(name).read()

    def test_every_part_is_what_its_digest_says(self):
        for name, data in self.blobs.items():
            if name.startswith("blobs/"):
                self.assertEqual(name, f"blobs/sha256/{hashlib.sha256(data).hexdigest()}")
        (layer,) = self.manifest["layers"]
        self.assertEqual(self.config["rootfs"]["diff_ids"], [layer["digest"]])
        (for_docker,) = json.loads(self.blobs["manifest.json"])
        self.assertEqual(for_docker["Layers"], ["blobs/" + layer["digest"].replace(":", "/")])
        self.assertEqual(for_docker["Config"], "blobs/" + self.manifest["config"]["digest"].replace(":", "/"))

    def test_it_is_named_by_its_version(self):
        version = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["package"]["version"]
        self.assertEqual(self.descriptor["annotations"]["io.containerd.image.name"], f"docker.io/library/zoogate:{version}")
        labels = self.config["config"]["Labels"]
        self.assertEqual(labels["org.opencontainers.image.version"], version)
        self.assertRegex(labels["org.opencontainers.image.revision"], r"^([0-9a-f]{40}(-changed)?|unknown)$")
        self.assertEqual(labels["org.opencontainers.image.licenses"], "Apache-2.0")
        for name in ["title", "description"]:
            self.assertTrue(labels[f"org.opencontainers.image.{name}"])
        for place in [REPOSITORY / "deploy/container/Dockerfile", COMPOSE / "compose.yaml", PAGE]:
            self.assertEqual(set(re.findall(r"zoogate:(\d[\w.-]*)", place.read_text())), {version}, place)

    def test_it_runs_the_program_as_nobody_in_particular(self):
        config = self.config["config"]
        self.assertEqual(config["User"], "65532:65532")
        self.assertEqual(config["Entrypoint"], ["/usr/bin/zoogate"])
        self.assertEqual(config["Cmd"], ["run", "--config", "/etc/zoogate/zoogate.yaml"])
        self.assertEqual(config["Env"], ["PATH=/usr/bin"])

    def test_it_holds_what_it_must_and_nothing_else(self):
        triplet = f"{platform.machine()}-linux-gnu"
        found = [f"{stat.filemode(e.mode | (stat.S_IFDIR if e.isdir() else stat.S_IFREG))} {e.name}".replace(triplet, "TRIPLET")
                 for e in self.entries()]
        self.assertEqual(found, (HERE / "files.txt").read_text().splitlines())

    def test_everything_in_it_is_root_s_and_without_set_uid(self):
        for entry in self.entries():
            self.assertTrue(entry.isfile() or entry.isdir(), entry.name)
            self.assertEqual((entry.uid, entry.gid, entry.mode & 0o7022), (0, 0, 0), entry.name)

    def test_the_bill_of_materials_lists_the_crates_and_the_c_library(self):
        text = self.read("usr/share/doc/zoogate/sbom.cdx.json").decode()
        self.assertIsNone(JsonStrictValidator(SchemaVersion.V1_5).validate_str(text))
        bill = json.loads(text)
        components = [bill["metadata"]["component"], *bill["components"]]
        crates = {f"{c['name']} v{c['version']}" for c in components
                  if c["purl"].startswith("pkg:cargo/") and c.get("scope") == "required"}
        self.assertEqual(crates, set((REPOSITORY / "target/image/crates.txt").read_text().splitlines()))
        self.assertNotIn("ring", {c["name"] for c in components}, "only tests use it")
        packages = {c["name"] for c in components if c["purl"].startswith("pkg:deb/")}
        self.assertEqual(packages, {"libc6", "libgcc-s1"})
        program = hashlib.sha256(self.read("usr/bin/zoogate")).hexdigest()
        self.assertEqual(bill["metadata"]["component"]["hashes"][0]["content"], program)


class Docker(unittest.TestCase):
    """Commands run by `docker`, which is the stand-in beside this file."""

    @classmethod
    def setUpClass(cls):
        room = tempfile.TemporaryDirectory(prefix="zoogate-docker-images-")
        cls.addClassCleanup(room.cleanup)
        cls.loaded = pathlib.Path(room.name)
        docker = [sys.executable, HERE / "docker"]
        subprocess.run([*docker, "load", "--input", ZOOKEEPER_IMAGE], env=os.environ | {"FAKE_DOCKER": room.name}, check=True,
                       stdout=subprocess.DEVNULL)
        # The published image's tag.
        for ending in ["", ".json"]:
            (cls.loaded / f"images/zookeeper:3.9.5{ending}").rename(cls.loaded / f"images/zookeeper:3.9{ending}")

    def setUp(self):
        room = tempfile.TemporaryDirectory(prefix="zoogate-docker-")
        self.addCleanup(room.cleanup)
        self.room = pathlib.Path(room.name)
        self.state = self.room / "docker"
        tools = self.room / "tools"
        tools.mkdir()
        (tools / "docker").write_text(f'#!/bin/sh\nexec {sys.executable} {HERE}/docker "$@"\n')
        # The image is made already, perhaps another one than the page makes.
        (tools / "make").write_text('#!/bin/sh\n[ "$*" = image ]\n')
        for tool in tools.iterdir():
            tool.chmod(0o755)
        self.environment = os.environ | {"FAKE_DOCKER": str(self.state), "PATH": f"{tools}:{os.environ['PATH']}"}
        subprocess.run(["cp", "-al", self.loaded, self.state], check=True)
        self.addCleanup(self.end_containers)
        self.work = self.room / "clone"
        (self.work / "deploy/container").mkdir(parents=True)
        (self.work / "target").mkdir()
        shutil.copytree(COMPOSE, self.work / "deploy/container/compose")
        os.symlink(IMAGE, self.work / "target/zoogate-image.tar")

    def end_containers(self):
        for pid in self.state.glob("containers/*/pid"):
            try:
                os.kill(int(pid.read_text()), 9)
            except ProcessLookupError:
                pass

    def sh(self, script, directory=None):
        """Runs a script to its end, and returns all that it printed."""
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=directory or self.room, env=self.environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               timeout=120)
        logs = "".join(log.read_text() for log in self.state.glob("containers/*/log"))
        self.assertEqual(ended.returncode, 0, f"{script}\n{ended.stdout}\n{logs}")
        return ended.stdout

    def pid(self, container):
        return int((self.state / f"containers/{container}/pid").read_text())


class Page(Docker):
    """docs/install-docker.md, command by command."""

    def test_its_commands_lead_from_nothing_to_who_am_i(self):
        text = PAGE.read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
        make, certificates, owner, ask, up, who_am_i, look, alone, stop = blocks
        self.sh(make, self.work)
        self.sh(certificates, self.work)
        zoo = self.work / "zoo"
        self.sh(owner, zoo)
        asked = self.sh(ask, zoo)
        self.assertIn("zoogate.yaml: ok", asked)
        self.assertIn("CN=alice,O=Acme", asked)
        self.sh(up, zoo)
        self.assertIn("x509/CN=alice%2CO=Acme", self.sh(who_am_i, zoo))
        self.check_rights(self.pid("gate"))
        self.assertIn('"identity":"CN=alice,O=Acme"', self.sh(look, zoo))
        self.assertIn("stopped", (self.state / "gate.log").read_text(), "the gate ended in good order")
        self.sh(alone, zoo)
        self.assertIn("x509/CN=alice%2CO=Acme", self.sh(who_am_i, zoo))
        self.sh(stop, zoo)
        self.assertEqual(list((self.state / "containers").iterdir()), [])

    def check_rights(self, pid):
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        self.assertEqual(set(status["Uid"].split() + status["Gid"].split()), {"65532"})
        self.assertEqual(status["NoNewPrivs"], "1")
        for kind in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]:
            self.assertEqual(int(status[kind], 16), 0, kind)

    def test_its_compose_file_is_one(self):
        text = (COMPOSE / "compose.yaml").read_text()
        PyCompose.from_yaml(text).validate()
        with self.assertRaises(ValueError):
            PyCompose.from_yaml(text.replace("cap_drop", "cap_dorp"))

    def test_it_shows_the_files_that_are_there(self):
        text = PAGE.read_text()
        for file in ["compose.yaml", "gate/zoogate.yaml"]:
            self.assertIn(f"```yaml\n{(COMPOSE / file).read_text()}```\n", text, file)


class Names(Docker):
    """An upstream host given by name."""

    def start(self, hosts):
        blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
        self.sh(blocks[0] + blocks[1], self.work)
        zoo = self.work / "zoo"
        config = zoo / "gate/zoogate.yaml"
        config.write_text(config.read_text().replace("127.0.0.1:2181", "zookeeper.internal:2181"))
        self.sh(blocks[2], zoo)
        (zoo / "hosts").write_text(hosts)
        (zoo / "resolv.conf").write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
        self.sh('docker run --detach --name zookeeper --volume "$PWD/zoo.cfg:/conf/zoo.cfg:ro" --volume data:/data zookeeper:3.9\n'
                'docker run --detach --name gate --volume "$PWD/gate:/etc/zoogate:ro" '
                '--volume "$PWD/hosts:/etc/hosts:ro" --volume "$PWD/resolv.conf:/etc/resolv.conf:ro" zoogate:0.1.0', zoo)
        return zoo, blocks[5]

    def check_who_am_i(self, zoo, who_am_i):
        self.sh("for n in $(seq 60); do docker exec gate zoogate probe && exit; sleep 0.5; done; exit 1", zoo)
        self.assertIn("x509/CN=alice%2CO=Acme", self.sh(who_am_i, zoo))

    def test_is_looked_up_in_the_hosts_file(self):
        self.check_who_am_i(*self.start("127.0.0.1 localhost zookeeper.internal\n"))

    def test_is_looked_up_in_the_dns(self):
        server = subprocess.Popen([sys.executable, HERE / "dns.py"], stdout=subprocess.PIPE)
        self.addCleanup(server.wait)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.kill)
        self.assertEqual(server.stdout.readline(), b"ready\n")
        self.check_who_am_i(*self.start("127.0.0.1 localhost\n"))


class Hooks(Docker):
    """The verbs that probes and hooks run, where no other tool is."""

    def test_a_probe_tells_why_not_and_a_hook_sees_the_end(self):
        blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
        self.sh(blocks[0] + blocks[1], self.work)
        zoo = self.work / "zoo"
        self.sh(blocks[2], zoo)
        self.sh('docker run --detach --name gate --volume "$PWD/gate:/etc/zoogate:ro" zoogate:0.1.0', zoo)
        self.sh("for n in $(seq 60); do docker exec gate zoogate probe --live && exit; sleep 0.2; done; exit 1", zoo)
        told = self.sh("docker exec gate zoogate probe --ready || echo code=$?", zoo)
        self.assertRegex(told, r"^not ready: upstream_(unreachable|unknown)\ncode=1\n$")
        self.assertEqual(self.sh("docker exec gate zoogate wait-upstream-closed", zoo), "127.0.0.1:2181 is closed\n")


if __name__ == "__main__":
    unittest.main()
