"""The figures that Prometheus reads."""

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import Metrics

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def sample(metrics: Metrics, name: str, *, now: datetime = NOW, **labels: str) -> float | None:
    """Return one value as Prometheus would read it."""
    for family in text_string_to_metric_families(metrics.render(now).decode()):
        for found in family.samples:
            if (found.name, found.labels) == (name, labels):
                return float(found.value)
    return None


def test_facts_are_counted_by_their_labels() -> None:
    metrics = Metrics()
    metrics.webhook_answered("custom", "accepted", 0.004)
    metrics.call_finished("trigger", "606")
    metrics.call_finished("trigger", "606")
    metrics.registration_settled("pendo", "sent")
    assert sample(metrics, "relay_webhooks_total", source="custom", result="accepted") == 1
    assert sample(metrics, "relay_accept_seconds_bucket", le="0.005") == 1
    assert sample(metrics, "relay_accept_seconds_bucket", le="0.0025") == 0
    assert sample(metrics, "relay_marketo_calls_total", endpoint="trigger", code="606") == 2
    assert sample(metrics, "relay_registrations_total", source="pendo", state="sent") == 1


def test_two_relays_in_one_process_do_not_share_figures() -> None:
    """Tests and the demo run several."""
    one, other = Metrics(), Metrics()
    one.call_finished("trigger", "ok")
    assert sample(other, "relay_marketo_calls_total", endpoint="trigger", code="ok") is None


def test_the_age_of_the_oldest_grows_by_itself() -> None:
    """A gauge that a stuck dispatcher must update would stand still exactly when it matters."""
    metrics = Metrics()
    assert sample(metrics, "relay_oldest_waiting_seconds") == 0
    metrics.backlog_counted({"events": 2, "registrations": 5}, NOW)
    assert sample(metrics, "relay_oldest_waiting_seconds", now=NOW + timedelta(hours=1)) == 3600
    assert sample(metrics, "relay_oldest_waiting_seconds", now=NOW - timedelta(seconds=1)) == 0
    assert sample(metrics, "relay_waiting", kind="registrations") == 5
    metrics.backlog_counted({"events": 0, "registrations": 0}, None)
    assert sample(metrics, "relay_oldest_waiting_seconds", now=NOW + timedelta(hours=1)) == 0


def test_a_pause_that_is_over_disappears() -> None:
    metrics = Metrics()
    metrics.dispatcher_seen({"leader": True, "window_used": 3, "in_flight": 1, "paused": {"all": "607", "c:1": "1013"}})
    assert sample(metrics, "relay_paused", scope="c:1") == 1
    metrics.dispatcher_seen({"leader": False, "paused": ["all"]})
    assert sample(metrics, "relay_paused", scope="c:1") is None
    assert sample(metrics, "relay_paused", scope="all") == 1
    assert sample(metrics, "relay_leader") == 0
    metrics.dispatcher_seen({})
    assert sample(metrics, "relay_paused", scope="all") is None


def test_several_workers_start_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the library's stood in the log at each start, and said nothing that an operator could mend."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    metrics = Metrics(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.dispatcher_seen({"paused": {"marketo": "606"}})
        metrics.dispatcher_seen({})


def test_the_day_the_allowance_and_the_forecast_are_shown() -> None:
    """An alert can be set on what is left of the day, before it is nothing."""
    metrics = Metrics()
    metrics.dispatcher_seen(
        {
            "day_used": 48_000,
            "day_left": 2_000,
            "allowed": {"calls_per_window": 35, "in_flight": 3},
            "forecast": {"seconds": 40.0, "calls": 134},
        }
    )
    assert sample(metrics, "relay_day_calls_used") == 48_000
    assert sample(metrics, "relay_day_calls_left") == 2_000
    assert sample(metrics, "relay_window_calls_allowed") == 35
    assert sample(metrics, "relay_calls_in_flight_allowed") == 3
    assert sample(metrics, "relay_forecast_seconds") == 40
    assert sample(metrics, "relay_forecast_calls") == 134
    metrics.dispatcher_seen({"forecast": None})
    assert sample(metrics, "relay_forecast_seconds") == 0


def test_the_store_is_shown_as_the_last_check_found_it() -> None:
    metrics = Metrics()
    metrics.store_probed(writable=True)
    assert sample(metrics, "relay_ready") == 1
    metrics.store_probed(writable=False)
    assert sample(metrics, "relay_ready") == 0


def test_who_does_not_lead_any_more_tells_nothing_of_what_waits() -> None:
    """The new leader counts it; both figures together would be twice the backlog."""
    metrics = Metrics()
    metrics.backlog_counted({"events": 2}, NOW)
    metrics.dispatcher_seen({"leader": False})
    assert sample(metrics, "relay_waiting", kind="events") == 0
    assert sample(metrics, "relay_oldest_waiting_seconds", now=NOW + timedelta(hours=1)) == 0


def test_the_documentation_lists_the_figures_as_they_are() -> None:
    """Mend docs/metrics.md by the lines that differ."""
    text = (Path(__file__).parents[1] / "docs/metrics.md").read_text(encoding="utf-8")
    told = {line for line in text.splitlines() if line.startswith("| `relay_")}
    assert told == {documented(one) for one in vars(Metrics()).values() if isinstance(one, MetricWrapperBase)}


def documented(metric: MetricWrapperBase) -> str:
    family = next(iter(metric.describe()))
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


def test_a_label_of_marketos_making_has_a_bound() -> None:
    """Each value costs Prometheus a series for ever."""
    metrics = Metrics()
    for code in range(1000, 2000):
        metrics.call_finished("trigger", str(code))
    metrics.call_finished("trigger", "1000")
    assert sample(metrics, "relay_marketo_calls_total", endpoint="trigger", code="1000") == 2
    assert sample(metrics, "relay_marketo_calls_total", endpoint="trigger", code="other") == 900


def test_what_is_dead_and_silent_is_told_as_the_store_has_it() -> None:
    """A cause of which nothing is left goes down to 0; who does not lead any more tells nothing of it."""
    metrics = Metrics()
    metrics.store_counted({"expired": 3}, {"pendo": NOW}, 4096)
    assert sample(metrics, "relay_dead", cause="expired") == 3
    assert sample(metrics, "relay_last_webhook_timestamp_seconds", source="pendo") == NOW.timestamp()
    assert sample(metrics, "relay_store_bytes") == 4096
    metrics.store_counted({}, {}, 4096)
    assert sample(metrics, "relay_dead", cause="expired") == 0
    metrics.dispatcher_seen({"leader": False})
    assert sample(metrics, "relay_last_webhook_timestamp_seconds", source="pendo") == 0


def test_the_way_to_marketo_is_timed_and_the_tokens_age_told() -> None:
    metrics = Metrics()
    metrics.registration_sent("pendo", timedelta(seconds=2))
    metrics.dispatcher_seen({"leader": True, "token_age": 60.0})
    assert sample(metrics, "relay_end_to_end_seconds_bucket", source="pendo", le="2.5") == 1
    assert sample(metrics, "relay_end_to_end_seconds_bucket", source="pendo", le="1.0") == 0
    assert sample(metrics, "relay_token_age_seconds") == 60
