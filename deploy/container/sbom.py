"""The image's bill of materials, CycloneDX 1.5: the crates that the program itself says it is made of, and the packages
of the C library. The same root file system gives the same bytes.

    sbom.py ROOT > sbom.cdx.json       # at the top of the repository that the program was built from

The list in the program has too much: what only tests turn on, since Cargo's metadata can't tell it apart. What Cargo does
not compile for the program is left out here, and what only takes part in the building has the scope `excluded`.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import uuid
import zlib


def main():
    root = pathlib.Path(sys.argv[1])
    program = root / "usr/bin/zoogate"
    linked, compiled = tree("normal,no-proc-macro"), tree("normal,build")
    crates = embedded(program)["packages"]
    missing = linked.keys() - {key(crate) for crate in crates}
    if missing:
        sys.exit(f"sbom.py: the program says nothing of {missing}")
    own = next(crate for crate in crates if crate.get("root"))
    kept = [crate for crate in crates if key(crate) in compiled]
    packages = [package(path) for path in sorted((root / "var/lib/dpkg/status.d").iterdir())]
    main_component = describe(own, linked, compiled) | {
        "type": "application",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(program.read_bytes()).hexdigest()}],
    }
    links = [
        {"ref": purl(crate),
         "dependsOn": sorted(purl(crates[n]) for n in crate.get("dependencies", []) if key(crates[n]) in compiled)
         + ([p["bom-ref"] for p in packages] if crate is own else [])}
        for crate in kept
    ]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": main_component},
        "components": [describe(crate, linked, compiled) for crate in kept if crate is not own] + packages,
        "dependencies": links + [{"ref": p["bom-ref"], "dependsOn": []} for p in packages],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(bill, sort_keys=True))
    json.dump(bill | {"serialNumber": f"urn:uuid:{serial}"}, sys.stdout, indent=1, sort_keys=True)
    print()


def tree(edges):
    """The crates that Cargo reaches over these edges, with their licences."""
    lines = subprocess.run(
        ["cargo", "tree", "--locked", "--quiet", "--edges", edges, "--prefix", "none", "--no-dedupe", "--format", "{p}\t{l}"],
        check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    crates = {}
    for crate, licence in (line.split("\t") for line in lines):
        name, version = crate.split(" ")[:2]
        crates[name, version.removeprefix("v")] = licence
    return crates


def embedded(program):
    """What cargo-auditable has written into the program."""
    with tempfile.TemporaryDirectory() as directory:
        section = pathlib.Path(directory) / "section"
        subprocess.run(["objcopy", "--dump-section", f".dep-v0={section}", program, "/dev/null"], check=True)
        return json.loads(zlib.decompress(section.read_bytes()))


def key(crate):
    return crate["name"], crate["version"]


def purl(crate):
    return "pkg:cargo/{}@{}".format(*key(crate))


def describe(crate, linked, compiled):
    component = {"type": "library", "name": crate["name"], "version": crate["version"], "purl": purl(crate),
                 "bom-ref": purl(crate), "scope": "required" if key(crate) in linked else "excluded"}
    licence = compiled[key(crate)]
    if licence:
        # The slash is an old way to write OR.
        component["licenses"] = [{"expression": " OR ".join(part.strip() for part in licence.split("/"))}]
    return component


def package(path):
    fields = dict(line.split(": ", 1) for line in path.read_text().splitlines())
    name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
    purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={architecture}"
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl, "scope": "required"}


main()
