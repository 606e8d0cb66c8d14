"""The checks of run.sh, in the order in which they stand here: each is a sentence of what a pod that runs has shown."""

import base64
import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "zoogate"
NAMESPACE = "zoogate-test"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="cluster-test-"))
ZOOKEEPER = "localhost/zookeeper:test"
IMAGES = {"image": {"repository": "localhost/zoogate", "tag": "test"},
          "ensemble": {"image": {"registry": "localhost", "repository": "zookeeper", "tag": "test"},
                       "jvmFlags": "-Xmx128m", "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}},
                       "persistence": {"size": "64Mi"}},
          "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
          # Shorter than by default, so that the checks are.
          "drain": {"delay": 2, "grace": 8}}
SERVERS = ",".join(f"zk-zoogate-{n}.zk-zoogate-headless.{NAMESPACE}.svc.cluster.local:2281" for n in range(3))
RESTRICTED = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
UNPRIVILEGED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def run(*command, text=None, ok=True, timeout=300):
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True, timeout=timeout)
    if ok and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))[:400]}\nexits {done.returncode}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout if ok else done


def kubectl(*words, **options):
    return run("kubectl", "--namespace", NAMESPACE, *words, **options)


def get(kind, name, **options):
    return json.loads(kubectl("get", kind, name, "--output=json", **options))


def apply(*objects, namespace=NAMESPACE):
    run("kubectl", "--namespace", namespace, "apply", "--filename=-", text="\n---\n".join(json.dumps(item) for item in objects))


def helm(*words, **options):
    return run("helm", "--namespace", NAMESPACE, *words, **options)


def values_file(name, *layers):
    """Values for helm, later ones over earlier ones."""
    def merge(below, above):
        return {**below, **{k: merge(below[k], v) if isinstance(v, dict) and isinstance(below.get(k), dict) else v for k, v in above.items()}}
    out = {}
    for layer in layers:
        out = merge(out, layer)
    path = WORK / f"{name}.json"
    path.write_text(json.dumps(out))
    return path


def within(seconds, question, what):
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.5)


def logs(pod, container, *words):
    return kubectl("logs", pod, f"--container={container}", *words)


