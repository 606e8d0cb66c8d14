"""What the chart renders: valid, as intended, and nothing where it contradicts itself."""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import helm_python
import kubernetes_validate
import yaml

import generate
from chart import CHART, EXAMPLES, ROOT, UPDATE, engine, example, find, merged, parent, render, render_files, versions

SNAPSHOTS = ROOT / "tests" / "helm" / "snapshots"
# What a cluster has from others; unit tests look at these.
FOREIGN = ("monitoring.coreos.com/", "cert-manager.io/")
MINIMAL = {"tls": {"secret": {"name": "t"}}, "trust": {"secret": {"name": "t"}}}
ENSEMBLE = merged(MINIMAL, {"ensemble": {"enabled": True}})
# What YAML 1.1 makes of `on` and `off` in a file of values.
SWITCHES = {"acl": {"translate": True}, "session": {"binding": False}, "upstream": {"keepalive": False}, "ensemble": {"advertise": False}}
NAMES = ["ensemble", "ensemble-secret", "ensemble-java-stores", "inject", "objects", "csi"]


def find_volume(pod, name):
    return next(volume for volume in pod["volumes"] if volume["name"] == name)


def inject_api(version):
    return "v1" if int(version.split(".")[1]) >= 36 else "v1beta1"


def cases(name):
    """The values of an example for each version of Kubernetes that it is for."""
    for version in versions(34 if name == "inject" else 28):
        extra = {"kubeVersion": version}
        if name == "inject":
            extra["inject"] = {"apiVersion": inject_api(version)}
        yield version, merged(example(name), extra)


def library_cases():
    for version in versions(28):
        yield version, {"zoogate": {"kubeVersion": version}}


class Lint(unittest.TestCase):
    def test_helm_lint_has_nothing_to_say_against_any_example(self):
        for name in NAMES:
            with self.subTest(name):
                values = merged(example(name), {"inject": {"apiVersion": "v1"}} if name == "inject" else {})
                report = helm_python.lint(str(CHART), values, strict=True, namespace="demo", kube_version="v1.36.0")
                self.assertEqual(report["errors"], [])
                # 1 is "an icon is recommended".
                self.assertLessEqual(max(m["severity"] for m in report["messages"]), 1, report["messages"])


