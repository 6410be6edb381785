"""The figures by their name. A new one is a module with an `async def measure(plan) -> Figure`, and a line here."""

from collections.abc import Awaitable, Callable, Mapping

from bench.figures import (
    accept,
    aged,
    console,
    crowd,
    faults,
    footprint,
    hostile,
    latency,
    lone,
    replay,
    replicas,
    retention,
    stream,
    takeover,
)
from bench.plan import Plan
from bench.results import Figure

Measure = Callable[[Plan], Awaitable[Figure]]

FIGURES: Mapping[str, Measure] = {
    "accept": accept.measure,
    "hostile": hostile.measure,
    "latency": latency.measure,
    "lone": lone.measure,
    "footprint": footprint.measure,
    "crowd": crowd.measure,
    "console": console.measure,
    "aged": aged.measure,
    "aged-postgresql": aged.measure_postgresql,
    "retention": retention.measure,
    "replay": replay.measure,
    "replicas": replicas.measure,
    "stream": stream.measure,
    "takeover": takeover.measure,
    "faults": faults.measure,
}