def log_records(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def ready(pod):
    done = kubectl("get", "pod", pod, "--output=json", ok=False)
    if done.returncode:
        return False
    conditions = json.loads(done.stdout)["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def rollout(name="zk-zoogate", seconds=300):
    kubectl("rollout", "status", f"statefulset/{name}", f"--timeout={seconds}s", timeout=seconds + 30)


def restarts(pod):
    status = get("pod", pod)["status"]
    return {c["name"]: c["restartCount"] for c in status.get("initContainerStatuses", []) + status["containerStatuses"]}


@contextlib.contextmanager
def forwarded(target, port):
    """A port of this machine that leads to one of a pod."""
    process = subprocess.Popen(["kubectl", "--namespace", NAMESPACE, "port-forward", target, f":{port}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield int(re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline()).group(1))
    finally:
        process.kill()
        process.wait()


def admin(pod, path):
    with forwarded(f"pod/{pod}", 9281) as port, contextlib.closing(socket.create_connection(("127.0.0.1", port), 10)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────────


def authority():
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/O=Example/CN=Example CA",
        "-keyout", WORK / "ca.key", "-out", WORK / "ca.crt")


def issue(name, subject, extensions):
    (WORK / "extensions").write_text(extensions + "\n")
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout", WORK / f"{name}.key", "-out", WORK / f"{name}.csr")
    run("openssl", "x509", "-req", "-in", WORK / f"{name}.csr", "-CA", WORK / "ca.crt", "-CAkey", WORK / "ca.key", "-CAcreateserial", "-days", "30",
        "-out", WORK / f"{name}.crt", "-extfile", WORK / "extensions")


def server_certificate(name):
    hosts = [f"*.zk-zoogate-headless.{NAMESPACE}.svc.cluster.local"] + [f"{s}.{NAMESPACE}.svc.cluster.local" for s in ("zk-zoogate", "third", "plain")]
    issue(name, "/O=Example/CN=zookeeper", "extendedKeyUsage=serverAuth\nsubjectAltName=" + ",".join(f"DNS:{host}" for host in hosts))


def secret(name, **files):
    data = {key: base64.b64encode(pathlib.Path(path).read_bytes()).decode() for key, path in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {k.replace("_", "."): v for k, v in data.items()}}


def served_serial(pod):
    context = ssl._create_unverified_context()
    context.load_cert_chain(WORK / "alice.crt", WORK / "alice.key")
    with forwarded(f"pod/{pod}", 2281) as port, socket.create_connection(("127.0.0.1", port), 10) as plain:
        with context.wrap_socket(plain) as connection:
            (WORK / "served.crt").write_text(ssl.DER_cert_to_PEM_cert(connection.getpeercert(True)))
    return run("openssl", "x509", "-noout", "-serial", "-in", WORK / "served.crt").strip()


def serial(name):
    return run("openssl", "x509", "-noout", "-serial", "-in", WORK / f"{name}.crt").strip()


# ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────────

TLS_FLAGS = ("-Dzookeeper.client.secure=true -Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty "
             "-Dzookeeper.ssl.keyStore.location=/client/client.pem -Dzookeeper.ssl.trustStore.location=/client/ca.crt -Dzookeeper.ssl.trustStore.type=PEM")


def client_pod(name, command):
    return {"metadata": {"name": name}, "spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "securityContext": RESTRICTED, "automountServiceAccountToken": False,
        "containers": [{"name": "client", "image": ZOOKEEPER, "command": command, "env": [{"name": "CLIENT_JVMFLAGS", "value": TLS_FLAGS}],
                        "securityContext": UNPRIVILEGED, "volumeMounts": [{"name": "client", "mountPath": "/client"}, {"name": "classes", "mountPath": "/classes"}]}],
        "volumes": [{"name": "client", "secret": {"secretName": "zk-client", "defaultMode": 0o440}}, {"name": "classes", "configMap": {"name": "classes"}}]}}


def whoami(server):
    """What ZooKeeper takes alice for, by a client in a pod."""
    return kubectl("exec", "client", "--", "zkCli.sh", "-waitforconnection", "-server", server, "whoami", timeout=90)


IDENTITY = "digest: x509/CN=alice%2CO=Example"


@contextlib.contextmanager
def load(clients=12):
    """Clients that write while the block runs; what came of it is in the dictionary."""
    name = f"load-{time.monotonic_ns()}"
    command = f"exec java -Xmx192m {TLS_FLAGS} -cp '/opt/zookeeper/lib/*:/classes' Load {SERVERS} {clients} /tmp/stop"
    apply({"apiVersion": "v1", "kind": "Pod", **client_pod(name, ["sh", "-c", command])})
    outcome = {}
    within(90, lambda: "\nconnected\n" in "\n" + kubectl("logs", name, ok=False).stdout, "every client has a session")
    yield outcome
    kubectl("exec", name, "--", "touch", "/tmp/stop")
    within(120, lambda: get("pod", name)["status"]["phase"] in ("Succeeded", "Failed"), "the clients end")
    said = kubectl("logs", name)
    # Among lines of the client's log.
    results = [line for line in said.splitlines() if line.startswith('{"clients"')]
    assert results, said[-3000:]
    outcome.update(json.loads(results[0]))
    kubectl("delete", "pod", name, "--now")


def nothing_lost(outcome, records):
    """No session, and no reply that a server gave: a write without one was on a connection that the server cut itself,
    as a follower does with all of them when its leader goes."""
    assert outcome["writes"] > 0, outcome
    assert (outcome["lost_sessions"], outcome["lost_ephemerals"]) == (0, 0), outcome
    for session, milliseconds in outcome["unanswered"]:
        ends = [(abs(moment(record) - milliseconds / 1000), record["reason"]) for record in records if record.get("session") == session]
        assert ends and min(ends)[0] < 5 and min(ends)[1] == "upstream_closed", (session, milliseconds, ends)


def moment(record):
    return datetime.datetime.fromisoformat(record["timestamp"].replace("Z", "+00:00")).timestamp()


class Journal:
    """What the gates log from now on, also those that end."""

    def __enter__(self):
        self.before = self.follow("before")
        return self

    def follow(self, when):
        paths = [WORK / f"gate-{n}-{when}.log" for n in range(3)]
        return [(path, subprocess.Popen(["kubectl", "--namespace", NAMESPACE, "logs", "--follow", f"zk-zoogate-{n}", "--container=zoogate"], stdout=path.open("w"), stderr=subprocess.DEVNULL))
                for n, path in enumerate(paths)]

    def __exit__(self, *error):
        for _, process in self.before:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
        self.ended = [log_records(path.read_text()) for path, _ in self.before]
        self.all = [record for records in self.ended for record in records]
        for n in range(3):
            self.all += log_records(logs(f"zk-zoogate-{n}", "zoogate"))


# ── the checks ───────────────────────────────────────────────────────────────────────────────────────────────────────

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def fresh():
    namespaces = [NAMESPACE, f"{NAMESPACE}-node"]
    for release in json.loads(helm("list", "--output=json", "--all", ok=False).stdout or "[]"):
        helm("uninstall", release["name"], "--wait", ok=False)
    run("kubectl", "delete", "namespace", "--ignore-not-found", *namespaces, timeout=180)
    run("kubectl", "delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", "--ignore-not-found", f"inject-zoogate.{NAMESPACE}", ok=False)


def prepare():
    fresh()
    authority()
    server_certificate("first")
    server_certificate("second")
    issue("alice", "/O=Example/CN=alice", "extendedKeyUsage=clientAuth")
    (WORK / "alice.pem").write_text((WORK / "alice.crt").read_text() + (WORK / "alice.key").read_text())
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    run("kubectl", "apply", "--filename=-", text=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}))
    classes = {path.name: base64.b64encode(path.read_bytes()).decode() for path in (ROOT / "target/cluster/classes").glob("*.class")}
    apply(secret("zk-tls", tls_crt=WORK / "first.crt", tls_key=WORK / "first.key", ca_crt=WORK / "ca.crt"),
          secret("zk-client", tls_crt=WORK / "alice.crt", tls_key=WORK / "alice.key", ca_crt=WORK / "ca.crt", client_pem=WORK / "alice.pem"),
          {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "classes"}, "binaryData": classes},
          {"apiVersion": "v1", "kind": "Pod", **client_pod("client", ["sleep", "100000"])})
    within(60, lambda: ready("client"), "the client's pod")


