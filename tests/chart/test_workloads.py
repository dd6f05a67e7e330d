"""Pods of the chart: confined, spread, ended in time, and given the settings that their process knows."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charts import (
    CHART,
    GIVEN,
    RICH,
    containers,
    environment,
    named,
    needs_helm,
    of_kind,
    pods,
    render,
    run,
    sets,
    templates,
)
from vidrec.encoder_settings import load_encoder_settings
from vidrec.settings import load_settings

pytestmark = needs_helm

JOB = ("migrations.mode=job",)
ALL = pytest.mark.parametrize("extra", [(), RICH, JOB], ids=["default", "rich", "job"])


@ALL
def test_lints_strictly(extra: tuple[str, ...]) -> None:
    done = run("lint", "--strict", str(CHART), *sets((*GIVEN, *extra)))
    assert done.returncode == 0, done.stdout + done.stderr


def test_renders_every_component() -> None:
    assert {
        (o["kind"], o["metadata"]["name"]) for o in render() if o["kind"] not in ("ServiceAccount", "NetworkPolicy")
    } == {
        *(("Deployment", f"shop-{c}") for c in ("api", "encoder", "worker")),
        *(("PodDisruptionBudget", f"shop-{c}") for c in ("api", "encoder", "worker")),
        *(("Service", f"shop-{c}") for c in ("api", "encoder", "worker")),
        ("Job", "shop-migrations"),
        ("CronJob", "shop-sweep"),
        ("Pod", "shop-test"),
    }
    assert set(pods(render(*RICH))) == {"api", "encoder", "worker", "ingest", "migrations", "sweep", "test"}


@ALL
def test_every_pod_meets_the_restricted_standard(extra: tuple[str, ...]) -> None:
    for name, template in templates(render(*extra)):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "name"} >= {
            k for v in pod["volumes"] for k in v
        }
        for container in containers(pod):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name


@ALL
def test_every_component_has_an_account_of_its_own_without_a_token(extra: tuple[str, ...]) -> None:
    objects = render(*extra)
    accounts = of_kind(objects, "ServiceAccount")
    for component, template in templates(objects):
        assert template["spec"]["serviceAccountName"] == f"shop-{component}"
        assert template["spec"]["automountServiceAccountToken"] is False
        assert accounts[f"shop-{component}"]["automountServiceAccountToken"] is False


@ALL
def test_what_serves_is_probed(extra: tuple[str, ...]) -> None:
    for component, template in templates(render(*extra)):
        if component in ("api", "encoder", "worker"):
            [container] = template["spec"]["containers"]
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"]["port"] in ports, component


@ALL
def test_grace_is_longer_than_the_drain(extra: tuple[str, ...]) -> None:
    for component, template in templates(render(*extra)):
        for container in template["spec"]["containers"]:
            stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
            drain = environment(container).get("VIDREC_DRAIN_S", "10")
            if component == "encoder":
                drain = dict(itertools.pairwise(container["args"]))["--timeout-graceful-shutdown"]
            assert int(stop[1]) + int(drain) < template["spec"].get("terminationGracePeriodSeconds", 30), component


@ALL
def test_replicas_are_spread_over_zones_and_nodes(extra: tuple[str, ...]) -> None:
    for component, template in templates(render(*extra)):
        if component in ("api", "encoder", "worker"):
            labels, spec = template["metadata"]["labels"].items(), template["spec"]
            spread = spec["topologySpreadConstraints"]
            assert [s["topologyKey"] for s in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
            assert all(s["labelSelector"]["matchLabels"].items() <= labels for s in spread)
            [apart] = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
            assert apart["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= labels


@ALL
def test_selectors_meet_the_pods_that_they_mean(extra: tuple[str, ...]) -> None:
    objects = render(*extra)
    labels = [(component, template["metadata"]["labels"]) for component, template in templates(objects)]
    for o in objects:
        selector: dict[str, Any] = o.get("spec", {}).get("selector", {})
        if o["kind"] in ("Service", "Deployment", "PodDisruptionBudget"):
            wanted = selector.get("matchLabels", selector).items()
            met = {component for component, own in labels if wanted <= own.items()}
            assert met == {o["metadata"]["labels"]["app.kubernetes.io/component"]}, o["metadata"]["name"]
    deployments = of_kind(objects, "Deployment").values()
    for one, other in itertools.permutations(deployments, 2):
        own = other["spec"]["template"]["metadata"]["labels"].items()
        assert not one["spec"]["selector"]["matchLabels"].items() <= own


@ALL
def test_all_have_the_recommended_labels(extra: tuple[str, ...]) -> None:
    for o in render(*extra):
        assert {
            f"app.kubernetes.io/{n}" for n in ("name", "instance", "component", "version", "part-of", "managed-by")
        } <= (set(o["metadata"]["labels"])), o["metadata"]["name"]


@ALL
def test_every_variable_is_a_setting_of_the_process_that_gets_it(
    extra: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod with an unknown variable would refuse to start."""
    for component, pod in pods(
        render(*extra, "settings.VIDREC_POLL_S=1", "encoder.settings.VIDREC_ENCODER_QUEUE=99")
    ).items():
        for container in containers(pod):
            given = environment(container)
            assert len(given) == len(container["env"]), "a variable is there twice"
            with monkeypatch.context() as process:
                for name, value in given.items():
                    if name.startswith("VIDREC_"):
                        process.setenv(name, value if isinstance(value, str) else "sqlite:///long-enough-for-a-secret")
                if component == "encoder":
                    assert load_encoder_settings().queue == 99
                else:
                    settings = load_settings()
                    assert settings.database_url
                    assert settings.log_format == "json"


