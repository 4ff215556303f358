"""Storms: what is one, whatever the order of its reports; on the database, nobody is sent and each is told once."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from cloud.db import queries
from cloud.desk.triage.incidents import close_incident, list_incidents, members, named_causes, notices
from cloud.desk.triage.settings import TriageSettings
from cloud.desk.triage.storms import HeldIncident, Report, devices_needed, reconcile, storms
from cloud.registry import ownership, people
from cloud.registry.gs1 import ProductCode
from tests.desk.stage import Stage

T0 = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = timedelta(minutes=30)


def report(minute: int, device_no: int) -> Report:
    return Report(T0 + timedelta(minutes=minute), device_no, minute * 100 + device_no)


reports = st.lists(st.builds(report, st.integers(0, 300), st.integers(1, 12)), max_size=60)


def test_many_at_once_are_one_storm_and_a_lone_one_is_none() -> None:
    found = storms([*(report(n, n) for n in range(6)), report(200, 9)], WINDOW, 5)
    assert [(s.began_at, s.last_at, s.devices) for s in found] == [(T0, T0 + timedelta(minutes=5), 6)]


def test_one_device_that_reports_often_is_no_storm() -> None:
    assert storms([report(n, 1) for n in range(20)], WINDOW, 2) == []


@given(reports, st.integers(2, 6), st.randoms())
def test_the_order_of_reports_makes_no_difference(some: list[Report], needed: int, dice: random.Random) -> None:
    shuffled = [*some, *some[:5]]
    dice.shuffle(shuffled)
    assert storms(shuffled, WINDOW, needed) == storms(some, WINDOW, needed)


@given(reports, st.integers(2, 6))
def test_a_report_is_in_a_storm_exactly_if_some_window_around_it_is_full(some: list[Report], needed: int) -> None:
    inside = {case for storm in storms(some, WINDOW, needed) for case in storm.cases}
    for one in some:
        windows = (
            {other.device_no for other in some if start.at <= other.at <= start.at + WINDOW}
            for start in some
            if start.at <= one.at <= start.at + WINDOW
        )
        assert (one.case_no in inside) is any(len(devices) >= needed for devices in windows)


@given(reports, reports, st.integers(2, 6))
def test_more_reports_never_undo_a_storm(some: list[Report], more: list[Report], needed: int) -> None:
    before = {case for storm in storms(some, WINDOW, needed) for case in storm.cases}
    after = {case for storm in storms(some + more, WINDOW, needed) for case in storm.cases}
    assert before <= after


@given(reports, st.integers(2, 6))
def test_folding_what_is_held_changes_no_number(some: list[Report], needed: int) -> None:
    found = storms(some, WINDOW, needed)
    held = [HeldIncident(n, storm.began_at, storm.last_at) for n, storm in enumerate(found, 1)]
    assert [(c.incident_no, c.absorbs) for c in reconcile(held, found)] == [(h.incident_no, ()) for h in held]


def test_a_late_report_joins_two_incidents_under_the_older_number() -> None:
    whole = [report(n * 5, n) for n in range(1, 12)]
    (storm,) = storms(whole, WINDOW, 3)
    held = [HeldIncident(7, whole[8].at, whole[-1].at), HeldIncident(4, whole[0].at, whole[3].at)]
    (change,) = reconcile(held, [storm])
    assert (change.incident_no, change.absorbs) == (4, (7,))


@pytest.mark.parametrize("devices", [0, 100, 10_000, 1_000_000, 4_000_000])
def test_fewer_than_needed_is_what_chance_may_do(devices: int) -> None:
    needed = devices_needed(devices, 2.0, WINDOW, 1e-6, 5)
    mean = devices * 2.0 * (WINDOW / timedelta(days=365.25))
    assert poisson.sf(needed - 1, mean) < 1e-6
    assert needed == 5 or poisson.sf(needed - 2, mean) >= 1e-6


@given(st.integers(0, 3_000_000), st.integers(0, 3_000_000))
def test_needed_grows_with_the_region(one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert devices_needed(small, 2.0, WINDOW, 1e-6, 5) <= devices_needed(large, 2.0, WINDOW, 1e-6, 5)


# --- on the database ---


@pytest.fixture
async def street(stage: Stage) -> Stage:
    """Eight washers of eight users, all in region north; the stage's own device lies in no region."""
    stage.triage = TriageSettings()
    for n in range(8):
        name = f"d{n}"
        await people.add_user(stage.connection, f"u{n}")
        await stage.rows(
            f"INSERT INTO customer_profile (user_id, household, region) VALUES ('u{n}', 'u{n}', 'north') RETURNING 1"
        )
        await ownership.register_device(stage.connection, name, "test", gateway=f"gw{n}")
        unit = ProductCode("09520000900014", f"N{n}")
        await ownership.register_product(stage.connection, unit)
        await ownership.fit(stage.connection, name, unit, "test")
        await ownership.bind(stage.connection, name, f"u{n}", stage.ago(1_000), "test")
    return stage