def ensemble_values(*layers):
    own = {"ensemble": {"enabled": True}, "tls": {"secret": {"name": "zk-tls"}}, "trust": {"secret": {"name": "zk-tls"}}, "test": {"clientSecret": "zk-client"},
           "networkPolicy": {"enabled": True}}
    return values_file("ensemble", IMAGES, own, *layers)


def previous_chart():
    """The last version before this one: PREVIOUS_CHART or, as long as there is none, this one under a lower number."""
    if os.environ.get("PREVIOUS_CHART"):
        return os.environ["PREVIOUS_CHART"]
    shutil.copytree(CHART, WORK / "previous", dirs_exist_ok=True)
    text = (WORK / "previous/Chart.yaml").read_text()
    (WORK / "previous/Chart.yaml").write_text(re.sub(r"(?m)^version: .*", "version: 0.0.1", text))
    return WORK / "previous"


@check
def the_documented_way_leads_from_nothing_to_whoami():
    directory = WORK / "documented"
    directory.mkdir()
    (directory / "helm").symlink_to(ROOT / "helm")
    # The page's images are where its reader has put them.
    (directory / "bin").mkdir()
    images = values_file("images", IMAGES)
    (directory / "bin/helm").write_text(f'#!/bin/sh\ncase " $* " in *" install "*) set -- "$@" --values {images};; esac\nexec {shutil.which("helm")} "$@"\n')
    (directory / "bin/helm").chmod(0o755)
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", (ROOT / "docs/install-kubernetes.md").read_text())
    assert len(blocks) == 3, blocks
    run("kubectl", "delete", "namespace", "zookeeper", "--ignore-not-found", timeout=180)
    try:
        script = f"set -e\ncd {directory}\nexport PATH={directory}/bin:$PATH\n" + "".join(blocks)
        said = run("bash", "-c", script, timeout=400)
        assert IDENTITY in said and "Auth scheme: User" in said, said
    finally:
        run("helm", "--namespace", "zookeeper", "uninstall", "zk", "--wait", ok=False)
        run("kubectl", "delete", "namespace", "zookeeper", timeout=180)


