"""The Helm chart: lints, renders, and refuses what cannot work with a sentence that says what to write."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from vidrec.encoder_settings import load_encoder_settings
from vidrec.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "vidrec"
GIVEN = (
    "image.registry=registry.example.com/team",
    "database.existingSecret=vidrec-database",
    "milvus.uri=http://milvus:19530",
    "signing.existingSecret=vidrec-signing",
)

helm = shutil.which("helm") or shutil.which("helm", path=str(ROOT / "build" / "tools" / "bin"))
pytestmark = pytest.mark.skipif(helm is None, reason="helm is not here; `make helm` builds it where Go is")


def run(*arguments: str, values: tuple[str, ...] = GIVEN) -> subprocess.CompletedProcess[str]:
    sets = [part for value in values for part in ("--set", value)]
    return subprocess.run([str(helm), *arguments, *sets], capture_output=True, text=True, check=False)


def render(*extra: str, release: str = "shop") -> list[dict[str, Any]]:
    done = run("template", release, str(CHART), values=(*GIVEN, *extra))
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {o["metadata"]["name"]: o["spec"]["template"]["spec"] for o in objects if "template" in o.get("spec", {})}


def test_lints_strictly() -> None:
    done = run("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


def test_renders_every_component() -> None:
    found = {(o["kind"], o["metadata"]["name"]) for o in render()}
    assert found == {
        ("Deployment", "shop-api"),
        ("Deployment", "shop-encoder"),
        ("Deployment", "shop-worker"),
        ("Job", "shop-migrations"),
        ("Service", "shop-api"),
        ("Service", "shop-encoder"),
    }


def test_services_reach_their_pods() -> None:
    objects = render()
    labels = {
        o["metadata"]["name"]: o["spec"]["template"]["metadata"]["labels"] for o in objects if o["kind"] == "Deployment"
    }
    for service in (o for o in objects if o["kind"] == "Service"):
        selector = service["spec"]["selector"]
        assert [n for n, own in labels.items() if selector.items() <= own.items()] == [service["metadata"]["name"]]


def test_every_pod_meets_the_restricted_standard() -> None:
    for name, pod in pods(render()).items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name


def test_grace_is_longer_than_the_wait_before_stopping() -> None:
    for name, pod in pods(render()).items():
        for container in pod["containers"]:
            stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
            drain = dict(itertools.pairwise(container["args"])).get("--timeout-graceful-shutdown", "0")
            assert int(stop[1]) + int(drain) < pod.get("terminationGracePeriodSeconds", 30), name


@pytest.mark.parametrize(("gpus", "provider"), [(0, "cpu"), (2, "cuda")])
def test_the_provider_follows_the_gpus(gpus: int, provider: str) -> None:
    container = pods(render(f"encoder.gpus={gpus}"))["shop-encoder"]["containers"][0]
    environment = {e["name"]: e["value"] for e in container["env"]}
    assert environment["VIDREC_ENCODER_PROVIDER"] == provider
    assert container["resources"]["limits"].get("nvidia.com/gpu") == (gpus or None)


def test_every_variable_is_a_setting_of_the_process_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod with an unknown variable would refuse to start."""
    for name, pod in pods(render("settings.VIDREC_POLL_S=1")).items():
        for container in pod["containers"]:
            with monkeypatch.context() as process:
                for variable in container["env"]:
                    if variable["name"].startswith("VIDREC_"):
                        process.setenv(variable["name"], variable.get("value", "sqlite:///long-enough-for-a-secret"))
                if name == "shop-encoder":
                    assert load_encoder_settings().gpu_mem_limit_mb == 4096
                else:
                    assert load_settings().poll_s == 1


def test_credentials_come_from_secrets_only() -> None:
    container = pods(render())["shop-api"]["containers"][0]
    url = next(e for e in container["env"] if e["name"] == "VIDREC_DATABASE_URL")
    assert url["valueFrom"]["secretKeyRef"] == {"name": "vidrec-database", "key": "url"}


def test_the_api_asks_for_keys_unless_told_otherwise() -> None:
    on, off = {"VIDREC_AUTH": "keys"}, {"VIDREC_AUTH": "off", "VIDREC_ALLOW_OPEN": "true"}
    for given, expected in (((), on), (("auth=off",), off), (("auth=false",), off)):
        container = pods(render(*given))["shop-api"]["containers"][0]
        environment = {e["name"]: e.get("value", "") for e in container["env"]}
        assert {n: v for n, v in environment.items() if n in ("VIDREC_AUTH", "VIDREC_ALLOW_OPEN")} == expected
        secret = next(e for e in container["env"] if e["name"] == "VIDREC_SECRET")
        assert secret["valueFrom"]["secretKeyRef"] == {"name": "vidrec-signing", "key": "secret"}
    assert "VIDREC_SECRET" not in {e["name"] for e in pods(render())["shop-worker"]["containers"][0]["env"]}


