"""The four-code join against a brute-force oracle: 10,000 histories of ownership, late and corrected knowledge, faults.

Each example is a fleet of histories, one a device. They are played in three stages, each with its operations, its
share of the fault reports (in any order of event time) and a turn of the desk, so that the final cases have been made
early and judged again, or made late: both must end in what the oracle says of the whole history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from cloud.desk.settings import DeskSettings
from cloud.desk.tend import make_cursors, tend
from cloud.registry.costs import Costs
from cloud.registry.gs1 import check_digit
from tests.registry.oracle import (
    HOURS,
    Expected,
    Fault,
    Refused,
    Timeline,
    episodes_of,
    holder,
    missing_of,
)
from tests.support.databases import until_settled

EXAMPLES, FLEET, BYTES = 105, 96, 48
"""105 fleets of 96 devices, each played from 48 bytes: 10,080 histories."""
STAGES = 3
ANALYZE_AFTER = (1, 10, 40)  # what autovacuum would do, had it the time
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
KNOWN = datetime(2026, 2, 1, tzinfo=UTC)
GAP_MINUTES = 10
USERS = ("ann", "bo", "cy")

fleet = st.tuples(
    st.sampled_from((0, 0, 1, 2, STAGES)),  # the stage before which the catalogue learns the GTIN; STAGES: never
    st.sampled_from((0, 0, 1, 2, STAGES)),  # the same for the meaning of code C1
    st.lists(st.binary(min_size=BYTES, max_size=BYTES), min_size=FLEET, max_size=FLEET),
)

Operation = tuple[str, Any, int, Any]
Stage = tuple[list[Operation], list[Fault]]


class Script:
    """Bytes read as a history: drawing one string instead of fifty numbers is what makes 10,000 histories cheap."""

    def __init__(self, script: bytes) -> None:
        self._bytes = iter(script)

    def number(self, below: int) -> int:
        return next(self._bytes, 0) % below

    def choice(self, among: Any) -> Any:
        return among[self.number(len(among))]

    def history(self) -> tuple[int, list[Stage]]:
        registered_from = self.choice((0, 0, 0, 0, 0, 1, 2))
        stages = [self._stage() for _ in range(STAGES)]
        start = self.number(8)
        first: list[Operation] = [("fit", "A", 0, None)] if start > 1 else []
        first += [("bind", "ann", 0, None)] if start % 4 else []
        stages[registered_from] = (first + stages[registered_from][0], stages[registered_from][1])
        return registered_from, stages

    def _stage(self) -> Stage:
        return [self._operation() for _ in range(self.number(4))], [self._fault() for _ in range(self.number(4))]

    def _operation(self) -> Operation:
        kind = self.choice(("bind", "transfer", "transfer", "transfer", "revoke", "correct", "correct", "fit", "unfit"))
        at, until = self.number(HOURS), self.choice((None, None, None, 3, 7, 12, 18, HOURS))
        if kind in ("fit", "unfit"):
            return kind, self.choice(("A", "A", "B")) if kind == "fit" else None, self.choice((0, at)), until
        extra = (self.choice((0, at, 5, 11)), until) if kind == "correct" else until
        return kind, self.choice(USERS), at, extra if kind in ("correct", "bind") else None

    def _fault(self) -> Fault:
        minute = self.number(HOURS) * 60 + self.number(15) * 4
        return Fault(minute, self.choice(("C1", "C1", "C2")), self.number(3) > 0)


@dataclass
class Played:
    """The oracle's side of one device."""

    device: str
    users: Timeline
    products: Timeline
    faults: list[Fault]
    known: list[datetime]
    registered: bool = False