async def _number(stage: Stage, n: int) -> int:
    return int((await stage.rows(f"SELECT device_no FROM device WHERE device = 'd{n}'"))[0][0])


async def _dry(stage: Stage, n: int, hours_ago: float = 0.5, code: str = "4E") -> None:
    await stage.report(hours_ago - n / 120, code=code, device_no=await _number(stage, n))


async def test_a_water_main_is_one_incident_and_nobody_is_sent(street: Stage) -> None:
    for n in range(4):
        await _dry(street, n)
    await street.turn()
    assert len(await street.tickets()) == 4, "four are no storm"
    for n in range(4, 8):
        await _dry(street, n)
    await street.turn()
    (incident,) = await list_incidents(street.connection, state="open")
    assert (incident["region"], incident["cause"], incident["devices"], incident["standing"]) == (
        "north", "water_supply", 8, 8,
    )  # fmt: skip
    assert "water supply" in incident["words"]["en"]
    assert {t[2:] for t in await street.tickets()} == {("dismissed", "storm")}
    assert {case[3] for case in await street.cases()} == {"storm"}
    assert len(await members(street.connection, incident["incident_no"])) == 8


async def test_each_customer_is_owed_one_notice(street: Stage) -> None:
    for _ in range(2):
        for n in range(8):
            await _dry(street, n)
        await street.turn()
    (incident,) = await list_incidents(street.connection)
    owed = await notices(street.connection, incident["incident_no"])
    assert [(n["user_id"], n["state"]) for n in owed] == [(f"u{n}", "open") for n in range(8)]
    assert (incident["customers"], incident["told"], incident["unreachable"]) == (8, 0, 0)


async def test_any_order_of_arrival_and_any_cut_into_turns_end_in_the_same(street: Stage) -> None:
    order = list(range(8))
    random.Random(3).shuffle(order)
    for n in order:
        await _dry(street, n)
        await street.turn()
    await street.rows("UPDATE tail_cursor SET xid = '0', batch_no = 0 RETURNING consumer")
    await street.turn()
    (incident,) = await list_incidents(street.connection)
    assert (incident["devices"], incident["customers"], incident["standing"]) == (8, 8, 8)
    assert incident["began_at"] == street.ago(0.5)
    assert await street.rows("SELECT count(*) FROM ticket WHERE state <> 'dismissed'") == [(0,)]


async def test_what_still_stands_when_the_storm_is_over_gets_its_ticket(street: Stage) -> None:
    for n in range(8):
        await _dry(street, n)
    await street.turn()
    for n in range(7):
        await street.report(0.1, code="4E", raised=False, device_no=await _number(street, n))
    await street.turn()
    assert await street.tickets() == []
    (incident,) = await list_incidents(street.connection)
    await close_incident(street.connection, incident["incident_no"], "eva", "the main is mended")
    await street.turn()
    assert [t[:3] for t in await street.tickets()] == [("4E", "u7", "proposed")]


async def test_a_danger_is_never_folded_away(street: Stage) -> None:
    for n in range(8):
        await _dry(street, n, code="LE")
    await street.turn()
    assert await list_incidents(street.connection) == []
    assert [t[2] for t in await street.tickets()] == ["confirmed"] * 8


async def test_a_ticket_that_a_person_confirmed_is_left_to_people(street: Stage) -> None:
    await _dry(street, 0)
    await street.turn()
    await street.rows(
        "INSERT INTO ticket_step (ticket_no, to_state, person, at) "
        "VALUES (1, 'confirmed', 'eva', desk_now()) RETURNING 1"
    )
    for n in range(1, 8):
        await _dry(street, n)
    await street.turn()
    assert [t[2] for t in await street.tickets()] == ["confirmed"]
    assert len(await list_incidents(street.connection)) == 1


async def test_every_code_of_the_shipped_causes_is_in_the_dictionary(stage: Stage) -> None:
    known = {f"{model} {code}" for model, code, *_ in await stage.rows(queries.load("storms")["meanings"])}
    assert {code for cause in named_causes().values() for code in cause["codes"]} <= known