def test_credentials_come_from_secrets_only() -> None:
    for component, pod in pods(render(*RICH)).items():
        for container in containers(pod):
            given = environment(container)
            secret = {
                n for n in given if any(word in n for word in ("DATABASE_URL", "TOKEN", "PASSWORD", "SECRET", "KEY_ID"))
            }
            assert all(isinstance(given[n], tuple) for n in secret), component


def test_each_process_knows_no_more_than_it_needs() -> None:
    known = {
        component: {
            word
            for word in ("DATABASE_URL", "MILVUS_URI", "MEDIA_URL", "AWS_SECRET", "VIDREC_SECRET", "ENCODER_URLS")
            for name in environment(pod["containers"][0])
            if word in name
        }
        for component, pod in pods(render(*RICH)).items()
    }
    media = {"MEDIA_URL", "AWS_SECRET"}
    assert known["api"] == {"DATABASE_URL", "MILVUS_URI", "VIDREC_SECRET", "ENCODER_URLS", *media}
    assert known["worker"] == {"DATABASE_URL", "MILVUS_URI", "ENCODER_URLS", *media}
    assert known["sweep"] == {"DATABASE_URL", *media}
    assert known["ingest"] == {"DATABASE_URL", *media}
    assert known["migrations"] == {"DATABASE_URL"}
    assert known["encoder"] == set()


def test_the_api_asks_for_keys_unless_told_otherwise() -> None:
    on, off = {"VIDREC_AUTH": "keys"}, {"VIDREC_AUTH": "off", "VIDREC_ALLOW_OPEN": "true"}
    for given, expected in (((), on), (("auth=off",), off), (("auth=false",), off)):
        found = environment(pods(render(*given))["api"]["containers"][0])
        assert {n: v for n, v in found.items() if n in ("VIDREC_AUTH", "VIDREC_ALLOW_OPEN")} == expected
        assert found["VIDREC_SECRET"] == ("vidrec-signing", "secret")


def test_milvus_by_token_or_by_user_over_tls() -> None:
    token = environment(pods(render("milvus.existingSecret=milvus"))["worker"]["containers"][0])
    assert token["VIDREC_MILVUS_TOKEN"] == ("milvus", "token")
    assert "VIDREC_MILVUS_USER" not in token
    user = (
        *(
            "milvus.existingSecret=milvus",
            "milvus.userKey=user",
            "milvus.passwordKey=password",
            "milvus.database=films",
        ),
        *("milvus.certificateSecret=milvus-ca", "milvus.uri=https://milvus:19530"),
    )
    for component in ("api", "worker"):
        pod = pods(render(*user))[component]
        found = environment(pod["containers"][0])
        assert (found["VIDREC_MILVUS_USER"], found["VIDREC_MILVUS_PASSWORD"]) == (
            ("milvus", "user"),
            ("milvus", "password"),
        )
        assert "VIDREC_MILVUS_TOKEN" not in found
        assert found["VIDREC_MILVUS_DATABASE"] == "films"
        mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
        assert found["VIDREC_MILVUS_CERTIFICATE"] == f"{mounts['milvus-certificate']}/ca.crt"
        assert {"name": "milvus-certificate", "secret": {"secretName": "milvus-ca", "defaultMode": 0o440}} in pod[
            "volumes"
        ]