class Arena:
    """A database, a connection to it, and how many histories were compared."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._runner = asyncio.Runner()
        self.histories = self.cases = self.refusals = self.tickets = self.looks = 0
        self._number = 0
        self.connection: AsyncConnection[Any] = self._runner.run(self._open())

    async def _open(self) -> AsyncConnection[Any]:
        connection = await AsyncConnection.connect(self._url, autocommit=True)
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("INSERT INTO app_user (user_id) SELECT unnest(%s::text[])", [list(USERS)])
        await connection.execute("INSERT INTO appliance_family VALUES ('washer', '{\"en\": \"Washer\"}')")
        await connection.execute(_TRY_OPERATION)
        await make_cursors(connection)
        return connection

    def close(self) -> None:
        self._runner.run(self.connection.close())
        self._runner.close()

    def play(self, drawn: Any) -> None:
        self._number += 1
        self._runner.run(self._play(f"x{self._number}", drawn))

    async def _play(self, name: str, drawn: Any) -> None:
        model_from, meaning_from, scripts = drawn
        histories = [Script(script).history() for script in scripts]
        body = f"0952{self._number:09d}"
        gtin, model = body + check_digit(body), f"M-{name}"
        await self.connection.execute("INSERT INTO model VALUES (%s, 'washer', 'W', 'economy', 12)", [model])
        played = [Played(f"{name}-{n}", Timeline(), Timeline(), [], []) for n in range(len(histories))]
        await self._make_devices(played, gtin)
        for number in range(STAGES):
            async with self.connection.transaction():
                if number == model_from:
                    await self.connection.execute("INSERT INTO trade_item VALUES (%s, %s)", [gtin, model])
                if number == meaning_from:
                    await self.connection.execute(_DEFINE, [model])
                await self._operate(number, played, histories, gtin)
                await self._report(number, played, histories)
            await until_settled(self.connection)
            await tend(self.connection, _SETTINGS, _COSTS, sweep=False)
        await self._compare(played, model if model_from < STAGES else None, meaning_from < STAGES)
        await self._compare_what_was_known(played, gtin)
        await self._no_call_to_a_former_owner(played)
        if self._number in ANALYZE_AFTER:
            await self.connection.execute("ANALYZE")

    async def _make_devices(self, played: list[Played], gtin: str) -> None:
        names = [one.device for one in played]
        await self.connection.execute("INSERT INTO device (device) SELECT unnest(%s::text[])", [names])
        await self.connection.execute(
            "INSERT INTO product (gtin, serial) SELECT %s, d || s FROM unnest(%s::text[]) d, unnest('{A,B}'::text[]) s",
            [gtin, names],
        )

    async def _operate(self, number: int, played: list[Played], histories: Any, gtin: str) -> None:
        """The stage's operations, in the database and in the oracle: both refuse the same ones."""
        entering = [o.device for o, (begins, _) in zip(played, histories, strict=True) if begins == number]
        await self.connection.execute(_REGISTER, [entering])
        rows, expected = [], []
        for one, (registered_from, stages) in zip(played, histories, strict=True):
            one.registered = one.registered or registered_from == number
            for kind, who, at, extra in stages[number][0]:
                known = KNOWN + timedelta(minutes=len(one.known))
                since, until = extra if kind == "correct" else (at, extra)
                rows.append((one.device, kind, who, _at(at), _at(since), _at(until), known, gtin))
                expected.append(one.registered and _in_oracle(one, kind, who, at, since, until))
                if expected[-1]:
                    one.known.append(known)
                    one.users.remember()
                    one.products.remember()
        if rows:
            cursor = await self.connection.execute(_OPERATE, [list(column) for column in zip(*rows, strict=True)])
            done = [row[0] for row in await cursor.fetchall()]
            assert done == expected, [row for row, a, b in zip(rows, done, expected, strict=True) if a != b]
            self.refusals += expected.count(False)

    async def _report(self, number: int, played: list[Played], histories: Any) -> None:
        rows = []
        for one, (_, stages) in zip(played, histories, strict=True):
            for report in stages[number][1]:
                if report not in one.faults:
                    one.faults.append(report)
                    rows.append((one.device, _minute(report.minute), report.code, report.raised))
        await self.connection.execute(_REPORT, [list(column) for column in zip(*rows, strict=True)] or [[]] * 4)

    async def _compare(self, played: list[Played], model: str | None, defined: bool) -> None:
        cursor = await self.connection.execute(
            "SELECT d.device, c.problem, c.occurred_at, c.cleared_at, c.raises, c.user_id, c.serial, c.model, "
            "c.missing FROM fault_case c JOIN device d USING (device_no) WHERE d.device = ANY(%s) "
            "AND c.merged_into IS NULL",
            [[one.device for one in played]],
        )
        found: dict[str, list[Expected]] = {one.device: [] for one in played}
        for device, code, occurred, cleared, raises, who, serial, of, missing in await cursor.fetchall():
            found[device].append(
                Expected(
                    code, _minutes(occurred), cleared and _minutes(cleared), raises, who, serial, of, frozenset(missing)
                )
            )
        for one in played:
            expected = _expected(one, model, defined)
            assert sorted(found[one.device], key=repr) == sorted(expected, key=repr), one
            self.cases += len(expected)
        self.histories += len(played)

    async def _compare_what_was_known(self, played: list[Played], gtin: str) -> None:
        """four_codes as of every earlier state of knowledge, at one hour each: what was held then is still there."""
        looks = [
            (one.device, _minute(look * 97 % (HOURS * 60)), known, one.users.copies[look], one.products.copies[look])
            for one in played
            for look, known in enumerate(one.known)
        ]
        if not looks:
            return
        cursor = await self.connection.execute(
            _LOOK, [[look[0] for look in looks], [look[1] for look in looks], [look[2] for look in looks]]
        )
        for (who, serial), (device, at, _known, users, products) in zip(await cursor.fetchall(), looks, strict=True):
            letter = holder(products, _minutes(at))
            assert (who, serial) == (holder(users, _minutes(at)), letter and device + letter)
        self.looks += len(looks)

    async def _no_call_to_a_former_owner(self, played: list[Played]) -> None:
        """Open tickets are exactly those of standing, complete cases of devices that somebody has now: that user's."""
        now = (await (await self.connection.execute("SELECT desk_now()")).fetchone() or [None])[0]
        cursor = await self.connection.execute(_OPEN_TICKETS, [[one.device for one in played]])
        tickets = {(device, problem): who for device, problem, who in await cursor.fetchall()}
        cursor = await self.connection.execute(_STANDING, [[one.device for one in played]])
        standing = {(device, problem) for device, problem in await cursor.fetchall()}
        owners = {one.device: holder(one.users.hours, _minutes(now)) for one in played}
        for (device, _problem), who in tickets.items():
            assert who == owners[device]
        assert {key for key in standing if owners[key[0]]} <= set(tickets)
        self.tickets += len(tickets)


