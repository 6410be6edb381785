"""Count what happens, for Prometheus. One registry a process; every label is bounded, none holds a person's data.

With several workers each writes its figures into files of a folder, and whichever is asked adds them up. The library
decides that when it is imported: by an environment variable that names the folder.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = CONTENT_TYPE_LATEST
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's environment variable
_END_TO_END_BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
_MOST_CODES = 100  # values of one label; Marketo documents some sixty codes
_ACCEPT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The relay's figures. Methods name facts; `render` is the page that Prometheus reads.

    `folder` holds the figures of all workers when there are several.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.registry = registry = CollectorRegistry()
        # Only the leader's are not 0, so that the sum of all workers is the leader's.
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        self._oldest_waiting: datetime | None = None
        self._kinds: set[str] = set()
        self._causes: set[str] = set()
        self._heard: set[str] = set()
        self._codes: set[str] = set()
        self._scopes: set[str] = set()
        self._webhooks = Counter("relay_webhooks", "Webhooks answered.", ["source", "result"], registry=registry)
        self._accept = Histogram(
            "relay_accept_seconds",
            "Time from a webhook's headers to its answer.",
            buckets=_ACCEPT_BUCKETS,
            registry=registry,
        )
        self._calls = Counter(
            "relay_marketo_calls",
            "Requests to Marketo that ended; code is Marketo's, an HTTP status, ok or lost.",
            ["endpoint", "code"],
            registry=registry,
        )
        self._registrations = Counter(
            "relay_registrations",
            "Registrations that reached an end.",
            ["source", "state"],
            registry=registry,
        )
        self._end_to_end = Histogram(
            "relay_end_to_end_seconds",
            "Time from the webhook's receipt to Marketo's yes to its campaign; a replay counts anew.",
            ["source"],
            buckets=_END_TO_END_BUCKETS,
            registry=registry,
        )
        self._dead = gauge("relay_dead", "Registrations and webhooks that need a person, by cause.", ["cause"])
        self._last_webhook = gauge(
            "relay_last_webhook_timestamp_seconds", "When the source's last webhook came (Unix time).", ["source"]
        )
        self._store_bytes = gauge("relay_store_bytes", "Size of the database.")
        self._token_age = gauge("relay_token_age_seconds", "How long ago Marketo gave the access token in use.")
        self._leader = gauge("relay_leader", "1 while this process sends.")
        self._window = gauge(
            "relay_window_calls_used", "Calls to Marketo within the last 20 s, of all processes on the store."
        )
        self._in_flight = gauge("relay_calls_in_flight", "Calls to Marketo under way now.")
        self._window_allowed = gauge("relay_window_calls_allowed", "Calls in 20 s that the relay allows itself now.")
        self._in_flight_allowed = gauge(
            "relay_calls_in_flight_allowed", "Calls at the same time that it allows itself now."
        )
        self._day_used = gauge("relay_day_calls_used", "Calls of Marketo's day that are used, by all integrations.")
        self._day_left = gauge("relay_day_calls_left", "Calls of Marketo's day that are left.")
        self._forecast = gauge(
            "relay_forecast_seconds", "Seconds until what waits will be sent, if nothing else comes."
        )
        self._forecast_calls = gauge("relay_forecast_calls", "Calls that it will take.")
        self._paused = gauge("relay_paused", "1 for each pause in force.", ["scope"])
        self._waiting = gauge("relay_waiting", "What is stored and not yet at its end.", ["kind"])
        self._oldest = gauge("relay_oldest_waiting_seconds", "Age of the oldest thing that is due.")
        self._inbox = gauge("relay_inbox_waiting", "Webhooks that wait for the store; their senders wait, too.")
        # What any process finds out for all: whichever looked last tells it, and one that never looked tells nothing.
        shared = partial(Gauge, registry=registry, multiprocess_mode="livemostrecent")
        self._ready = shared("relay_ready", "1 when the last check found the store writable.")
        self._setup = shared(
            "relay_setup_checks", "Checks of the last look at the set-up, by how they came out.", ["verdict"]
        )

    def webhook_answered(self, source: str, result: str, seconds: float) -> None:
        self._webhooks.labels(source, result).inc()
        self._accept.observe(seconds)

    def call_finished(self, endpoint: str, code: str) -> None:
        """Count a request to Marketo. `endpoint` is a short name (upsert, lookup, trigger), never a path."""
        if code not in self._codes and len(self._codes) >= _MOST_CODES:
            code = "other"
        self._codes.add(code)
        self._calls.labels(endpoint, code).inc()

    def registration_settled(self, source: str, state: str) -> None:
        self._registrations.labels(source, state).inc()

    def registration_sent(self, source: str, took: timedelta) -> None:
        """Note how long it took from the webhook's receipt, or its replay, to Marketo's yes."""
        self._end_to_end.labels(source).observe(max(0.0, took.total_seconds()))

    def store_counted(self, dead: Mapping[str, int], last_webhooks: Mapping[str, datetime], size: int) -> None:
        """Note what is dead by cause, when each source was last heard of, and the store's size in bytes."""
        self._causes |= dead.keys()
        for cause in self._causes:
            self._dead.labels(cause).set(dead.get(cause, 0))
        self._heard |= last_webhooks.keys()
        for source, at in last_webhooks.items():
            self._last_webhook.labels(source).set(at.timestamp())
        self._store_bytes.set(size)

    def backlog_counted(self, waiting: Mapping[str, int], oldest: datetime | None) -> None:
        """Note how much is waiting by kind (events, registrations), and since when the oldest has been due."""
        self._kinds |= waiting.keys()
        for kind, count in waiting.items():
            self._waiting.labels(kind).set(count)
        self._oldest_waiting = oldest

    def inbox_seen(self, waiting: int) -> None:
        """Note how many webhooks this process has not yet handed to the store."""
        self._inbox.set(waiting)

    def store_probed(self, *, writable: bool) -> None:
        self._ready.set(writable)

    def setup_seen(self, counts: Mapping[str, int]) -> None:
        """Note how many checks of the set-up came out how: ok, warn, fail or unknown."""
        for verdict, count in counts.items():
            self._setup.labels(verdict).set(count)

    def dispatcher_seen(self, status: Mapping[str, object]) -> None:
        """Take over the dispatcher's status; what it lacks counts as 0. `paused` is a mapping or list of scopes."""
        self._leader.set(_number(status.get("leader")))
        self._in_flight.set(_number(status.get("in_flight")))
        self._window.set(_number(status.get("window_used")))
        allowed, forecast = _mapping(status.get("allowed")), _mapping(status.get("forecast"))
        self._window_allowed.set(_number(allowed.get("calls_per_window")))
        self._in_flight_allowed.set(_number(allowed.get("in_flight")))
        self._token_age.set(_number(status.get("token_age")))
        self._day_used.set(_number(status.get("day_used")))
        self._day_left.set(_number(status.get("day_left")))
        self._forecast.set(_number(forecast.get("seconds")))
        self._forecast_calls.set(_number(forecast.get("calls")))
        for scope in self._scopes:
            self._paused.labels(scope).set(0)  # what several workers share outlives `clear`, which warns of that
        if self._folder is None:
            self._paused.clear()
        self._scopes.clear()
        paused = status.get("paused")
        for scope in paused if isinstance(paused, Mapping | list | tuple) else ():
            self._paused.labels(str(scope)).set(1)
            self._scopes.add(str(scope))
        if status.get("leader") is False:
            self._forget_backlog()

    def aged(self, now: datetime) -> None:
        """Reckon ages at `now`."""
        age = (now - self._oldest_waiting).total_seconds() if self._oldest_waiting else 0.0
        self._oldest.set(max(age, 0.0))

    def render(self, now: datetime) -> bytes:
        """Return the text that Prometheus scrapes. Ages are reckoned at `now`, so that they never go stale."""
        self.aged(now)
        if self._folder is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=str(self._folder))  # type: ignore[no-untyped-call]  # the library's
        return generate_latest(together)

    def _forget_backlog(self) -> None:
        """Leave it to the leader to tell what waits: a former one would go on telling what it saw last."""
        self._oldest_waiting = None
        for kind in self._kinds:
            self._waiting.labels(kind).set(0)
        self.store_counted({}, dict.fromkeys(self._heard, _EPOCH), 0)


def forget_process(pid: int, folder: Path) -> None:
    """Take the gauges of a worker that has ended out of the sum; what it counted stays."""
    mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]  # the library's


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
