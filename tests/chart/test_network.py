"""The arrows of the design, and no other: network policies, Ingress and HTTPRoute."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from tests.chart.charts import RICH, Object, environment, named, needs_helm, of_kind, pods, render, templates

pytestmark = needs_helm

STORES = {5432: "database", 19530: "milvus", 443: "store", 4318: "tracing", 53: "dns"}
METADATA = ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")


def arrows(policy: Object) -> set[str]:
    """Names of what may be reached: a store by its port, a component by its label."""
    found = set()
    for rule in policy["spec"].get("egress", ()):
        component = [
            peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
            for peer in rule.get("to", ())
            if "podSelector" in peer
        ]
        found.update(component or [STORES[port["port"]] for port in rule["ports"]])
    return found


def test_each_component_reaches_what_the_design_draws() -> None:
    policies = of_kind(render(*RICH), "NetworkPolicy")
    assert policies["shop-default-deny"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(policies["shop-default-deny"]["spec"])
    assert {n.removeprefix("shop-"): arrows(p) for n, p in policies.items() if n != "shop-default-deny"} == {
        "api": {"dns", "tracing", "database", "milvus", "store", "encoder"},
        "worker": {"dns", "tracing", "database", "milvus", "store", "encoder"},
        "encoder": {"dns", "tracing"},
        "ingest": {"dns", "tracing", "database", "store"},
        "sweep": {"dns", "tracing", "database", "store"},
        "migrations": {"dns", "database"},
        "test": {"dns", "database", "api", "store"},
    }


def test_only_callers_come_in() -> None:
    policies = of_kind(render(), "NetworkPolicy")
    callers, scrapers = policies["shop-encoder"]["spec"]["ingress"]
    assert [p["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for p in callers["from"]] == [
        "api",
        "worker",
    ]
    assert scrapers["from"] == [{"namespaceSelector": {}}]
    [scrapers] = policies["shop-worker"]["spec"]["ingress"]
    assert scrapers["ports"] == [{"protocol": "TCP", "port": "metrics"}]
    for name in ("migrations", "sweep"):
        assert "ingress" not in policies[f"shop-{name}"]["spec"]


def test_nothing_reaches_the_metadata_of_clouds() -> None:
    for name, policy in of_kind(render(*RICH), "NetworkPolicy").items():
        for rule in policy["spec"].get("egress", ()):
            for block in (peer["ipBlock"] for peer in rule.get("to", ()) if "ipBlock" in peer):
                for address in map(ipaddress.ip_address, METADATA):
                    inside = _within(address, block["cidr"]) and not any(_within(address, e) for e in block["except"])
                    assert not inside, (name, address)


def _within(address: Any, cidr: str) -> bool:
    network = ipaddress.ip_network(cidr)
    return address.version == network.version and address in network


def test_every_pod_is_under_a_policy() -> None:
    objects = render(*RICH)
    chosen = [p["spec"]["podSelector"]["matchLabels"].items() for p in of_kind(objects, "NetworkPolicy").values()]
    for component, template in templates(objects):
        labels = template["metadata"]["labels"].items()
        assert sum(selector <= labels for selector in chosen) == 2, component  # default-deny and its own


def test_stores_where_the_values_say_on_the_ports_of_their_addresses() -> None:
    policy = named(
        render(
            *("milvus.uri=https://milvus.example.com", "s3.endpoint=http://store:9000", "database.port=6432"),
            "networkPolicy.database[0].ipBlock.cidr=10.0.8.7/32",
        ),
        "NetworkPolicy",
        "shop-worker",
    )
    reached = {rule["ports"][0]["port"]: rule.get("to") for rule in policy["spec"]["egress"]}
    assert set(reached) == {53, 6432, 443, 9000, 3001}
    assert reached[6432] == [{"ipBlock": {"cidr": "10.0.8.7/32"}}]


def test_without_policies_there_are_none() -> None:
    assert not of_kind(render("networkPolicy.enabled=false"), "NetworkPolicy")


def test_ingress_with_tls() -> None:
    objects = render("ingress.enabled=true", "ingress.host=videos.example.com", "ingress.tlsSecret=tls")
    ingress = named(objects, "Ingress", "shop-api")
    assert ingress["spec"]["tls"] == [{"hosts": ["videos.example.com"], "secretName": "tls"}]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == "16m"
    api = environment(pods(objects)["api"]["containers"][0])
    assert api["VIDREC_PUBLIC_URL"] == "https://videos.example.com"


@pytest.mark.parametrize("extra", [(), ("gateway.requestTimeout=10m",)])
def test_route_of_the_gateway_api(extra: tuple[str, ...]) -> None:
    gateway = ("gateway.enabled=true", "gateway.parentRefs[0].name=public", "gateway.hostnames[0]=videos.example.com")
    objects = render(*gateway, *extra)
    route = named(objects, "HTTPRoute", "shop-api")["spec"]
    assert (route["parentRefs"], route["hostnames"]) == ([{"name": "public"}], ["videos.example.com"])
    [rule] = route["rules"]
    assert rule["timeouts"] == {"request": "10m" if extra else "0s"}
    assert rule["backendRefs"] == [{"name": "shop-api", "port": 80, "weight": 100}]
    assert environment(pods(objects)["api"]["containers"][0])["VIDREC_PUBLIC_URL"] == "https://videos.example.com"
