"""A small fleet in a database, written the way ingest, registry and desk write: what the console is tried on.

Six appliances in the homes of five users, with a day of readings, faults that stand, faults that lack a code, one
resale, and predictions. Everything follows from `now` and a seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from cloud.desk.settings import DeskSettings
from cloud.desk.tend import make_cursors, tend
from cloud.desk.triage.queue import order_day
from cloud.desk.triage.settings import TriageSettings
from cloud.registry import ownership, people
from cloud.registry.costs import Costs
from cloud.registry.gs1 import ProductCode
from cloud.registry.keys import MasterKey
from tests.support.databases import until_settled

Connection = AsyncConnection[Any]
PERIOD_S = 60
SAMPLES = 60
MINUTE = timedelta(minutes=1)
_seqs = count(1)


def gtin(twelve: str) -> str:
    """A sound GTIN-14 from its first thirteen digits, of which the leading one is 0 here."""
    digits = f"0{twelve}"
    total = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(digits))
    return digits + str(-total % 10)


@dataclass(frozen=True)
class Make:
    """A model with its fault codes: (code, severity, safety, English meaning, what to say, self-help, parts, stops)."""

    model: str
    family: str
    name: str
    band: str
    gtin: str
    codes: Sequence[tuple[str, str, str, str, str, Sequence[str], Sequence[str], bool]]


MAKES = (
    Make(
        "WM-8014", "washer", "Washer 8 kg", "middle", gtin("690123456701"),
        [
            ("5E", "high", "none", "Water does not drain", "Your washer reports that water drains too slowly. "
             "Cleaning the filter at the bottom right often puts it right.",
             ["Switch the washer off", "Open the flap at the bottom right", "Clean the filter"],
             ["drain-pump", "drain-hose"], True),
            ("LE", "critical", "water", "Water leaks inside", "Your washer has noticed water in its base. "
             "Please close the tap; we will come as soon as you wish.", [], ["tub-seal"], True),
        ],
    ),
    Make(
        "RF-360", "fridge", "Fridge freezer 360 l", "premium", gtin("690123456702"),
        [
            ("Er-dH", "high", "none", "Defrost heater does not warm up", "Your fridge cannot defrost itself any more. "
             "It still cools, and will do so less and less.", [], ["defrost-heater", "thermal-fuse"], False),
            ("Er-FS", "medium", "none", "Freezer sensor out of range", "A sensor in your freezer has failed.", [],
             ["freezer-sensor"], False),
        ],
    ),
    Make(
        "AC-35i", "air_conditioner", "Air conditioner 3.5 kW", "middle", gtin("690123456703"),
        [("EC", "high", "none", "Refrigerant is leaking", "Your air conditioner loses refrigerant.", [],
          ["valve-core"], False),
         ("E3", "low", "none", "Indoor fan runs unevenly", "The indoor fan runs unevenly.", ["Clean the filter"],
          ["fan-motor"], False)],
    ),
    Make(
        "WH-60", "water_heater", "Water heater 60 l", "economy", gtin("690123456704"),
        [("14", "critical", "heat", "Thermal fuse has cut the heating", "Your water heater has switched itself off "
          "because it became too hot. Please do not switch it on again.", [], ["thermal-fuse"], True)],
    ),
)  # fmt: skip

ZH = {
    "Water does not drain": "不排水", "Water leaks inside": "内部漏水",
    "Defrost heater does not warm up": "化霜加热器不加热",
    "Freezer sensor out of range": "冷冻室传感器超出范围", "Refrigerant is leaking": "制冷剂泄漏",
    "Indoor fan runs unevenly": "室内风机运转不稳", "Thermal fuse has cut the heating": "热熔断器切断了加热",
    "Your fridge cannot defrost itself any more. It still cools, and will do so less and less.":
    "您的冰箱已不能自动化霜。目前仍能制冷，但效果会越来越差。",
}  # fmt: skip


def by_language(english: str) -> Jsonb:
    """A text of the dictionary, in Chinese too where it is known."""
    return Jsonb({"en": english} | ({"zh": ZH[english]} if english in ZH else {}))


PARTS = {
    "drain-pump": "Drain pump", "drain-hose": "Drain hose", "tub-seal": "Tub seal", "defrost-heater": "Defrost heater",
    "thermal-fuse": "Thermal fuse", "freezer-sensor": "Freezer sensor", "valve-core": "Valve core",
    "fan-motor": "Fan motor",
}  # fmt: skip


@dataclass
class Fleet:
    """What was written, by name."""

    devices: dict[str, int] = field(default_factory=dict)
    users: list[str] = field(default_factory=list)


Shape = Callable[[float, random.Random], float]


def measured(unit: str, shape: Shape) -> tuple[str, str, Shape]:
    """A channel that measures."""
    return unit, "measurement", shape


def wave(hours: float, middle: float, swing: float, pace: float) -> float:
    """A sine around a middle; `pace` in radians an hour."""
    return middle + swing * math.sin(hours * pace)


def _fridge(broken: bool) -> dict[str, tuple[str, str, Shape]]:
    def warming(hours: float) -> float:
        return max(0.0, hours + 9) * 0.42 if broken else 0.0

    def compressor(hours: float, rng: random.Random) -> float:
        duty = 1.0 if warming(hours) > 3 else 0.42
        return 94 + rng.gauss(0, 2) if (hours * 60 % 45) < 45 * duty else 2.0

    return {
        "cabinet_temperature": measured("°C", lambda h, r: wave(h, 4.1, 0.7, 8.4) + warming(h) + r.gauss(0, 0.08)),
        "evaporator_temperature": measured(
            "°C", lambda h, r: wave(h, -22, 4, 8.4) - warming(h) * 1.4 + r.gauss(0, 0.3)
        ),
        "compressor_power": measured("W", compressor),
        "defrosting": ("", "mode", lambda h, r: 1.0 if h % 8 < 0.35 else 0.0),
    }


def _washer(broken: bool) -> dict[str, tuple[str, str, Shape]]:
    def cycle(hours: float) -> float:
        return (hours % 6) / 1.5

    def level(hours: float, rng: random.Random) -> float:
        phase = cycle(hours)
        end = 1.0 if not broken or hours < -3 else 1.5
        return max(0.0, 11.5 * min(1, phase * 8, (end - phase) * 6) + rng.gauss(0, 0.1)) if phase < end else 0.0

    def motor(hours: float, rng: random.Random) -> float:
        return wave(hours, 180, 90, 40) + rng.gauss(0, 12) if cycle(hours) < 1 else 1.5

    def vibration(hours: float, rng: random.Random) -> float:
        if cycle(hours) >= 1:
            return 0.05
        return abs(rng.gauss(2.5, 0.6)) + (6 if cycle(hours) > 0.8 else 0)

    return {
        "water_level": measured("l", level),
        "motor_power": measured("W", motor),
        "vibration": measured("mm/s", vibration),
    }


def _air_conditioner(broken: bool) -> dict[str, tuple[str, str, Shape]]:
    def drift(hours: float) -> float:
        return max(0.0, hours + 14) if broken else 0.0

    return {
        "discharge_temperature": measured("°C", lambda h, r: wave(h, 71, 3, 0.26) + drift(h) * 0.9 + r.gauss(0, 0.5)),
        "valve_opening": measured("steps", lambda h, r: wave(h, 212, 12, 0.26) + drift(h) * 7 + r.gauss(0, 2)),
        "power": measured("W", lambda h, r: wave(h, 840, 120, 0.26) + r.gauss(0, 14)),
    }


def _water_heater(broken: bool) -> dict[str, tuple[str, str, Shape]]:
    def water(hours: float, rng: random.Random) -> float:
        return 58 + 4 * math.sin(hours * 2.1) + (max(0.0, hours + 2) * 9 if broken else 0) + rng.gauss(0, 0.2)

    return {"water_temperature": ("°C", "measurement", water),
            "heating_power": ("W", "measurement", lambda h, r: 1500.0 if math.cos(h * 2.1) > 0 else 0.0)}  # fmt: skip


async def catalogue(connection: Connection) -> None:
    """Families, parts, models, GTINs and the fault dictionary."""
    for family, name in (("washer", "Washer"), ("fridge", "Fridge"), ("air_conditioner", "Air conditioner"),
                         ("water_heater", "Water heater")):  # fmt: skip
        await connection.execute("INSERT INTO appliance_family VALUES (%s, %s)", [family, Jsonb({"en": name})])
    for part, name in PARTS.items():
        await connection.execute("INSERT INTO part VALUES (%s, %s)", [part, Jsonb({"en": name})])
    for make in MAKES:
        await connection.execute(
            "INSERT INTO model VALUES (%s, %s, %s, %s, 36)", [make.model, make.family, make.name, make.band]
        )
        await connection.execute("INSERT INTO trade_item VALUES (%s, %s)", [make.gtin, make.model])
        for code, severity, safety, meaning, words, steps, parts, stops in make.codes:
            await connection.execute(
                "INSERT INTO fault_definition (model, code, version, known, meaning, severity, safety, stops,"
                " self_help, likely_parts, customer_words, confirmation_rule, source)"
                " VALUES (%s, %s, 1, '[2020-01-01,)', %s, %s::severity, %s, %s, %s, %s, %s, '{}', 'service manual')",
                [make.model, code, by_language(meaning), severity, safety, stops,
                 Jsonb({"en": list(steps)} if steps else {}), list(parts), by_language(words)],
            )  # fmt: skip


async def device(
    connection: Connection, fleet: Fleet, code: str, make: Make | None, user: str | None, since: datetime
) -> int:
    """Register a device, in a product of this make, taken by this user; None leaves a code missing."""
    number = await ownership.register_device(connection, code, "import", gateway=f"gw-{code}")
    if make is not None:
        product = ProductCode(make.gtin, f"S{len(fleet.devices):04}", date(2025, 3, 11), "L2503")
        await ownership.register_product(connection, product)
        await ownership.fit(connection, code, product, "import")
    if user is not None:
        await ownership.bind(connection, code, user, since, "import")
    fleet.devices[code] = number
    return number


async def readings(
    connection: Connection, number: int, shapes: dict[str, tuple[str, str, Shape]], now: datetime, hours: int, seed: int
) -> None:
    """Frames of one minute's period up to `now`, with their hourly roll-ups, as ingest would have written them."""
    names = list(shapes)
    rng = random.Random(seed)
    await connection.execute(
        "INSERT INTO channel_set (device_no, channel_set, names, units, resolutions, roles, period_ms, declared_at)"
        " VALUES (%s, 1, %s, %s, %s, %s, %s, %s)",
        [number, names, [s[0] for s in shapes.values()], [0.1] * len(names), [s[1] for s in shapes.values()],
         PERIOD_S * 1000, now - timedelta(hours=hours)],
    )  # fmt: skip
    start = now - timedelta(hours=hours)
    weeks = [start + timedelta(days=d) for d in range(hours // 24 + 2)]
    await connection.execute("SELECT ensure_frame_partitions(%s)", [weeks])
    batch = await ingest_batch(connection, frames=hours, first=start, last=now)
    rows, rollups = [], []
    for hour in range(hours):
        at = start + timedelta(hours=hour)
        samples = [[shapes[name][2]((hour - hours) + i / SAMPLES, rng) for name in names] for i in range(SAMPLES)]
        rows.append((number, at, 1, next(_seqs), [v for sample in samples for v in sample], batch, len(names)))
        for place, channel in enumerate(zip(*samples, strict=True)):
            whole = at.replace(minute=0, second=0, microsecond=0)
            rollups.append((number, place, whole, min(channel), sum(channel) / len(channel), max(channel), SAMPLES))
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO frame SELECT %s, %s, %s, %s, (SELECT min(gateway_no) FROM gateway), 1, 60000, 60, %s, 0,"
            " %s, %s, now()",
            [(n, at, boot, seq, channels, values, b) for n, at, boot, seq, values, b, channels in rows],
        )
        await cursor.executemany("INSERT INTO channel_rollup VALUES (%s, 1, %s, %s, %s, %s, %s, %s)", rollups)
    await connection.execute(
        "UPDATE device SET last_seen_at = %s, firmware = '2.4.1' WHERE device_no = %s", [now, number]
    )


async def ingest_batch(
    connection: Connection, *, frames: int = 0, faults: int = 0, first: datetime, last: datetime
) -> int:
    """Write the row that readers of the tail follow, and announce it."""
    cursor = await connection.execute(
        "INSERT INTO ingest_batch (frames, fault_reports, first_at, last_at) VALUES (%s, %s, %s, %s)"
        " RETURNING batch_no",
        [frames, faults, first, last],
    )
    row = await cursor.fetchone()
    assert row is not None
    await connection.execute("SELECT pg_notify('ingest_batch', %s)", [str(row[0])])
    return int(row[0])


async def report(connection: Connection, number: int, code: str, at: datetime, *, raised: bool = True) -> None:
    """A fault report, as ingest commits it: report, state and batch in one transaction."""
    async with connection.transaction():
        batch = await ingest_batch(connection, faults=1, first=at, last=at)
        await connection.execute(
            "INSERT INTO fault_report (device_no, occurred_at, boot, seq, code, raised, gateway_no, batch_no,"
            " ingested_at) SELECT %s, %s, 1, %s, %s, %s, gateway_no, %s, now() FROM device WHERE device_no = %s",
            [number, at, next(_seqs), code, raised, batch, number],
        )
        await connection.execute(
            "INSERT INTO fault_state VALUES (%s, %s, %s, %s) ON CONFLICT (device_no, code) DO UPDATE"
            " SET active = excluded.active, changed_at = excluded.changed_at",
            [number, code, raised, at],
        )
        await connection.execute(
            "UPDATE device SET last_seen_at = greatest(last_seen_at, %s), active_faults = (SELECT"
            " coalesce(array_agg(code ORDER BY code), '{}') FROM fault_state WHERE device_no = %s AND active)"
            " WHERE device_no = %s",
            [at, number, number],
        )


async def predict(
    connection: Connection, number: int, problem: str, at: datetime, probability: float, channels: Any
) -> None:
    """An alarm of the detector."""
    sentences = [f"{name} is {abs(sigma):.1f} sigma {'above' if sigma > 0 else 'below'} this device's normal"
                 for name, sigma in channels]  # fmt: skip
    reason = {"channels": [{"channel": name, "deviation": sigma, "scale": 8, "since": at.timestamp()}
                           for name, sigma in channels], "sentences": sentences}  # fmt: skip
    await connection.execute(
        "INSERT INTO prediction (device_no, problem, raised_at, probability, horizon_hours, reason, detector)"
        " VALUES (%s, %s, %s, %s, 48, %s, 'v1')",
        [number, problem, at, probability, Jsonb(reason)],
    )
    await connection.execute("NOTIFY prediction")


async def run_desk(connection: Connection) -> None:
    """Let the desk do all that there is to do."""
    await make_cursors(connection)
    await until_settled(connection)
    while (await tend(connection, DeskSettings(), Costs.load())).more:
        pass
    await order_day(connection, Costs.load(), TriageSettings())


async def seed(connection: Connection, now: datetime, master: MasterKey, *, hours: int = 60) -> Fleet:
    """Write the fleet. `connection` is in autocommit mode; `now` should be about the database's own."""
    fleet = Fleet()
    washer, fridge, cooler, heater = MAKES
    await catalogue(connection)
    for place in range(5):
        user = await people.add_user(connection, f"u_{place:02}4c1f", "en", "Europe/Berlin")
        contacts: dict[people.Kind, str] = {"name": f"Sample Person {place}", "phone": f"+49 30 5550 01{place}"}
        await people.write_contacts(connection, master, user, contacts, person="import", purpose="import")
        fleet.users.append(user)
    since = now - timedelta(days=200)
    users = fleet.users
    plan = (
        ("washer-0042", washer, users[0], _washer(True), 1), ("fridge-0107", fridge, users[1], _fridge(True), 2),
        ("ac-0311", cooler, users[2], _air_conditioner(True), 3),
        ("heater-0020", heater, users[3], _water_heater(True), 4),
        ("washer-0043", washer, None, _washer(False), 5), ("fridge-0108", None, users[4], _fridge(False), 6),
        ("ac-0312", cooler, users[4], _air_conditioner(False), 7),
    )  # fmt: skip
    for code, make, user_id, shapes, number in plan:
        device_no = await device(connection, fleet, code, make, user_id, since)
        await readings(connection, device_no, shapes, now, hours, number)
    await ownership.transfer(connection, "ac-0312", users[0], now - timedelta(days=40), "phone agent")
    await _trouble(connection, fleet, now)
    await run_desk(connection)
    await _operation(connection, fleet, now)
    return fleet


async def _trouble(connection: Connection, fleet: Fleet, now: datetime) -> None:
    numbers = fleet.devices
    await report(connection, numbers["washer-0042"], "5E", now - 95 * MINUTE)
    await report(connection, numbers["heater-0020"], "14", now - 22 * MINUTE)
    await report(connection, numbers["washer-0043"], "LE", now - 8 * MINUTE)  # nobody has it
    await report(connection, numbers["fridge-0108"], "Er-FS", now - 5 * MINUTE)  # in no known product
    await report(connection, numbers["ac-0312"], "E9", now - 3 * MINUTE)  # in no dictionary
    await report(connection, numbers["ac-0312"], "E3", now - 7 * 60 * MINUTE)
    await report(connection, numbers["ac-0312"], "E3", now - 6 * 60 * MINUTE, raised=False)
    await predict(connection, numbers["fridge-0107"], "Er-dH", now - 4 * 60 * MINUTE, 0.86,
                  [("cabinet_temperature", 6.2), ("evaporator_temperature", -4.1)])  # fmt: skip
    await predict(connection, numbers["ac-0311"], "anomaly", now - 7 * 60 * MINUTE, 0.61,
                  [("valve_opening", 5.4), ("discharge_temperature", 4.4)])  # fmt: skip


async def _operation(connection: Connection, fleet: Fleet, now: datetime) -> None:
    await connection.execute("UPDATE gateway SET online = gateway_no %% 4 <> 0, last_seen_at = %s", [now])
    await connection.execute(
        "INSERT INTO dead_letter (topic, payload, reason, detail, digest) VALUES ('fc/1/up/gw-7/washer-7/telemetry',"
        " '\\xfc02', 'unsupported_version', 'version 2 of a telemetry frame; this program reads version 1', '0a')"
    )
    await connection.execute(
        "INSERT INTO loss_ledger SELECT gateway_no, device_no, 1, 77, 'telemetry', 1840, 512000, %s, %s, %s FROM device"
        " WHERE device_no = %s",
        [now - 300 * MINUTE, now - 210 * MINUTE, now - 200 * MINUTE, fleet.devices["ac-0312"]],
    )
    counters = {"frames": 48210, "batches": 611, "dead_letters": 1, "commit_ms_p99": 18.4}
    await connection.execute(
        "INSERT INTO program_health VALUES ('ingest', 'host:4711', %s, %s), ('desk', 'host:4712', %s, %s)",
        [now, Jsonb(counters), now, Jsonb({"turns": 902, "cases": 8, "tickets": 4})],
    )
