"""What is made of the chart's values and templates: its README, and ready values for the charts of others."""

import collections
import functools
import re

import yaml

from chart import CHART, EXAMPLES, example, find, merged, parent, render, scratch

Row = collections.namedtuple("Row", "path default text")


@functools.cache
def rows():
    """The commented values, in order. A comment `# -- …` is about the key below it."""
    lines, out, stack, text = (CHART / "values.yaml").read_text().splitlines(), [], [], None
    for line in lines:
        comment = re.match(r" *# -- (.*)", line)
        key = re.match(r"( *)([A-Za-z]+):", line)
        if comment:
            text = comment.group(1)
        elif key:
            depth = len(key.group(1)) // 2
            stack = stack[:depth] + [key.group(2)]
            if text is not None:
                out.append(Row(".".join(stack), default(stack), text))
            text = None
    return out


def default(path):
    value = functools.reduce(lambda values, key: values[key], path, yaml.safe_load((CHART / "values.yaml").read_text()))
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).strip().removesuffix("\n...").strip()
    return f"`{text}`"


def leaves():
    """Paths of all values that need a description: what is not below one that has it."""
    described = {row.path for row in rows()}
    def walk(value, path):
        if ".".join(path) in described and not (isinstance(value, dict) and any(f"{'.'.join(path)}.{k}" in described for k in value)):
            yield ".".join(path)
        elif isinstance(value, dict) and value:
            for key, item in value.items():
                yield from walk(item, path + [key])
        else:
            yield ".".join(path)
    return list(walk(yaml.safe_load((CHART / "values.yaml").read_text()), []))


def readme():
    parents = {row.path.rpartition(".")[0] for row in rows()}
    table = "".join(f"| `{row.path}` | {'' if row.path in parents else row.default} | {row.text} |\n" for row in rows())
    return (CHART / "README.md.in").read_text().replace("@VALUES@\n", "| Value | Default | Meaning |\n|---|---|---|\n" + table)


@functools.cache
def parts(version, changes=()):
    """What the named templates give, for a pod of another chart."""
    directory = scratch()
    (directory / "templates").mkdir()
    (directory / "Chart.yaml").write_text("{apiVersion: v2, name: parts, version: 1.0.0}")
    names = ["container", "volumes", "zookeeperLifecycle", "terminationGracePeriodSeconds"]
    lines = "".join(f'{name}:\n  {{{{- include "zoogate.{name}" .Subcharts.zoogate | nindent 2 }}}}\n' for name in names)
    (directory / "templates" / "parts.yaml").write_text("kind: Parts\nmetadata: {name: parts}\n" + lines)
    drain = dict(changes)
    return find(render({"zoogate": merged(example("objects"), {"kubeVersion": version, "drain": drain})}, parent(directory)), "Parts")


def block(value, indent=0):
    text = yaml.safe_dump(value, sort_keys=False, width=10**6, default_flow_style=False)
    return "".join(" " * indent + line + "\n" for line in text.splitlines())


def hooks(name, version, **drain):
    """A template of values, `NAME.yaml.in`, with the parts in their places."""
    made = parts(version, tuple(sorted(drain.items())))
    text = (EXAMPLES / f"{name}.yaml.in").read_text()
    def place(match):
        return block(made[match.group(2)], len(match.group(1)))
    text = re.sub(r"@@(\w+)@@", lambda match: str(made[match.group(1)]), text)
    return re.sub(r"(?m)^( *)@(\w+)@\n", place, text)


def files():
    """Every generated file with its text."""
    return {
        CHART / "README.md": readme(),
        # The chart has no value for the grace period, which is then 30 seconds.
        EXAMPLES / "bitnami.yaml": hooks("bitnami", "1.36", delay=3, grace=12),
        EXAMPLES / "pravega.yaml": hooks("pravega", "1.28"),
    }
