"""What is shipped for operating the relay is taken by the programs that it is for. `make test-deploy` installs them."""

import json
import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from app.metrics import Metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NAME = re.compile(r"\brelay_[a-z_]+\b")


def run(*command: str, folder: Path = DEPLOY) -> None:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def exported() -> set[str]:
    """Return every name that a query may ask for."""
    names = set()
    for family in Metrics().registry.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        names |= {family.name + end for end in ends}
    return names


def asked_for(expressions: list[str]) -> set[str]:
    return {name for expression in expressions for name in NAME.findall(expression)}


def rules() -> list[dict[str, object]]:
    document = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_prometheus_takes_configuration_and_rules() -> None:
    run("promtool", "check", "config", "--syntax-only", "prometheus.yml", folder=DEPLOY / "prometheus")
    run("promtool", "check", "rules", "rules.yml", folder=DEPLOY / "prometheus")


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    """Prometheus' own unit tests of rules."""
    run("promtool", "test", "rules", "rules_test.yml", folder=DEPLOY / "prometheus")


def test_alerts_ask_for_figures_that_there_are_and_say_what_to_do() -> None:
    """A metric that is renamed would silence its alert."""
    assert asked_for([str(rule["expr"]) for rule in rules()]) <= exported()
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "action"}  # type: ignore[call-overload]


def test_each_alert_has_a_test() -> None:
    """Both that it fires, and that a relay that works is silent."""
    tests = (DEPLOY / "prometheus/rules_test.yml").read_text()
    for rule in rules():
        assert tests.count(str(rule["alert"])) >= 2, rule["alert"]


def test_the_dashboard_shows_every_figure() -> None:
    """And none that there is not."""
    dashboard = json.loads((DEPLOY / "grafana/dashboards/relay.json").read_text())
    asked = asked_for([target["expr"] for panel in dashboard["panels"] for target in panel["targets"]])
    assert asked <= exported()
    shown = {name.removesuffix("_bucket").removesuffix("_total") for name in asked}
    assert {family.name for family in Metrics().registry.collect()} <= shown
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)


def test_grafana_finds_dashboard_and_prometheus_where_compose_puts_them() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/relay.yml").read_text())["providers"][0]
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert source["url"] == "http://prometheus:9090"
    dashboard = json.loads((DEPLOY / "grafana/dashboards/relay.json").read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        assert all(port.startswith("127.0.0.1:") for port in services[name]["ports"])
        for mount in services[name]["volumes"]:
            if mount.startswith("./"):
                assert (ROOT / mount.split(":")[0]).exists(), mount


@pytest.mark.parametrize("version", ["1.31", "1.34"])
def test_kubernetes_takes_the_manifest(version: str) -> None:
    """By the schemas of its API, unknown keys refused."""
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    assert {document["kind"] for document in documents} >= {"Deployment", "Service"}
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_service_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """With the program's path as it is here: systemd looks whether it is there."""
    unit = (DEPLOY / "relay.service").read_text()
    (tmp_path / "relay.service").write_text(unit.replace("/opt/relay/.venv/bin/relay", "/bin/true"))
    run("systemd-analyze", "verify", "--man=no", str(tmp_path / "relay.service"))
