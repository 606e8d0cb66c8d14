"""The image's bill of materials, CycloneDX 1.5: the crates that the program itself says it is made of, and the packages
of the C library. The same root file system gives the same bytes.

    cargo metadata --format-version 1 | sbom.py ROOT > sbom.cdx.json
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
    licences = {(crate["name"], crate["version"]): crate["license"] for crate in json.load(sys.stdin)["packages"]}
    program = root / "usr/bin/zoogate"
    crates = embedded(program)["packages"]
    own = next(crate for crate in crates if crate.get("root"))
    described = [describe(crate, licences) for crate in crates]
    main_component = described[crates.index(own)] | {
        "type": "application",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(program.read_bytes()).hexdigest()}],
    }
    packages = [package(path) for path in sorted((root / "var/lib/dpkg/status.d").iterdir())]
    links = [
        {"ref": one["bom-ref"],
         "dependsOn": sorted(described[n]["bom-ref"] for n in crate.get("dependencies", []))
         + ([p["bom-ref"] for p in packages] if crate is own else [])}
        for crate, one in zip(crates, described)
    ]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": main_component},
        "components": [one for one in described if one["bom-ref"] != main_component["bom-ref"]] + packages,
        "dependencies": links + [{"ref": p["bom-ref"], "dependsOn": []} for p in packages],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(bill, sort_keys=True))
    json.dump(bill | {"serialNumber": f"urn:uuid:{serial}"}, sys.stdout, indent=1, sort_keys=True)
    print()


def embedded(program):
    """What cargo-auditable has written into the program."""
    with tempfile.TemporaryDirectory() as directory:
        section = pathlib.Path(directory) / "section"
        subprocess.run(["objcopy", "--dump-section", f".dep-v0={section}", program, "/dev/null"], check=True)
        return json.loads(zlib.decompress(section.read_bytes()))


def describe(crate, licences):
    name, version = crate["name"], crate["version"]
    purl = f"pkg:cargo/{name}@{version}"
    component = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
    # Run by the compiler, and not in the program.
    component["scope"] = "excluded" if crate.get("kind") == "build" else "required"
    licence = licences.get((name, version))
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