@check
def three_servers_come_up_in_a_namespace_of_the_restricted_profile():
    helm("install", "zk", previous_chart(), "--values", ensemble_values(), "--wait", "--timeout=5m")
    for n in range(3):
        status = get("pod", f"zk-zoogate-{n}")["status"]
        gate, zookeeper = status["initContainerStatuses"][0], status["containerStatuses"][0]
        assert gate["ready"] and zookeeper["ready"], status
        # The gate answered before ZooKeeper was started.
        assert gate["state"]["running"]["startedAt"] <= zookeeper["state"]["running"]["startedAt"], status
        started = [record["timestamp"] for record in log_records(logs(f"zk-zoogate-{n}", "zoogate")) if record["message"] == "serving"]
        assert started[0][:19] <= zookeeper["state"]["running"]["startedAt"][:19], (started, zookeeper)
    modes = sorted(re.search(r'"state":"(leader|follower)"', logs(f"zk-zoogate-{n}", "zoogate")).group(1) for n in range(3))
    assert modes == ["follower", "follower", "leader"], modes


@check
def a_job_connects_by_mtls_and_sees_its_identity():
    job = client_pod("whoami", ["zkCli.sh", "-waitforconnection", "-server", f"zk-zoogate.{NAMESPACE}.svc.cluster.local:2281", "whoami"])
    apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "whoami"}, "spec": {"template": {"spec": job["spec"]}}})
    kubectl("wait", "--for=condition=Complete", "job/whoami", "--timeout=90s")
    assert IDENTITY in kubectl("logs", "job/whoami"), kubectl("logs", "job/whoami")


@check
def helm_test_passes():
    said = helm("test", "zk", "--logs")
    assert "Phase:          Succeeded" in said or "Succeeded" in said, said


def watch_pods(path):
    return subprocess.Popen(["kubectl", "--namespace", NAMESPACE, "get", "pods", "--watch", "--output=json", "--selector=app.kubernetes.io/component=zookeeper"], stdout=path.open("w"), stderr=subprocess.DEVNULL)


def last_states(path):
    """Of each pod that ended: when its containers did."""
    decoder, text, position, last = json.JSONDecoder(), path.read_text(), 0, {}
    while position < len(text.rstrip()):
        try:
            pod, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError:
            break
        position += len(text[position:]) - len(text[position:].lstrip())
        statuses = pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", [])
        ended = {c["name"]: c["state"]["terminated"] for c in statuses if "terminated" in c["state"]}
        if ended and pod["metadata"].get("deletionTimestamp"):
            last[pod["metadata"]["uid"]] = (pod["metadata"]["name"], ended)
    return list(last.values())


def restart_under_load():
    """Restarts the ensemble pod by pod, and looks at what clients lost and in which order a pod's containers ended."""
    events = WORK / "restart.json"
    watcher = watch_pods(events)
    with Journal() as journal, load() as outcome:
        kubectl("rollout", "restart", "statefulset/zk-zoogate")
        rollout()
    watcher.kill()
    print(f"    {outcome}")
    nothing_lost(outcome, journal.all)
    assert outcome["connects"] >= 2 * outcome["clients"], f"nobody was sent away: {outcome}"

    # The clients are sent away while ZooKeeper serves, then the gate ends, then ZooKeeper.
    ended = last_states(events)
    assert sorted(name for name, _ in ended) == [f"zk-zoogate-{n}" for n in range(3)], ended
    for name, states in ended:
        assert set(states) == {"zoogate", "zookeeper"}, (name, states)
        assert states["zoogate"]["finishedAt"] <= states["zookeeper"]["finishedAt"], (name, states)
        assert states["zoogate"]["exitCode"] == 0, (name, states)
    drained = 0
    for records in journal.ended:
        messages = [record["message"] for record in records]
        assert messages[-1] == "stopped", "the gate was killed"
        stopping = messages.index("stopping: not ready any more")
        reasons = [record["reason"] for record in records[stopping:] if "session" in record and record["message"] == "connection closed"]
        assert set(reasons) <= {"drained", "session_closed", "client_closed"}, reasons
        drained += reasons.count("drained")
    assert drained > 0
    # Kubernetes tells of a hook that fails.
    assert "FailedPreStopHook" not in kubectl("get", "events"), kubectl("get", "events")


@check
def a_rolling_restart_under_load_loses_no_session_and_no_reply():
    restart_under_load()