def test_the_notes_tell_how_to_make_the_first_key() -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    assert "exec deployment/" in notes
    assert "-- vidrec keys create --role admin" in notes


def test_the_object_store_is_known_to_api_and_worker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pods(
        render(
            *("s3.mediaUrl=s3://media/vidrec", "s3.endpoint=http://store:9000", "s3.pathStyle=true"),
            *("s3.publicEndpoint=https://media.example.com", "s3.existingSecret=aws", "s3.notificationSecret=told"),
        )
    )
    for name in ("shop-api", "shop-worker"):
        [container] = found[name]["containers"]
        secret = {e["name"]: e["valueFrom"]["secretKeyRef"]["name"] for e in container["env"] if "valueFrom" in e}
        assert (secret["AWS_ACCESS_KEY_ID"], secret["VIDREC_NOTIFICATION_TOKEN"]) == ("aws", "told")
        with monkeypatch.context() as process:
            for variable in container["env"]:
                if variable["name"].startswith("VIDREC_"):
                    process.setenv(variable["name"], variable.get("value", f"sqlite:///{'x' * 32}"))
            settings = load_settings()
        assert (settings.media_url, settings.s3_path_style) == ("s3://media/vidrec", True)
        assert settings.s3_public_endpoint == "https://media.example.com"
    assert "AWS_ACCESS_KEY_ID" not in {e["name"] for e in found["shop-encoder"]["containers"][0]["env"]}
    assert "VIDREC_MEDIA_URL" not in {e["name"] for e in pods(render())["shop-api"]["containers"][0]["env"]}


def test_encoder_addresses_are_the_json_list_that_the_settings_read() -> None:
    environment = {e["name"]: e.get("value", "") for e in pods(render())["shop-api"]["containers"][0]["env"]}
    assert json.loads(environment["VIDREC_ENCODER_URLS"]) == ["http://shop-encoder:3001"]


def test_the_encoder_is_found_by_all_its_addresses() -> None:
    """Callers choose among them: a cluster IP would pin each of their connections to one pod."""
    [service] = [o for o in render() if (o["kind"], o["metadata"]["name"]) == ("Service", "shop-encoder")]
    assert service["spec"]["clusterIP"] == "None"
    assert not service["spec"].get("publishNotReadyAddresses")


def test_two_releases_share_no_name() -> None:
    first, second = ({(o["kind"], o["metadata"]["name"]) for o in render(release=r)} for r in ("one", "two"))
    assert not first & second


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (GIVEN[1:], "image.registry is empty"),
        (GIVEN[:1] + GIVEN[2:], "database.existingSecret is empty"),
        (GIVEN[:2], "milvus.uri is empty"),
        (GIVEN[:3], "signing.existingSecret is empty"),
        ((*GIVEN, "auth=maybe"), "/auth"),
        ((*GIVEN, "ingress.enabled=true"), "ingress.host is empty"),
        ((*GIVEN, "milvus.uri=milvus:19530"), "/milvus/uri"),
        ((*GIVEN, "s3.mediaUrl=bucket"), "/s3/mediaUrl"),
        ((*GIVEN, "encoder.gpus=-1"), "/encoder/gpus"),
        ((*GIVEN, "encoder.gpus=one"), "/encoder/gpus"),
        ((*GIVEN, "encoder.gpuResource=gpu"), "/encoder/gpuResource"),
        ((*GIVEN, "api.replica=3"), "replica"),
        ((*GIVEN, "settings.POLL=3"), "POLL"),
        ((*GIVEN, "surprise=1"), "surprise"),
    ],
)
def test_wrong_values_are_refused(values: tuple[str, ...], sentence: str) -> None:
    done = run("template", "shop", str(CHART), values=values)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_the_base_manifests_are_what_the_chart_renders() -> None:
    done = subprocess.run(
        [str(helm), "template", "vidrec", str(CHART), "--values", str(ROOT / "k8s" / "base" / "values.yaml")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ROOT / "k8s" / "base" / "vidrec.yaml").read_text() == done.stdout, "run `make k8s`"