def _in_oracle(one: Played, kind: str, who: Any, at: int, since: int, until: int | None) -> bool:
    try:
        if kind in ("fit", "unfit"):
            one.products.replace(who, since, until)
        elif kind == "correct":
            one.users.correct(at, who, since, until)
        elif kind == "bind":
            one.users.bind(who, since, until)
        else:
            getattr(one.users, kind)(who, at)
    except Refused:
        return False
    return True


def _expected(one: Played, model: str | None, defined: bool) -> list[Expected]:
    cases = []
    for code in ("C1", "C2"):
        for occurred, cleared, raises in episodes_of([f for f in one.faults if f.code == code], GAP_MINUTES):
            who, letter = holder(one.users.hours, occurred), holder(one.products.hours, occurred)
            of = model if letter else None
            missing = missing_of(one.registered, who, letter, of, defined and code == "C1")
            product = letter and one.device + letter
            cases.append(Expected(code, occurred, cleared, raises, who, product, of, missing))
    return cases


def _at(hours: int | None) -> datetime | None:
    return None if hours is None else BEGINNING + timedelta(hours=hours)


def _minute(minutes: int) -> datetime:
    return BEGINNING + timedelta(minutes=minutes)


def _minutes(at: datetime) -> int:
    return int((at - BEGINNING) / timedelta(minutes=1))


_SETTINGS = DeskSettings(clock="event", chatter_gap_minutes=GAP_MINUTES, batches_at_most=10_000)
_COSTS = Costs.load()