class Schemas(unittest.TestCase):
    def valid(self, objects, version):
        for item in objects:
            if not item["apiVersion"].startswith(FOREIGN):
                with self.subTest(version=version, kind=item["kind"], name=item["metadata"]["name"]):
                    kubernetes_validate.validate(item, version, strict=True)

    def test_every_example_is_valid_for_every_version_of_kubernetes(self):
        for name in NAMES:
            for version, values in cases(name):
                self.valid(render(values), version)

    def test_the_objects_for_other_charts_are_valid(self):
        bitnami = {"podSelector": {"app.kubernetes.io/name": "zookeeper"}, "networkPolicy": {"enabled": True}, "drain": {"delay": 3, "grace": 12}}
        for values in [bitnami, example("pravega-policy")]:
            self.valid(render(merged(example("objects"), values)), "1.36")

    def test_the_example_of_a_parent_chart_is_valid_for_every_version_of_kubernetes(self):
        chart = parent()
        for version, values in library_cases():
            self.valid(render(values, chart), version)

    def test_names_that_look_like_numbers_stay_names(self):
        values = merged(example("ensemble"), {"tls": {"secret": {"name": "1e5"}}, "test": {"clientSecret": "123"}, "secret": {"key": "1"}, "imagePullSecrets": ["1"],
                                              "ensemble": {"priorityClassName": "10", "persistence": {"storageClass": "1"}}})
        self.valid(render(values, release="123", namespace="45"), "1.36")
        self.valid(render(merged(values, {"fullnameOverride": "7e1", "nameOverride": "8"}), release="1e5"), "1.36")

    def test_the_schemas_would_notice_a_mistake(self):
        objects = render(ENSEMBLE)
        find(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(find(objects, "StatefulSet"), "1.36", strict=True)


class Snapshots(unittest.TestCase):
    def elided(self, path, body):
        """Without what is random, and what is a file of `deploy/` that others look at."""
        if path.endswith(("/prometheusrule.yaml", "/dashboard.yaml")):
            body = re.split(r"(?m)^(?:spec|data):$", body)[0]
        return re.sub(r"(?m)^  secret: \S+$", "  secret: RANDOM", body.strip())

    def test_rendered_manifests_are_those_that_were_looked_at(self):
        SNAPSHOTS.mkdir(exist_ok=True)
        wanted = {}
        for name in NAMES:
            version, values = list(cases(name))[-1]
            wanted[f"{name}.yaml"] = render_files(values)
        wanted["ensemble-secret-1.28.yaml"] = render_files(merged(example("ensemble-secret"), {"kubeVersion": "1.28"}))
        wanted["library.yaml"] = render_files({}, parent())
        for file, files in wanted.items():
            text = "".join(f"# {path}\n---\n{self.elided(path, body)}\n" for path, body in files.items())
            if UPDATE:
                (SNAPSHOTS / file).write_text(text)
            with self.subTest(file):
                self.assertMultiLineEqual((SNAPSHOTS / file).read_text(), text, "UPDATE=1 rewrites it")
        self.assertEqual({path.name for path in SNAPSHOTS.iterdir()}, set(wanted), "a snapshot of nothing")


class Generated(unittest.TestCase):
    def test_generated_files_are_up_to_date(self):
        for path, text in generate.files().items():
            if UPDATE:
                path.write_text(text)
            with self.subTest(path.name):
                self.assertMultiLineEqual(path.read_text(), text, "UPDATE=1 rewrites it")

    def test_every_value_is_described_and_in_the_schema(self):
        described = {row.path for row in generate.rows()}
        for path in generate.leaves():
            self.assertIn(path, described, "a comment `# -- …` above the value")

    def test_values_for_other_charts_are_values_with_one_gate(self):
        bitnami, pravega = example("bitnami"), example("pravega")
        self.assertEqual([c["restartPolicy"] for c in bitnami["initContainers"]], ["Always"])
        self.assertEqual(bitnami["lifecycleHooks"]["preStop"]["exec"]["command"][0], "bash")
        # The hook and what comes before it fit into Kubernetes' 30 seconds.
        self.assertIn("SECONDS >= 19", bitnami["lifecycleHooks"]["preStop"]["exec"]["command"][2])
        # The operator's definition of a container knows none, and the API server would drop it.
        self.assertNotIn("restartPolicy", pravega["containers"][0])
        self.assertNotIn("lifecycle", pravega["containers"][0])
        self.assertEqual([v["name"] for v in pravega["volumes"]], ["zoogate"])

    def test_versions_are_those_of_the_program(self):
        version = re.search(r'(?m)^version = "(.*)"', (ROOT / "Cargo.toml").read_text())[1]
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual(chart["appVersion"], version)
        images = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
        self.assertEqual(images[0]["image"], f"zoogate:{version}")
        ensemble = yaml.safe_load((CHART / "values.yaml").read_text())["ensemble"]["image"]
        self.assertEqual(images[1]["image"], f"{ensemble['registry']}/{ensemble['repository']}:{ensemble['tag']}")
        library = yaml.safe_load((EXAMPLES / "library/Chart.yaml").read_text())["dependencies"][0]
        self.assertEqual(library["version"], chart["version"])

    def test_rules_and_dashboard_are_those_of_deploy(self):
        for ours, source in [("zoogate.rules.yaml", "prometheus"), ("zoogate.json", "grafana")]:
            path = CHART / "files" / ours
            self.assertEqual(path.read_bytes(), (ROOT / "deploy" / source / ours).read_bytes())

    def test_a_packaged_chart_renders_as_its_directory_does(self):
        with tempfile.TemporaryDirectory() as directory:
            package = helm_python.package(str(CHART), destination=directory)
            values = example("ensemble")
            values["secret"] = {"existingSecret": "s"}
            self.assertEqual(render_files(values, package), render_files(values))


class Sidecar(unittest.TestCase):
    def pod(self, values=None, version="1.36"):
        objects = render(merged(ENSEMBLE, {"kubeVersion": version}, values or {}))
        return find(objects, "StatefulSet")["spec"]["template"]["spec"]

    def gate(self, pod):
        found = [c for c in pod.get("initContainers", []) + pod["containers"] if c["name"] == "zoogate"]
        self.assertEqual(len(found), 1)
        return found[0]

    def test_the_gate_is_an_init_container_that_stays_where_kubernetes_knows_such(self):
        for version in ["1.29", "1.30.2", "v1.33.1-eks-1234", "1.36"]:
            pod = self.pod(version=version)
            self.assertEqual([c["name"] for c in pod["initContainers"]], ["zoogate"], version)
            self.assertEqual(pod["initContainers"][0]["restartPolicy"], "Always")
            self.assertEqual([c["name"] for c in pod["containers"]], ["zookeeper"])

    def test_the_gate_is_an_ordinary_container_before_that_or_on_demand(self):
        for values, version in [({}, "1.28.15"), ({"nativeSidecar": False}, "1.36")]:
            pod = self.pod(values, version)
            self.assertNotIn("initContainers", pod)
            self.assertEqual([c["name"] for c in pod["containers"]], ["zookeeper", "zoogate"])
            self.assertNotIn("restartPolicy", self.gate(pod))
            self.assertNotIn("startupProbe", self.gate(pod))
            self.assertNotIn("lifecycle", self.gate(pod), "ZooKeeper waits for it")

    def test_without_a_hook_of_zookeeper_an_ordinary_gate_outlives_it(self):
        pod = self.pod({"drain": {"zookeeperWaits": False, "zookeeperSeconds": 9}}, "1.28")
        self.assertNotIn("lifecycle", pod["containers"][0], "each would wait for the other")
        gate = self.gate(pod)
        command = gate["lifecycle"]["preStop"]["exec"]["command"]
        self.assertEqual(command[1:], ["wait-upstream-closed", "--upstream", "127.0.0.1:2181", "--timeout", "9s"])

    def test_probes_ask_the_admin_address(self):
        gate = self.gate(self.pod())
        for probe, path in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]:
            self.assertEqual(gate[probe]["httpGet"], {"path": path, "port": "zoogate-admin"}, probe)
        # A gate that hangs sends nobody away: there is nothing to wait for.
        self.assertEqual(gate["livenessProbe"]["terminationGracePeriodSeconds"], 5)
        self.assertEqual({p["name"]: p["containerPort"] for p in gate["ports"]}, {"secure-client": 2281, "zoogate-admin": 9281})

    def test_no_probe_connects_to_the_tls_port(self):
        for values in [{}, {"probes": {"exec": True}}, {"admin": {"host": "127.0.0.1"}}]:
            text = json.dumps(self.pod(values))
            self.assertNotIn("tcpSocket", text)
            self.assertNotIn('"port": "secure-client"', text)

    def test_with_the_admin_address_on_loopback_probes_run_in_the_container(self):
        for host in ["127.0.0.1", "[::1]"]:
            gate = self.gate(self.pod({"admin": {"host": host}}))
            for probe, what in [("startupProbe", "--live"), ("livenessProbe", "--live"), ("readinessProbe", "--ready")]:
                command = gate[probe]["exec"]["command"]
                # A configuration that can't be used must not fail the probes of a gate that goes on without it.
                self.assertEqual(command[1:5], ["probe", what, "--admin", f"{host}:9281"])
                milliseconds = int(command[-1].removesuffix("ms"))
                self.assertLess(milliseconds, 1000 * gate[probe]["timeoutSeconds"], "the reason would be lost")

    def test_the_pod_is_one_of_the_restricted_profile(self):
        for version in ["1.28", "1.36"]:
            pod = self.pod(version=version)
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertIs(pod["automountServiceAccountToken"], False)
            for container in pod.get("initContainers", []) + pod["containers"]:
                context = container["securityContext"]
                self.assertIs(context["allowPrivilegeEscalation"], False)
                self.assertIs(context["readOnlyRootFilesystem"], True)
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
        self.assertEqual(self.gate(pod)["securityContext"]["runAsUser"], 65532)

    def test_the_grace_period_holds_the_drain_and_zookeeper_s_own_end(self):
        pod = self.pod({"drain": {"delay": 7, "grace": 40, "zookeeperSeconds": 11}})
        self.assertEqual(pod["terminationGracePeriodSeconds"], 7 + 40 + 4 + 11)
        gate, zookeeper = self.gate(pod), pod["containers"][0]
        self.assertEqual(gate["lifecycle"]["preStop"]["exec"]["command"], ["/usr/bin/zoogate", "drain"])
        script = zookeeper["lifecycle"]["preStop"]["exec"]["command"][-1]
        self.assertIn("/dev/tcp/127.0.0.1/9281", script)
        self.assertIn("SECONDS >= 51", script)
        config = find(render(merged(ENSEMBLE, {"drain": {"delay": 7, "grace": 40}})), "ConfigMap", "zk-zoogate")
        self.assertEqual(yaml.safe_load(config["data"]["zoogate.yaml"])["shutdown"], {"delay": "7s", "grace": "40s"})

    def test_zookeeper_waits_where_the_gate_s_admin_address_is(self):
        for host, reached in [("0.0.0.0", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("[::]", "::1"), ("[::1]", "::1")]:
            zookeeper = self.pod({"admin": {"host": host}})["containers"][0]
            self.assertIn(f"/dev/tcp/{reached}/9281)", zookeeper["lifecycle"]["preStop"]["exec"]["command"][-1])

    def test_the_memory_limit_follows_from_the_limits_of_connections(self):
        for limits, memory in [
            ({}, "288Mi"),
            ({"connections": 100}, "80Mi"),
            ({"connections": 50000}, "1440Mi"),
            ({"connections": 50000, "handshakes": 1000}, "864Mi"),
        ]:
            with self.subTest(limits):
                self.assertEqual(self.gate(self.pod({"config": {"limits": limits}}))["resources"]["limits"], {"memory": memory})
        own = self.gate(self.pod({"config": {"limits": {"connections": 50000}}, "resources": {"limits": {"memory": "3Gi", "cpu": "2"}}}))
        self.assertEqual(own["resources"]["limits"], {"memory": "3Gi", "cpu": "2"})

    def test_volumes_of_ones_own_come_with_their_mounts(self):
        mount = {"name": "kms", "mountPath": "/etc/kms", "readOnly": True}
        pod = self.pod({"extraVolumeMounts": [mount], "extraVolumes": [{"name": "kms", "secret": {"secretName": "kms"}}]})
        self.assertEqual(find_volume(pod, "kms"), {"name": "kms", "secret": {"secretName": "kms"}})
        gate = next(c for c in pod["initContainers"] + pod["containers"] if c["name"] == "zoogate")
        self.assertIn(mount, gate["volumeMounts"])

    def test_the_example_chart_has_no_hook_where_zookeeper_does_not_wait(self):
        for waits in [True, False]:
            objects = render({"zoogate": {"drain": {"zookeeperWaits": waits}}}, parent())
            pod = find(objects, "StatefulSet")["spec"]["template"]["spec"]
            zookeeper = next(c for c in pod["containers"] if c["name"] == "zookeeper")
            self.assertEqual("lifecycle" in zookeeper, waits)

    def test_zookeeper_can_wait_by_sleeping(self):
        zookeeper = self.pod({"drain": {"zookeeperWaitsBy": "sleep"}})["containers"][0]
        self.assertEqual(zookeeper["lifecycle"], {"preStop": {"sleep": {"seconds": 29}}})

    def test_all_files_are_in_one_volume_that_is_renewed_as_one(self):
        pod = self.pod({"crls": {"configMap": {"name": "c", "keys": ["a.crl", "b.crl"]}}})
        volume = [v for v in pod["volumes"] if v["name"] == "zoogate"][0]["projected"]
        self.assertEqual(volume["defaultMode"], 0o440)
        paths = [i["path"] for s in volume["sources"] for i in (s.get("secret") or s["configMap"])["items"]]
        self.assertEqual(paths, ["zoogate.yaml", "tls/tls.crt", "tls/tls.key", "trust/ca", "crls/a.crl", "crls/b.crl", "secret/secret"])
        self.assertEqual([m["mountPath"] for m in self.gate(pod)["volumeMounts"]], ["/etc/zoogate"])
        self.assertTrue(all("subPath" not in m for m in self.gate(pod)["volumeMounts"]))

    def test_images_have_registry_and_digest(self):
        digest = "sha256:" + "a" * 64
        pod = self.pod({"image": {"registry": "r.example", "repository": "a/zoogate", "digest": digest}})
        self.assertEqual(self.gate(pod)["image"], f"r.example/a/zoogate@{digest}")
        self.assertEqual(self.gate(self.pod({"image": {"tag": "1.2"}}))["image"], "zoogate:1.2")

    def test_the_reason_of_a_crash_is_in_the_pod_s_status(self):
        self.assertEqual(self.gate(self.pod())["terminationMessagePolicy"], "FallbackToLogsOnError")

    def test_pods_are_replaced_only_for_what_a_running_gate_does_not_take(self):
        def checksum(config):
            objects = render(merged(ENSEMBLE, {"config": config}))
            return find(objects, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]["zoogate.io/config"]

        before = checksum({})
        self.assertEqual(checksum({"identity": {"allow": ["a"]}, "acl": {"translate": "on"}}), before)
        self.assertNotEqual(checksum({"identity": {"inject": "x509"}}), before)
        self.assertNotEqual(checksum({"limits": {"connections": 10}}), before)


class Ensemble(unittest.TestCase):
    def test_zookeeper_takes_clients_on_loopback_only(self):
        objects = render(ENSEMBLE)
        zoo_cfg = find(objects, "ConfigMap", "zk-zoogate-zookeeper")["data"]["zoo.cfg"]
        self.assertIn("clientPortAddress=127.0.0.1\n", zoo_cfg)
        self.assertEqual(re.findall(r"server\.(\d)=zk-zoogate-(\d)\.zk-zoogate-headless\.demo\.svc\.cluster\.local:2888:3888", zoo_cfg),
                         [("1", "0"), ("2", "1"), ("3", "2")])
        self.assertNotIn("server.", find(render(merged(ENSEMBLE, {"ensemble": {"replicas": 1}})), "ConfigMap", "zk-zoogate-zookeeper")["data"]["zoo.cfg"].replace("enableServer", ""))
        for service in [o for o in objects if o["kind"] == "Service"]:
            self.assertNotIn(2181, [p["port"] for p in service["spec"]["ports"]])
        ports = [p for c in find(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"] for p in c["ports"]]
        self.assertNotIn(2181, [p["containerPort"] for p in ports])

    def test_numbers_of_zoo_cfg_are_written_as_zookeeper_reads_them(self):
        config = {"maxSessionTimeout": 4000000, "jute.maxbuffer": 4194304, "fraction": 0.25, "flag": True, "text": "a b"}
        zoo_cfg = find(render(merged(ENSEMBLE, {"ensemble": {"config": config}})), "ConfigMap", "zk-zoogate-zookeeper")["data"]["zoo.cfg"]
        for line in ["maxSessionTimeout=4000000", "jute.maxbuffer=4194304", "fraction=0.25", "flag=true", "text=a b"]:
            self.assertIn(f"\n{line}\n", zoo_cfg)

    def test_servers_find_each_other_before_they_are_ready_and_clients_only_ready_ones(self):
        objects = render(ENSEMBLE)
        self.assertEqual(find(objects, "StatefulSet")["spec"]["podManagementPolicy"], "Parallel")
        self.assertIs(find(objects, "Service", "zk-zoogate-headless")["spec"]["publishNotReadyAddresses"], True)
        self.assertNotIn("publishNotReadyAddresses", find(objects, "Service", "zk-zoogate")["spec"])
        self.assertEqual(find(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1)

    def test_a_policy_leaves_zookeeper_s_port_to_the_pod_itself(self):
        policy = find(render(merged(ENSEMBLE, {"networkPolicy": {"enabled": True}})), "NetworkPolicy")["spec"]
        self.assertEqual(policy["policyTypes"], ["Ingress"])
        self.assertEqual([[p["port"] for p in rule["ports"]] for rule in policy["ingress"]], [[2281], [9281], [2888, 3888]])
        self.assertEqual(policy["ingress"][2]["from"], [{"podSelector": policy["podSelector"]}])
        operator = [{"podSelector": {"matchLabels": {"name": "operator"}}}]
        policy = find(render(merged(ENSEMBLE, {"networkPolicy": {"enabled": True, "plaintextFrom": operator}, "admin": {"host": "127.0.0.1"}})), "NetworkPolicy")["spec"]
        self.assertEqual([[p["port"] for p in rule["ports"]] for rule in policy["ingress"]], [[2281], [2888, 3888], [2181]])
        self.assertEqual(policy["ingress"][2]["from"], operator)

    def test_the_ensemble_s_quorum_ports_are_the_servers_own_unless_that_is_switched_off(self):
        policy = find(render(ENSEMBLE), "NetworkPolicy")["spec"]
        pod = find(render(ENSEMBLE), "StatefulSet")["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(policy["podSelector"]["matchLabels"].items(), pod.items())
        reached = {port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]}
        self.assertEqual(set(reached), {2281, 9281, 2888, 3888})
        for port in (2888, 3888):
            self.assertEqual(reached[port], [{"podSelector": policy["podSelector"]}])
        off = render(merged(ENSEMBLE, {"networkPolicy": {"enabled": False}}))
        for objects in (off, render(MINIMAL)):
            self.assertNotIn("NetworkPolicy", [item["kind"] for item in objects])

    def test_admin_server_is_off_and_switched_on_it_is_on_loopback(self):
        zoo_cfg = lambda more: next(item["data"]["zoo.cfg"] for item in render(merged(ENSEMBLE, more)) if "zoo.cfg" in item.get("data", {})).splitlines()
        self.assertIn("admin.enableServer=false", zoo_cfg({}))
        on = zoo_cfg({"ensemble": {"config": {"admin.enableServer": True}}})
        self.assertIn("admin.enableServer=true", on)
        self.assertIn("admin.serverAddress=127.0.0.1", on)

    def test_a_policy_that_lets_only_some_in_lets_the_chart_s_own_test_in(self):
        some = [{"podSelector": {"matchLabels": {"name": "some"}}}]
        objects = render(merged(ENSEMBLE, {"networkPolicy": {"enabled": True, "clientsFrom": some, "metricsFrom": some}}))
        labels = find(objects, "Pod")["metadata"]["labels"]
        for rule in find(objects, "NetworkPolicy")["spec"]["ingress"][:2]:
            self.assertEqual(rule["from"][:1], some)
            self.assertLessEqual(rule["from"][1]["podSelector"]["matchLabels"].items(), labels.items())
        self.assertFalse(find(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels.items(), "it is no server")

    def test_the_certificate_has_every_name_that_clients_dial(self):
        values = {"ensemble": {"enabled": True}, "trust": {"fromTls": True},
                  "tls": {"certManager": {"enabled": True, "issuerRef": {"name": "ca"}, "dnsNames": ["zk.example.com"]}}}
        certificate = find(render(values), "Certificate")["spec"]
        for name in ["zk-zoogate.demo.svc.cluster.local", "*.zk-zoogate-headless.demo.svc.cluster.local", "zk.example.com"]:
            self.assertIn(name, certificate["dnsNames"])
        self.assertIn("server auth", certificate["usages"])
        self.assertEqual(certificate["privateKey"]["rotationPolicy"], "Always")
        sources = [v for v in find(render(values), "StatefulSet")["spec"]["template"]["spec"]["volumes"] if v["name"] == "zoogate"][0]["projected"]["sources"]
        self.assertEqual(sources[1]["secret"]["name"], certificate["secretName"])

    def test_the_secret_is_long_kept_and_not_made_where_there_is_one(self):
        secret = find(render(ENSEMBLE), "Secret")
        self.assertEqual(secret["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")
        self.assertGreaterEqual(len(base64.b64decode(secret["data"]["secret"])), 43)
        for values in [{"secret": {"existingSecret": "s"}}, {"config": {"identity": {"inject": "none"}}}]:
            self.assertEqual([o for o in render(merged(ENSEMBLE, values)) if o["kind"] == "Secret"], [])

    def test_rules_can_be_changed_one_by_one(self):
        alerts = {}
        for group in yaml.safe_load((CHART / "files" / "zoogate.rules.yaml").read_text())["groups"]:
            alerts.update({rule["alert"]: rule for rule in group["rules"] if "alert" in rule})
        first = next(iter(alerts))
        def rendered(changes):
            rule = find(render(merged(ENSEMBLE, {"prometheusRule": merged({"enabled": True}, changes)})), "PrometheusRule")
            return {r["alert"]: r for g in rule["spec"]["groups"] for r in g["rules"] if "alert" in r}
        self.assertEqual(rendered({}), alerts)
        self.assertNotIn(first, rendered({"overrides": {first: {"enabled": False}}}))
        changed = rendered({"overrides": {first: {"for": "77m", "severity": "page"}}, "alertLabels": {"team": "zk"}})[first]
        self.assertEqual((changed["for"], changed["labels"]["severity"], changed["labels"]["team"]), ("77m", "page", "zk"))

    def test_monitors_find_the_gate_s_port(self):
        objects = render(merged(ENSEMBLE, {"podMonitor": {"enabled": True, "labels": {"release": "p"}}, "serviceMonitor": {"enabled": True}}))
        monitor = find(objects, "PodMonitor")
        self.assertEqual(monitor["metadata"]["labels"]["release"], "p")
        self.assertEqual(monitor["spec"]["podMetricsEndpoints"], [{"port": "zoogate-admin", "path": "/metrics"}])
        template = find(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(), template.items())
        service = find(objects, "Service", "zk-zoogate-metrics")
        self.assertLessEqual(find(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())


class Inject(unittest.TestCase):
    VALUES = merged(MINIMAL, {"inject": {"enabled": True, "apiVersion": "v1"}})

    def test_it_is_off_by_default(self):
        self.assertEqual([o["kind"] for o in render(MINIMAL)], ["ConfigMap", "Secret"])

    def test_only_labelled_pods_of_the_namespace_are_changed(self):
        objects = render(self.VALUES)
        policy, binding = find(objects, "MutatingAdmissionPolicy"), find(objects, "MutatingAdmissionPolicyBinding")
        self.assertEqual(policy["spec"]["matchConstraints"]["objectSelector"], {"matchLabels": {"zoogate.io/inject": "true"}})
        self.assertEqual(policy["spec"]["failurePolicy"], "Fail")
        self.assertEqual(binding["spec"]["policyName"], policy["metadata"]["name"])
        self.assertEqual(binding["spec"]["matchResources"]["namespaceSelector"], {"matchLabels": {"kubernetes.io/metadata.name": "demo"}})

    def test_every_change_is_a_json_patch(self):
        mutations = find(render(self.VALUES), "MutatingAdmissionPolicy")["spec"]["mutations"]
        self.assertEqual({m["patchType"] for m in mutations}, {"JSONPatch"})

    def test_what_is_added_is_the_sidecar_of_the_templates(self):
        # Half a CPU is no whole number.
        resources = {"resources": {"requests": {"cpu": 0.5}, "limits": {"memory": 536870912}}}
        mutations = find(render(merged(self.VALUES, resources)), "MutatingAdmissionPolicy")["spec"]["mutations"]
        text = [m["jsonPatch"]["expression"] for m in mutations if "/spec/initContainers/-" in m["jsonPatch"]["expression"]][0]
        literal = text.split('path: "/spec/initContainers/-", value: ')[1].removesuffix("}]")
        # `dyn(…)` around everything is all that tells it from JSON.
        added = json.loads(re.sub(r"dyn\(|\)", "", literal))
        pod = find(render(merged(ENSEMBLE, resources)), "StatefulSet")["spec"]["template"]["spec"]
        self.assertEqual(added, pod["initContainers"][0])

    def test_a_cluster_that_has_no_such_policies_is_told_what_to_do(self):
        with self.assertRaisesRegex(helm_python.HelmRenderError, "serves no MutatingAdmissionPolicy"):
            render(merged(MINIMAL, {"inject": {"enabled": True}}))


class Refused(unittest.TestCase):
    def test_what_contradicts_itself_is_refused_with_what_to_do(self):
        mount = {"name": "x", "mountPath": "/etc/zoogate/tls/tls.crt"}
        for values, message in [
            ({}, "tls: the gate's certificate comes from one of"),
            ({"tls": {"secret": {"name": "t"}}}, "trust: the CAs of clients come from one of"),
            (merged(MINIMAL, {"trust": {"fromTls": True}}), "trust: the CAs of clients come from one of"),
            (merged(MINIMAL, {"tls": {"csi": {"enabled": True}}}), "tls: the gate's certificate comes from one of"),
            (merged(MINIMAL, {"tls": {"certManager": {"enabled": True}}}), "tls.certManager.issuerRef.name"),
            (merged(MINIMAL, {"tls": {"certManager": {"enabled": True, "issuerRef": {"name": "i"}}}}), "tls.certManager.dnsNames"),
            (merged(MINIMAL, {"crls": {"configMap": {"name": "c"}}}), "crls.configMap.keys"),
            (merged(MINIMAL, {"extraVolumeMounts": [merged(mount, {"subPath": "tls.crt"})]}), "is a subPath mount, which Kubernetes never updates"),
            (merged(MINIMAL, {"extraVolumeMounts": [merged(mount, {"subPathExpr": "$(A)"})]}), "is a subPath mount"),
            (merged(ENSEMBLE, {"ensemble": {"config": {"clientPortAddress": "0.0.0.0"}}}), "ensemble.config.clientPortAddress: the chart writes it"),
            (merged(ENSEMBLE, {"ensemble": {"config": {"server.4": "x"}}}), "ensemble.config.server.4: the chart writes it"),
            (merged(ENSEMBLE, {"ensemble": {"config": {"a": "b\nclientPortAddress=0.0.0.0"}}}), "ensemble.config.a: it is one line"),
            (merged(ENSEMBLE, {"inject": {"enabled": True}}), "one release does one of them"),
            (merged(ENSEMBLE, {"admin": {"host": "127.0.0.1"}, "podMonitor": {"enabled": True}}), "nobody can scrape"),
            (merged(ENSEMBLE, {"kubeVersion": "1.29", "drain": {"zookeeperWaitsBy": "sleep"}}), "needs Kubernetes 1.30"),
            (merged(ENSEMBLE, {"kubeVersion": "1.28", "nativeSidecar": True}), "nativeSidecar: needs Kubernetes 1.29"),
            (merged(MINIMAL, {"inject": {"enabled": True, "apiVersion": "v1"}, "nativeSidecar": False}), "as a native sidecar"),
            (merged(MINIMAL, {"listen": {"port": 9281}}), "each needs its own"),
            (merged(ENSEMBLE, {"listen": {"port": 3888}}), "each needs its own"),
            (merged(MINIMAL, {"config": {"shutdown": {"grace": "9s"}}}), "set drain.delay and drain.grace"),
            (merged(MINIMAL, {"config": {"listen": {"address": "0.0.0.0:1"}}}), "config.listen.address"),
            (merged(MINIMAL, {"networkPolicy": {"enabled": True}}), "podSelector: name the labels"),
            (merged(ENSEMBLE, {"prometheusRule": {"enabled": True, "overrides": {"NoSuch": {}}}}), "there is no alert NoSuch"),
        ]:
            with self.subTest(message):
                with self.assertRaises(helm_python.HelmRenderError) as caught:
                    render(values)
                self.assertIn(message, str(caught.exception))

    def test_what_no_value_may_be_is_refused_by_the_schema(self):
        for values, where in [
            ({"ensembel": {}}, "ensembel"),
            ({"ensemble": {"replica": 3}}, "replica"),
            ({"ensemble": {"replicas": 2}}, "replicas"),
            ({"listen": {"port": 70000}}, "port"),
            ({"listen": {"port": "2281"}}, "port"),
            ({"listen": {"host": "localhost"}}, "host"),
            ({"image": {"digest": "sha256:123"}}, "digest"),
            ({"image": {"pullPolicy": "always"}}, "pullPolicy"),
            ({"nativeSidecar": "yes"}, "nativeSidecar"),
            ({"config": {"upstraem": {}}}, "upstraem"),
            ({"tls": {"secretName": "x"}}, "secretName"),
            ({"tls": {"secret": {"name": "Not_A_Name"}}}, "name"),
            ({"tls": {"secret": {"cert": "a/b"}}}, "cert"),
            ({"tls": {"secret": {"key": ""}}}, "key"),
            ({"trust": {"secret": {"key": ""}}}, "key"),
            ({"fullnameOverride": "My_Gate"}, "fullnameOverride"),
            ({"nameOverride": "a: b"}, "nameOverride"),
            ({"clusterDomain": "a b"}, "clusterDomain"),
            ({"image": {"repository": "a b"}}, "repository"),
            ({"probes": {"liveness": {"successThreshold": 2}}}, "successThreshold"),
            ({"ensemble": {"persistence": {"size": "..."}}}, "size"),
            ({"trust": {"configMap": "x"}}, "configMap"),
            ({"secret": {"value": "x"}}, "value"),
            ({"secret": {"key": ""}}, "key"),
            ({"filesMode": 0o777}, "filesMode"),
            ({"probes": {"liveness": {"httpGet": {}}}}, "httpGet"),
            ({"drain": {"grace": 0}}, "grace"),
            ({"drain": {"zookeeperWaitsBy": "curl"}}, "zookeeperWaitsBy"),
            ({"extraEnv": [{"value": "x"}]}, "extraEnv"),
            ({"commonLabels": {"a": 1}}, "commonLabels"),
            ({"inject": {"apiVersion": "v1alpha1"}}, "apiVersion"),
            ({"inject": {"podLabels": {"zoogate.io/inject": None}}}, "podLabels"),
            ({"podMonitor": {"interval": "often"}}, "interval"),
            ({"prometheusRule": {"overrides": {"A": {"severty": "x"}}}}, "severty"),
            ({"ensemble": {"persistence": {"size": "big"}}}, "size"),
        ]:
            with self.subTest(where):
                with self.assertRaises(helm_python.HelmValuesError) as caught:
                    engine().validate_schema(values)
                self.assertIn(where, str(caught.exception))


class Configurations(unittest.TestCase):
    """Every configuration that is rendered is one that the gate starts with, and its files are those that are mounted."""

    @classmethod
    def setUpClass(cls):
        cls.etc = pathlib.Path(tempfile.mkdtemp(prefix="zoogate-etc-"))
        cls.addClassCleanup(shutil.rmtree, cls.etc)
        script = ROOT / "tests" / "helm" / "material.sh"
        subprocess.run([script, ROOT / "target" / "debug" / "zoogate"], cwd=cls.etc, check=True, capture_output=True)

    # What stands in for the key of an object.
    MATERIAL = {"tls/tls.crt": "tls.crt", "tls/tls.key": "tls.key", "tls/ca.crt": "ca.crt", "tls/keystore": "server.p12", "tls/password": "pass",
                "trust/ca": "ca.crt", "trust/password": "pass", "crls/clients.crl": "ca.crl", "secret/secret": "secret"}

    def check(self, objects):
        configs = [o for o in objects if o["kind"] == "ConfigMap" and "zoogate.yaml" in o["data"]]
        self.assertEqual(len(configs), 1)
        text = configs[0]["data"]["zoogate.yaml"]
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            java = "password_file: /etc/zoogate/trust" in text
            for path, source in self.MATERIAL.items():
                (root / path).parent.mkdir(exist_ok=True)
                shutil.copy(self.etc / ("trust.jks" if java and path == "trust/ca" else source), root / path)
            self.mounted(objects, set(re.findall(r"/etc/zoogate/(\S+)", text)))
            text = text.replace("/etc/zoogate-tls/", f"{root}/tls/").replace("/etc/zoogate/", f"{root}/")
            (root / "zoogate.yaml").write_text(text)
            ran = subprocess.run([ROOT / "target" / "debug" / "zoogate", "check", "--config", root / "zoogate.yaml"], capture_output=True, text=True)
            self.assertEqual(ran.returncode, 0, ran.stderr + text)

    def mounted(self, objects, wanted):
        pods = [o["spec"]["template"]["spec"] for o in objects if o["kind"] == "StatefulSet"]
        for pod in pods:
            sources = [v for v in pod["volumes"] if v["name"] == "zoogate"][0]["projected"]["sources"]
            there = {item["path"] for source in sources for item in (source.get("secret") or source["configMap"])["items"]}
            self.assertEqual(wanted | {"zoogate.yaml"}, there)

    def test_each_example_has_a_good_configuration(self):
        for name in NAMES:
            with self.subTest(name):
                self.check(render(list(cases(name))[-1][1]))

    def test_a_parent_chart_has_a_good_configuration(self):
        self.check(render({}, parent()))

    def test_a_wrong_switch_is_no_good_configuration(self):
        with self.assertRaises(AssertionError):
            self.check(render(merged(ENSEMBLE, {"config": {"upstream": {"keepalive": True}}})))

    def test_other_ways_of_injecting_and_listening_are_good(self):
        for config in [{"identity": {"inject": "none"}}, {"identity": {"inject": "x509", "super": ["CN=admin"]}}, {"acl": {"translate": "on"}}, SWITCHES]:
            self.check(render(merged(ENSEMBLE, {"config": config})))
        self.check(render(merged(ENSEMBLE, {"listen": {"host": "[::]"}, "admin": {"host": "[::1]"}})))


class ParentChart(unittest.TestCase):
    def test_templates_make_the_same_gate_in_a_parent_chart(self):
        ours = find(render(ENSEMBLE), "StatefulSet")["spec"]["template"]["spec"]["initContainers"]
        theirs = find(render({}, parent()), "StatefulSet")["spec"]["template"]["spec"]
        self.assertEqual(theirs["initContainers"], ours)
        self.assertEqual(theirs["terminationGracePeriodSeconds"], 44)
        old = find(render({"zoogate": {"kubeVersion": "1.28"}}, parent()), "StatefulSet")["spec"]["template"]["spec"]
        self.assertEqual((old["initContainers"], [c["name"] for c in old["containers"]]), ([], ["zookeeper", "zoogate"]))


if __name__ == "__main__":
    unittest.main()