@check
def an_upgrade_from_the_previous_version_of_the_chart_keeps_the_secret_and_every_session():
    before = get("secret", "zk-zoogate-secret")["data"]
    revision = get("statefulset", "zk-zoogate")["status"]["updateRevision"]
    with Journal() as journal, load() as outcome:
        helm("upgrade", "zk", CHART, "--values", ensemble_values({"config": {"limits": {"connections": 500}}}), "--wait", "--timeout=5m")
        rollout()
    nothing_lost(outcome, journal.all)
    assert get("secret", "zk-zoogate-secret")["data"] == before
    assert get("statefulset", "zk-zoogate")["status"]["updateRevision"] != revision, "the gate would not have taken the new limit"
    assert IDENTITY in whoami(f"zk-zoogate.{NAMESPACE}.svc.cluster.local:2281")


@check
def a_change_of_rules_is_taken_without_replacing_a_pod():
    before = [get("pod", f"zk-zoogate-{n}")["metadata"]["uid"] for n in range(3)]
    config = {"limits": {"connections": 500}, "identity": {"deny": ["CN=mallory,O=Example"]}}
    helm("upgrade", "zk", CHART, "--values", ensemble_values({"config": config}), "--wait")
    within(120, lambda: all("reloaded" in [record["message"] for record in log_records(logs(f"zk-zoogate-{n}", "zoogate"))] for n in range(3)), "the new rules")
    assert [get("pod", f"zk-zoogate-{n}")["metadata"]["uid"] for n in range(3)] == before


@check
def a_rotated_secret_s_certificate_is_served_and_connections_stay():
    assert served_serial("zk-zoogate-1") == serial("first")
    with load() as outcome:
        apply(secret("zk-tls", tls_crt=WORK / "second.crt", tls_key=WORK / "second.key", ca_crt=WORK / "ca.crt"))
        for n in range(3):
            within(150, lambda: served_serial(f"zk-zoogate-{n}") == serial("second"), "the new certificate")
        time.sleep(10)
    nothing_lost(outcome, [])
    assert outcome["connects"] == outcome["clients"], f"somebody had to connect again: {outcome}"