def test_the_object_store_as_the_settings_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pods(
        render(
            *("s3.endpoint=http://store:9000", "s3.pathStyle=true", "s3.buckets={videos,films}"),
            *("s3.publicEndpoint=https://media.example.com", "s3.existingSecret=aws", "s3.notificationSecret=told"),
        )
    )
    assert environment(found["api"]["containers"][0])["VIDREC_NOTIFICATION_TOKEN"] == ("told", "token")
    given = environment(found["worker"]["containers"][0])
    assert given["AWS_ACCESS_KEY_ID"] == ("aws", "AWS_ACCESS_KEY_ID")
    for name, value in given.items():
        if name.startswith("VIDREC_"):
            monkeypatch.setenv(name, value if isinstance(value, str) else f"sqlite:///{'x' * 32}")
    settings = load_settings()
    assert (settings.media_url, settings.s3_path_style) == ("s3://media/vidrec", True)
    assert (settings.s3_public_endpoint, [*settings.buckets]) == ("https://media.example.com", ["videos", "films"])


def test_the_identity_of_a_pod_takes_the_place_of_a_secret() -> None:
    role = r"s3.serviceAccountAnnotations.eks\.amazonaws\.com/role-arn=arn:aws:iam::1:role/vidrec"
    accounts = of_kind(render(role), "ServiceAccount")
    with_role = {n for n, a in accounts.items() if "eks.amazonaws.com/role-arn" in a["metadata"].get("annotations", {})}
    assert with_role == {"shop-api", "shop-worker", "shop-sweep"}


@pytest.mark.parametrize(("gpus", "provider"), [(0, "cpu"), (2, "cuda")])
def test_the_provider_follows_the_gpus(gpus: int, provider: str) -> None:
    [container] = pods(render(f"encoder.gpus={gpus}"))["encoder"]["containers"]
    assert environment(container)["VIDREC_ENCODER_PROVIDER"] == provider
    assert container["resources"]["limits"].get("nvidia.com/gpu") == (gpus or None)


