"""Prometheus metrics: this program's own counters, and the figures of the whole cloud read at the scrape."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.web.reads.ingest import IngestHealth, Program

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The counters of one web program, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "firstcall_web_requests_total", "Answers given.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "firstcall_web_request_seconds",
            "Seconds until the whole answer was sent; streams are left out.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.streams = Gauge("firstcall_web_streams", "Event streams open now.", registry=self.registry)
        self.refused = Counter("firstcall_web_sign_ins_refused_total", "Failed sign-ins.", registry=self.registry)

    def text(self, families: Iterable[Metric]) -> bytes:
        """Own counters and these families in Prometheus' text format."""
        once = CollectorRegistry()
        once.register(_Given(families))
        return generate_latest(self.registry) + generate_latest(once)


class _Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _gauge(name: str, text: str, samples: Mapping[tuple[str, ...], float], labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, figure in samples.items():
        family.add_metric(values, figure)
    return family


def families(
    health: IngestHealth, standing: dict[str, int], ticket_counts: dict[str, int], now: datetime
) -> Iterator[Metric]:
    """What the tables say, as metrics. `now` is the database's clock."""
    lag = health.lag_s(now)
    plain = {
        "firstcall_ingest_lag_seconds": ("Seconds since the newest committed batch.", lag),
        "firstcall_ingest_frames_last_minute": ("Frames committed within a minute.", health.frames_last_minute),
        "firstcall_gateways": ("Gateways known.", health.gateways),
        "firstcall_gateways_online": ("Gateways connected now.", health.gateways_online),
        "firstcall_devices": ("Devices known.", health.devices),
        "firstcall_devices_with_faults": ("Devices that show a fault code now.", health.devices_with_faults),
        "firstcall_loss_gaps": ("Gaps in the loss ledger.", health.gaps),
        "firstcall_loss_messages": ("Messages that full spools had to drop.", health.dropped),
        "firstcall_loss_bytes": ("Bytes of them.", health.dropped_bytes),
    }
    for name, (text, figure) in plain.items():
        if figure is not None:
            yield _gauge(name, text, {(): float(figure)})
    letters: dict[tuple[str, ...], float] = {(d.reason,): float(d.letters) for d in health.dead_letters}
    yield _gauge("firstcall_dead_letters", "Messages that could not be stored.", letters, ("reason",))
    waiting: dict[tuple[str, ...], float] = {(d.reason,): float(d.waiting) for d in health.dead_letters}
    yield _gauge("firstcall_dead_letters_waiting", "Of them not yet replayed.", waiting, ("reason",))
    faults: dict[tuple[str, ...], float] = {(severity,): float(count) for severity, count in standing.items()}
    yield _gauge("firstcall_faults_standing", "Faults that stand now.", faults, ("severity",))
    tickets: dict[tuple[str, ...], float] = {(state,): float(count) for state, count in ticket_counts.items()}
    yield _gauge("firstcall_tickets", "Tickets by state.", tickets, ("state",))
    yield _programs(health.programs)


def _programs(programs: list[Program]) -> Metric:
    figures: dict[tuple[str, ...], float] = {}
    for program in programs:
        for counter, figure in _flat("", program.counters):
            figures[program.program, program.instance, counter] = figure
    text = "Each running program's own counters, as it last wrote them."
    return _gauge("firstcall_program_counter", text, figures, ("program", "instance", "counter"))


def _flat(prefix: str, counters: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, figure in counters.items():
        if isinstance(figure, dict):
            yield from _flat(f"{prefix}{name}.", figure)
        elif isinstance(figure, int | float):
            yield f"{prefix}{name}", float(figure)


class Measured:
    """ASGI middleware: counts and times the answers of API routes, by the route's template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, answered = time.monotonic(), {"status": 500, "stream": False}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered["status"] = message["status"]
                answered["stream"] = any(v.startswith(b"text/event-stream") for _, v in message["headers"])
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            self.metrics.requests.labels(route, str(answered["status"])).inc()
            if not answered["stream"]:
                self.metrics.seconds.labels(route).observe(time.monotonic() - began)