@check
def the_plaintext_port_can_not_be_reached_from_another_pod():
    assert get("networkpolicy", "zk-zoogate")["spec"]["policyTypes"] == ["Ingress"]
    for n in range(3):
        address = get("pod", f"zk-zoogate-{n}")["status"]["podIP"]
        script = f"exec 3<>/dev/tcp/{address}/"
        assert kubectl("exec", "client", "--", "bash", "-c", script + "2281", ok=False).returncode == 0
        refused = kubectl("exec", "client", "--", "timeout", "5", "bash", "-c", script + "2181", ok=False)
        assert refused.returncode != 0 and "refused" in refused.stderr, refused
        # In the pod it is there.
        kubectl("exec", f"zk-zoogate-{n}", "--container=zookeeper", "--", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/2181")


@check
def a_server_without_quorum_is_not_ready_and_is_not_restarted_for_it():
    before = restarts("zk-zoogate-0")
    kubectl("scale", "statefulset/zk-zoogate", "--replicas=1")
    within(120, lambda: not ready("zk-zoogate-0"), "the last server is not ready any more")
    within(60, lambda: admin("zk-zoogate-0", "/readyz") == (503, "upstream_not_serving\n"), "the reason")
    endpoints = json.loads(kubectl("get", "endpointslices", "--selector=kubernetes.io/service-name=zk-zoogate", "--output=json"))["items"]
    assert not [e for s in endpoints for e in s["endpoints"] or [] if e["conditions"]["ready"]], endpoints
    time.sleep(40)
    assert restarts("zk-zoogate-0") == before
    kubectl("scale", "statefulset/zk-zoogate", "--replicas=3")
    rollout()


def on_the_node(pod, signal):
    """Sends the gate of a pod a signal, which only the node can."""
    namespace = f"{NAMESPACE}-node"
    run("kubectl", "create", "namespace", namespace, ok=False)
    run("kubectl", "label", "--overwrite", "namespace", namespace, "pod-security.kubernetes.io/enforce=privileged")
    script = f'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline 2>/dev/null | grep -q "^/usr/bin/zoogate run" && [ "$(cat $p/root/etc/hostname)" = {pod} ] && kill -{signal} ${{p#/proc/}} && echo sent; done; true'
    apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "signal"}, "spec": {
        "hostPID": True, "restartPolicy": "Never", "nodeName": get("pod", pod)["spec"]["nodeName"],
        "containers": [{"name": "signal", "image": ZOOKEEPER, "command": ["bash", "-c", script], "securityContext": {"privileged": True, "runAsUser": 0}}]}}, namespace=namespace)
    run("kubectl", "--namespace", namespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/signal", "--timeout=60s")
    said = run("kubectl", "--namespace", namespace, "logs", "signal")
    run("kubectl", "--namespace", namespace, "delete", "pod", "signal", "--now")
    assert "sent" in said, "there is no such process"


@check
def a_gate_that_hangs_is_restarted_and_zookeeper_is_not():
    before = restarts("zk-zoogate-2")
    on_the_node("zk-zoogate-2", "STOP")
    within(150, lambda: restarts("zk-zoogate-2")["zoogate"] == before["zoogate"] + 1, "a restart of the gate")
    within(60, lambda: ready("zk-zoogate-2"), "it serves again")
    assert restarts("zk-zoogate-2")["zookeeper"] == before["zookeeper"]
    assert "Liveness probe failed" in kubectl("get", "events", "--field-selector=involvedObject.name=zk-zoogate-2")


@check
def as_an_ordinary_container_the_gate_ends_before_zookeeper_too():
    helm("upgrade", "zk", CHART, "--values", ensemble_values({"nativeSidecar": False}), "--wait", "--timeout=5m")
    rollout()
    assert "initContainers" not in get("pod", "zk-zoogate-0")["spec"]
    restart_under_load()


@check
def a_broken_certificate_is_told_in_one_line_by_describe_and_logs_and_events_name_the_container():
    apply(secret("broken-tls", tls_crt=WORK / "first.crt", tls_key=WORK / "second.key", ca_crt=WORK / "ca.crt"))
    values = values_file("broken", IMAGES, {"ensemble": {"enabled": True, "replicas": 1, "persistence": {"enabled": False}}, "fullnameOverride": "broken",
                                            "tls": {"secret": {"name": "broken-tls"}}, "trust": {"secret": {"name": "zk-tls"}}})
    helm("install", "broken", CHART, "--values", values)
    within(90, lambda: kubectl("get", "pod", "broken-0", ok=False).returncode == 0 and restarts("broken-0").get("zoogate", 0) >= 2, "it starts again and again")
    line = within(60, lambda: [line for line in logs("broken-0", "zoogate").splitlines() if "tls.key_store" in line], "the reason in the log")
    assert len(line) == 1, line
    print(f"    {line[0]}")
    description = kubectl("describe", "pod", "broken-0")
    assert line[0] in description, description
    assert re.search(r"Exit Code: +78", description), description
    events = kubectl("get", "events", "--field-selector=involvedObject.name=broken-0")
    assert re.search(r"Back-off restarting failed container zoogate|restarting failed container=zoogate", events), events
    # ZooKeeper is not started without its gate.
    assert "running" not in get("pod", "broken-0")["status"]["containerStatuses"][0]["state"]
    helm("uninstall", "broken", "--wait")


@check
def a_third_party_s_chart_has_the_gate_by_the_templates():
    chart = WORK / "third"
    shutil.copytree(ROOT / "helm/examples/library", chart)
    text = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(text.replace("file://../../zoogate", f"file://{CHART}"))
    helm("dependency", "update", chart)
    gate = {key: IMAGES[key] for key in ("image", "resources", "drain")}
    values = values_file("third", {"image": ZOOKEEPER, "zoogate": {**gate, "trust": {"configMap": {"name": "clients"}}, "tls": {"secret": {"name": "zk-tls"}}}})
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clients"}, "data": {"ca.crt": (WORK / "ca.crt").read_text()}})
    helm("install", "third", chart, "--values", values, "--wait", "--timeout=3m")
    assert IDENTITY in whoami(f"third.{NAMESPACE}.svc.cluster.local:2281")
    helm("uninstall", "third", "--wait")


def plain_statefulset(name, labels):
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": {
        "serviceName": name, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name, **labels}}, "spec": {
            "securityContext": {k: v for k, v in RESTRICTED.items() if k != "fsGroup"},
            "containers": [{"name": "zookeeper", "image": ZOOKEEPER, "securityContext": UNPRIVILEGED, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "emptyDir": {}}]}}}}


