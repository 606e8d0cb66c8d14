"""The chart as Helm's engine renders it, and what is made of it."""

import atexit
import functools
import os
import pathlib
import shutil
import tempfile

import helm_python
import kubernetes_validate
import kubernetes_validate.utils
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "zoogate"
EXAMPLES = ROOT / "helm" / "examples"
UPDATE = bool(os.environ.get("UPDATE"))

# Reading the schemas of one version takes a good part of a second.
kubernetes_validate.utils.schema_contents = functools.lru_cache(maxsize=64)(kubernetes_validate.utils.schema_contents)


def versions(first):
    """Versions of Kubernetes whose schemas are known, from 1.`first` on."""
    minors = {tuple(int(part) for part in version.split(".")[:2]) for version in kubernetes_validate.utils.all_versions()}
    return [f"{major}.{minor}" for major, minor in sorted(minors) if minor >= first]


def example(name):
    """The values of an example, as its readers get them."""
    return yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())


def merged(*values):
    """Values over values, as with several `-f`."""
    out = {}
    for layer in values:
        for key, value in layer.items():
            out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


@functools.cache
def engine(path=CHART):
    return helm_python.Chart.load(str(path))


def render_files(values, chart=CHART, release="zk", namespace="demo"):
    """The rendered text by template, without what came out empty."""
    files = engine(chart).render(values, name=release, namespace=namespace)
    return {path: text for path, text in sorted(files.items()) if text.strip()}


def render(values, chart=CHART, **options):
    """The rendered objects."""
    files = render_files(values, chart, **options)
    documents = [d for path, text in files.items() if not path.endswith(".txt") for d in yaml.safe_load_all(text)]
    return [document for document in documents if document]


def find(objects, kind, name=None):
    """The one object of a kind, and of a name where that is given."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name}: {[(o['kind'], o['metadata']['name']) for o in objects]}"
    return found[0]


def scratch():
    """A directory that is gone when the tests are."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="zoogate-chart-"))
    atexit.register(shutil.rmtree, directory)
    return directory


def parent(source=EXAMPLES / "library"):
    """A chart that has this one as its dependency, as `helm dependency build` leaves it."""
    directory = scratch()
    shutil.copytree(source, directory, dirs_exist_ok=True)
    shutil.copytree(CHART, directory / "charts" / "zoogate")
    return directory