_REGISTER = """
INSERT INTO registered_device (device_no, registered_by)
SELECT device_no, 'test' FROM device WHERE device = ANY(%s)
"""
_DEFINE = """
INSERT INTO fault_definition (model, code, version, known, meaning, severity, safety, stops, self_help, likely_parts,
    customer_words, confirmation_rule, source)
VALUES (%s, 'C1', 1, tstzrange(clock_timestamp(), NULL), '{}', 'high', 'none', true, '{}', '{}', '{}', '{}', 'test')
"""
_REPORT = """
WITH batch AS (
    INSERT INTO ingest_batch (frames, fault_reports, first_at, last_at)
    VALUES (0, 1, '2026-01-01', '2026-01-01 23:59:59') RETURNING batch_no
)
INSERT INTO fault_report (device_no, occurred_at, boot, seq, code, raised, gateway_no, batch_no, ingested_at)
SELECT d.device_no, r.at, 1, r.raised::int, r.code, r.raised, 1, batch_no, clock_timestamp()
FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::boolean[]) AS r (device, at, code, raised)
JOIN device d USING (device), batch
"""
_TRY_OPERATION = """
CREATE FUNCTION try_operation(dev text, kind text, who text, at timestamptz, since timestamptz, until timestamptz,
    known timestamptz, of_gtin text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    n int := (SELECT device_no FROM device WHERE device = dev);
    held bigint;
BEGIN
    CASE kind
        WHEN 'bind' THEN PERFORM registry_bind(n, who, since, until, known, 'test');
        WHEN 'transfer' THEN PERFORM registry_transfer(n, who, at, known, 'test');
        WHEN 'revoke' THEN PERFORM registry_revoke(n, who, at, known, 'test');
        WHEN 'correct' THEN
            SELECT binding_no INTO held FROM binding_at(n, at);
            PERFORM registry_correct(coalesce(held, -1), who, since, until, until IS NULL, known, 'test');
        WHEN 'fit' THEN PERFORM registry_fit(n, of_gtin, dev || who, since, until, known, 'test');
        WHEN 'unfit' THEN PERFORM registry_unfit(n, since, until, known, 'test');
    END CASE;
    RETURN true;
EXCEPTION WHEN SQLSTATE 'FC001' OR SQLSTATE 'FC003' OR SQLSTATE 'FC004' THEN
    RETURN false;
END $$
"""
_OPERATE = """
SELECT try_operation(dev, kind, who, at, since, until, known, gtin)
FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
    %s::timestamptz[], %s::text[]) WITH ORDINALITY AS o (dev, kind, who, at, since, until, known, gtin, place)
ORDER BY place
"""
_LOOK = """
SELECT j.user_id, j.serial
FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) WITH ORDINALITY AS a (device, at, known, place)
JOIN device d USING (device)
CROSS JOIN LATERAL four_codes(d.device_no, a.at, 'C1', true, a.known) AS j
ORDER BY place
"""
_OPEN_TICKETS = """
SELECT d.device, t.problem, t.user_id FROM ticket t JOIN device d USING (device_no)
WHERE d.device = ANY(%s) AND t.state IN ('proposed', 'confirmed', 'contacted', 'scheduled')
"""
_STANDING = """
SELECT DISTINCT d.device, c.problem FROM fault_case c JOIN device d USING (device_no)
WHERE d.device = ANY(%s) AND c.cleared_at IS NULL AND c.missing = '{}' AND c.merged_into IS NULL
"""


@pytest.fixture
def arena(migrated_url: str) -> Iterator[Arena]:
    opened = Arena(migrated_url)
    yield opened
    opened.close()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(drawn=fleet)
def _every_history(arena: Arena, drawn: Any) -> None:
    arena.play(drawn)


def test_the_join_agrees_with_the_oracle_over_ten_thousand_histories(arena: Arena) -> None:
    _every_history(arena)
    print(
        f"{arena.histories} histories, {arena.cases} cases, {arena.looks} looks at earlier knowledge, "
        f"{arena.refusals} refusals, {arena.tickets} open tickets"
    )
    assert arena.histories >= 10_000
    assert min(arena.cases, arena.looks, arena.refusals, arena.tickets) > 1_000