@check
def injection_changes_labelled_pods_and_no_others():
    values = values_file("inject", {key: IMAGES[key] for key in ("image", "resources", "drain")},
                         {"inject": {"enabled": True}, "tls": {"secret": {"name": "zk-tls"}}, "trust": {"secret": {"name": "zk-tls"}}})
    helm("install", "inject", CHART, "--values", values, "--wait")
    probe = {"apiVersion": "v1", "kind": "Pod", **client_pod("probe", ["true"])}
    probe["metadata"]["labels"] = {"zoogate.io/inject": "true"}

    def applied():
        done = kubectl("create", "--dry-run=server", "--output=json", "--filename=-", text=json.dumps(probe), ok=False)
        return done.returncode == 0 and "initContainers" in json.loads(done.stdout)["spec"]
    within(30, applied, "the policy is in force")
    apply(plain_statefulset("plain", {"zoogate.io/inject": "true"}), plain_statefulset("other", {}),
          {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain"}, "spec": {"selector": {"app": "plain"}, "ports": [{"port": 2281, "targetPort": "secure-client"}]}})
    rollout("plain")
    rollout("other")
    other, plain = get("pod", "other-0")["spec"], get("pod", "plain-0")["spec"]
    assert "initContainers" not in other and "zoogate" not in json.dumps(other), other
    gate = plain["initContainers"][0]
    assert (gate["name"], gate["restartPolicy"], gate["securityContext"]["capabilities"]) == ("zoogate", "Always", {"drop": ["ALL"]}), gate
    assert plain["terminationGracePeriodSeconds"] == 30 and plain["containers"][0]["lifecycle"]["preStop"]["sleep"] == {"seconds": 14}, plain
    assert IDENTITY in whoami(f"plain.{NAMESPACE}.svc.cluster.local:2281")
    for name in ["plain", "other"]:
        kubectl("delete", "statefulset", name, "--wait")
    helm("uninstall", "inject", "--wait")
    policies = run("kubectl", "get", "mutatingadmissionpolicies,mutatingadmissionpolicybindings", "--output=name")
    assert f"inject-zoogate.{NAMESPACE}" not in policies, policies


@check
def uninstalling_leaves_the_secret_and_the_volumes_and_nothing_else():
    helm("uninstall", "zk", "--wait", "--timeout=3m")
    within(120, lambda: not kubectl("get", "pods", "--selector=app.kubernetes.io/instance=zk", "--output=name"), "the pods are gone")
    kinds = run("kubectl", "api-resources", "--namespaced", "--verbs=list,delete", "--output=name").split()
    kinds = [kind for kind in kinds if not kind.startswith(("events", "pods.metrics"))]
    left = kubectl("get", ",".join(kinds), "--selector=app.kubernetes.io/instance=zk", "--output=name").split()
    volumes = [f"persistentvolumeclaim/data-zk-zoogate-{n}" for n in range(3)]
    assert sorted(left) == sorted(volumes + ["secret/zk-zoogate-secret"]), left
    # Another release of the name goes on with them.
    before = get("secret", "zk-zoogate-secret")["data"]
    helm("install", "zk", CHART, "--values", ensemble_values(), "--wait", "--timeout=5m")
    assert get("secret", "zk-zoogate-secret")["data"] == before
    helm("uninstall", "zk", "--wait", "--timeout=3m")
    assert "zk-zoogate" not in run("kubectl", "get", "clusterroles,clusterrolebindings,mutatingadmissionpolicies", "--output=name")


def main():
    words = os.environ.get("TESTS", "").split()
    passed = failed = 0
    prepare()
    needed = three_servers_come_up_in_a_namespace_of_the_restricted_profile
    for function in CHECKS:
        name = function.__name__
        if words and function is not needed and not any(word in name for word in words):
            continue
        began = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok: {name.replace('_', ' ')} ({time.monotonic() - began:.0f} s)")
        except Exception:
            failed += 1
            print(f"FAILED: {name.replace('_', ' ')} ({time.monotonic() - began:.0f} s)")
            traceback.print_exc(limit=-4, file=sys.stdout)
            if function is needed:
                break
    if not os.environ.get("KEEP"):
        fresh()
        shutil.rmtree(WORK)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
