"""Down-sampling in the database against the same sums in Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from cloud.web.reads import series
from tests.web.fleet import Fleet

Connection = AsyncConnection[Any]


async def _samples(connection: Connection, device_no: int, place: int) -> list[tuple[datetime, float]]:
    query = "SELECT started_at, readings, channels FROM frame WHERE device_no = %s ORDER BY started_at"
    rows = await (await connection.execute(query, [device_no])).fetchall()
    return [
        (at + timedelta(minutes=i), values[i * n + place]) for at, values, n in rows for i in range(len(values) // n)
    ]


def _buckets(samples: list[tuple[datetime, float]], since: datetime, until: datetime, step_s: float) -> dict[int, Any]:
    kept: dict[int, list[float]] = {}
    for at, value in samples:
        if since <= at < until:
            kept.setdefault(int((at - since).total_seconds() // step_s), []).append(value)
    return {n: (min(v), sum(v) / len(v), max(v), len(v)) for n, v in kept.items()}


async def test_buckets_equal_those_of_plain_python(
    api: httpx.AsyncClient, connection: Connection, fleet: Fleet
) -> None:
    until = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=37)
    since = until - timedelta(hours=11)
    samples = await _samples(connection, fleet.devices["fridge-0107"], 0)
    for points in (10, 97, 500):
        span = {"since": since.isoformat(), "until": until.isoformat()}
        query = span | {"points": points, "channel": "cabinet_temperature"}
        answer = (await api.get("/api/v1/devices/fridge-0107/series", params=query)).json()
        (channel,) = answer["channels"]
        assert answer["source"] == "frames"
        assert len(channel["buckets"]) <= points
        expected = _buckets(samples, since, until, answer["step_s"])
        got = [(b["low"], b["mean"], b["high"], b["readings"]) for b in channel["buckets"]]
        assert got == [pytest.approx(expected[n]) for n in sorted(expected)]


async def test_no_reading_is_left_out_and_never_becomes_a_number(
    api: httpx.AsyncClient, connection: Connection, fleet: Fleet
) -> None:
    await connection.execute(
        "UPDATE frame SET readings = array_fill('NaN'::real, ARRAY[cardinality(readings)]) WHERE device_no = %s",
        [fleet.devices["heater-0020"]],
    )
    answer = (await api.get("/api/v1/devices/heater-0020/series")).json()
    assert answer["channels"] == []


async def test_a_rich_span_is_answered_from_the_hourly_roll_ups(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "MOST_READINGS", 1_000)
    answer = (await api.get("/api/v1/devices/fridge-0107/series", params={"points": 300})).json()
    assert (answer["source"], answer["step_s"]) == ("hours", 3600.0)
    assert {c["channel"] for c in answer["channels"]} >= {"cabinet_temperature", "defrosting"}
    assert all(len(c["buckets"]) <= 25 for c in answer["channels"])


async def test_the_usual_range_is_that_of_the_time_before(api: httpx.AsyncClient) -> None:
    (case,) = (await api.get("/api/v1/faults", params={"device": "fridge-0107"})).json()["items"]
    answer = (await api.get(f"/api/v1/faults/{case['case_no']}/series", params={"before_h": 4, "after_h": 2})).json()
    channel = next(c for c in answer["channels"] if c["channel"] == "cabinet_temperature")
    usual = channel["usual"]
    assert usual["hours"] >= 24
    assert 3 < usual["low"] < usual["high"] < 6
    assert max(b["high"] for b in channel["buckets"]) > usual["high"] + 1, "it warms beyond its usual range"


async def test_a_device_without_readings_says_so(api: httpx.AsyncClient, connection: Connection, fleet: Fleet) -> None:
    await connection.execute("DELETE FROM frame WHERE device_no = %s", [fleet.devices["ac-0312"]])
    answer = await api.get("/api/v1/devices/ac-0312/series")
    assert answer.status_code == 404
    assert "no reading of device ac-0312" in answer.json()["detail"]