def test_a_part_of_a_gpu_has_a_name_of_its_own() -> None:
    pod = pods(render("encoder.gpuResource=nvidia.com/mig-1g.10gb", "encoder.runtimeClassName=nvidia"))["encoder"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == 1
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_models_are_mounted_where_the_encoder_looks() -> None:
    pod = pods(
        render(
            *("encoder.modelVolume.persistentVolumeClaim.claimName=models", "encoder.modelPath=/models/first"),
            "encoder.modelsPath=/models",
        )
    )["encoder"]
    found = environment(pod["containers"][0])
    assert (found["VIDREC_ENCODER_MODEL"], found["VIDREC_ENCODER_MODELS"]) == ("/models/first", "/models")
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert {"name": "models", "persistentVolumeClaim": {"claimName": "models"}} in pod["volumes"]


def test_two_versions_of_the_encoder_stand_behind_one_service() -> None:
    objects = render("encoder.next.enabled=true", "encoder.next.tag=0.2.0", "encoder.next.modelPath=/second")
    service = named(objects, "Service", "shop-encoder")["spec"]["selector"].items()
    pair = [named(objects, "Deployment", n)["spec"]["template"] for n in ("shop-encoder", "shop-encoder-next")]
    assert all(service <= template["metadata"]["labels"].items() for template in pair)
    [first, second] = [template["spec"]["containers"][0] for template in pair]
    assert (first["image"][-5:], second["image"][-5:]) == ("0.1.0", "0.2.0")
    assert environment(second)["VIDREC_ENCODER_MODEL"] == "/second"


def test_encoder_addresses_are_the_json_list_that_the_settings_read() -> None:
    found = environment(pods(render())["api"]["containers"][0])
    assert json.loads(found["VIDREC_ENCODER_URLS"]) == ["http://shop-encoder:3001"]


def test_the_encoder_is_found_by_all_its_addresses() -> None:
    """Callers choose among them: a cluster IP would pin each of their connections to one pod."""
    service = named(render(), "Service", "shop-encoder")
    assert service["spec"]["clusterIP"] == "None"
    assert not service["spec"].get("publishNotReadyAddresses")


def test_the_ingest_takes_its_part_of_the_names() -> None:
    objects = render(
        "ingest.enabled=true", "ingest.source=s3://films/old", "ingest.completions=16", "ingest.category=old"
    )
    [job] = [j for n, j in of_kind(objects, "Job").items() if n.startswith("shop-ingest-")]
    assert (job["spec"]["completionMode"], job["spec"]["completions"]) == ("Indexed", 16)
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["ingest", "s3://films/old", "--shard", "auto/16", "--no-follow", "--category", "old"]
    other = render("ingest.enabled=true", "ingest.source=s3://films/new")
    assert not set(of_kind(objects, "Job")) & set(of_kind(other, "Job")) - {"shop-migrations"}


def test_with_helm_the_schema_is_there_before_the_pods() -> None:
    job = named(render(), "Job", "shop-migrations")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert not any("initContainers" in pod for pod in pods(render()).values())
    # what the hook itself needs comes before it
    for o in (named(render(), kind, "shop-migrations") for kind in ("ServiceAccount", "NetworkPolicy")):
        assert int(o["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0


def test_without_helm_the_pods_wait_for_the_schema() -> None:
    objects = render(*JOB, "image.tag=1.2.0+GPU_a")
    [job] = of_kind(objects, "Job")
    revision = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]["vidrec/schema"]
    assert job == f"shop-migrations-{revision}-1.2.0-gpu-a"
    for component, pod in pods(objects).items():
        if component in ("api", "worker", "sweep"):
            [wait] = pod["initContainers"]
            assert "vidrec migrate --check" in wait["command"][-1], component
    assert "Job" not in {o["kind"] for o in render("migrations.mode=none")}


@pytest.mark.parametrize("tag", ["0.1.0", f"sha256:{'a' * 64}", "v1.2.3-with-a-long-name-of-a-branch_and_more"])
def test_long_names_are_cut_and_stay_apart(tag: str) -> None:
    long = "a-release-with-a-name-that-is-as-long-as-helm-lets-"
    one, two = (render(*RICH, *JOB, f"image.tag={tag}", release=long + end) for end in ("1", "2"))
    names = [{(o["kind"], o["metadata"]["name"]) for o in objects} for objects in (one, two)]
    assert not names[0] & names[1]
    assert max(len(name) for _, name in names[0]) <= 63
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name) for _, name in names[0])


def test_the_cluster_may_choose_the_user() -> None:
    for pod in pods(render("runAsUser=null")).values():
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_the_notes_name_the_next_commands(tmp_path: Path) -> None:
    """helm shows notes to a cluster alone: here they are rendered as if they were a manifest."""
    copy = shutil.copytree(CHART, tmp_path / "vidrec")
    (copy / "templates" / "NOTES.txt").rename(copy / "templates" / "notes.yaml")

    def notes(*values: str) -> str:
        return run("template", "shop", str(copy), "--debug", *sets((*GIVEN, *values))).stdout

    said = notes()
    assert "helm test shop --namespace default" in said
    assert "exec deployment/shop-api -- vidrec keys create --role admin" in said
    assert "port-forward service/shop-api 3000:80" in said
    named = notes("auth=off", "ingress.enabled=true", "ingress.host=videos.example.com", "ingress.tlsSecret=tls")
    assert "Open https://videos.example.com" in named
    assert "Everybody who reaches the API may watch, upload and delete" in named


def test_two_releases_share_no_name() -> None:
    first, second = ({(o["kind"], o["metadata"]["name"]) for o in render(*RICH, release=r)} for r in ("one", "two"))
    assert not first & second


def test_an_image_by_digest() -> None:
    digest = f"sha256:{'a' * 64}"
    assert pods(render(f"image.tag={digest}"))["api"]["containers"][0]["image"].endswith(f"/vidrec@{digest}")
