"""Packs a root file system as an image of one layer, in a tarball that is an OCI layout and takes `docker load` too.

    oci.py ROOT DOCKERFILE NAME TARBALL [ARG=VALUE…]

User, entry point, labels and the like are those of the Dockerfile's last stage. The same files give the same bytes:
times are SOURCE_DATE_EPOCH (0 without), owners are root, the order is that of names. The layer is not compressed, for
compressors differ; registries' tools compress it on the way.
"""

import datetime
import hashlib
import io
import json
import os
import pathlib
import platform
import shlex
import string
import sys
import tarfile

EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MEDIA = "application/vnd.oci.image"


def main():
    root, dockerfile, name, out, *arguments = sys.argv[1:]
    image = last_stage(pathlib.Path(dockerfile).read_text(), dict(a.split("=", 1) for a in arguments))
    blobs = {}

    def add(kind, data):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"{MEDIA}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    layer = add("layer.v1.tar", pack(pathlib.Path(root)))
    machine = {"architecture": ARCHITECTURES[platform.machine()], "os": "linux"}
    created = datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    history = [{"created": created, "created_by": "deploy/container/build.sh"}]
    config = add("config.v1+json", dump(machine | {
        "created": created, "config": image, "history": history,
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}))
    manifest = add("manifest.v1+json", dump({
        "schemaVersion": 2, "mediaType": f"{MEDIA}.manifest.v1+json", "config": config, "layers": [layer],
        "annotations": {k: v for k, v in image.get("Labels", {}).items() if k.startswith("org.opencontainers.")}}))
    names = {"io.containerd.image.name": full_name(name), "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    index = {"schemaVersion": 2, "mediaType": f"{MEDIA}.index.v1+json",
             "manifests": [manifest | {"platform": machine, "annotations": names}]}
    path_of = "blobs/sha256/{}".format
    for_docker = [{"Config": path_of(config["digest"][7:]), "RepoTags": [name], "Layers": [path_of(layer["digest"][7:])]}]
    files = blobs | {"oci-layout": dump({"imageLayoutVersion": "1.0.0"}), "index.json": dump(index),
                     "manifest.json": dump(for_docker)}
    with tarfile.open(f"{out}.new", "w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(files):
            entry = plain(tarfile.TarInfo(path))
            entry.size, entry.mode = len(files[path]), 0o644
            tar.addfile(entry, io.BytesIO(files[path]))
    os.rename(f"{out}.new", out)
    print(f"{out}: {name} {manifest['digest']}")


def dump(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def full_name(name):
    """As containerd keeps it: with the registry that Docker leaves out."""
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"


def plain(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH
    return entry


def pack(root):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, str(path.relative_to(root)), recursive=False, filter=plain)
    return out.getvalue()


def last_stage(text, arguments):
    """The image's settings, from the instructions of the Dockerfile that concern them."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    instructions = [line.split(None, 1) for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]
    start = max(n for n, (word, _) in enumerate(instructions) if word == "FROM")
    image, values = {}, {}

    def pairs(rest):
        return [word.split("=", 1) for word in shlex.split(string.Template(rest).substitute(values))]

    for word, rest in instructions[start + 1:]:
        if word == "ARG":
            name, default = rest.split("=", 1)
            values[name] = arguments.get(name, default)
        elif word == "LABEL":
            image.setdefault("Labels", {}).update(pairs(rest))
        elif word == "ENV":
            image.setdefault("Env", []).extend("=".join(pair) for pair in pairs(rest))
        elif word == "USER":
            image["User"] = rest
        elif word == "WORKDIR":
            image["WorkingDir"] = rest
        elif word == "EXPOSE":
            image["ExposedPorts"] = {f"{port}/tcp": {} for port in rest.split()}
        elif word in ("ENTRYPOINT", "CMD"):
            image[{"ENTRYPOINT": "Entrypoint", "CMD": "Cmd"}[word]] = json.loads(rest)
        elif word != "COPY":
            sys.exit(f"oci.py: what is {word} {rest}?")
    unknown = arguments.keys() - values.keys()
    if unknown:
        sys.exit(f"oci.py: the last stage has no ARG {', '.join(sorted(unknown))}")
    return image


main()
