"""Cursors: what was given out comes back; anything else is refused by name."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.web import cursors

KINDS = st.sampled_from(["faults", "tickets by value"])
NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1)
TIMES = st.datetimes(timezones=st.just(UTC))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(KINDS, TIMES, NUMBERS)
def test_a_time_comes_back(kind: str, at: datetime, number: int) -> None:
    assert cursors.decode(kind, cursors.encode(kind, at, number), datetime) == (at, number)


@given(KINDS, FLOATS, NUMBERS)
def test_a_figure_comes_back_exactly(kind: str, figure: float, number: int) -> None:
    assert cursors.decode(kind, cursors.encode(kind, figure, number), float) == (figure, number)


@given(st.text(max_size=80))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(cursors.BadCursor):
        cursors.decode("faults", text, datetime)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=6))
def test_forged_json_is_refused_or_well_formed(value: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(["faults", value, value]).encode()).decode()
    with pytest.raises(cursors.BadCursor):
        cursors.decode("faults", cursor, datetime)


def test_a_cursor_of_another_list_is_refused() -> None:
    cursor = cursors.encode("faults", datetime(2026, 1, 1, tzinfo=UTC), 1)
    with pytest.raises(cursors.BadCursor):
        cursors.decode("findings", cursor, datetime)


def test_a_page_ends_with_the_cursor_of_its_last_row() -> None:
    rows = [(datetime(2026, 1, day, tzinfo=UTC), day) for day in (5, 4, 3)]
    kept, following = cursors.page("faults", rows, 2, lambda row: row)
    assert kept == rows[:2]
    assert following is not None
    assert cursors.decode("faults", following, datetime) == rows[1]
    assert cursors.page("faults", rows, 3, lambda row: row) == (rows, None)
    assert cursors.page("faults", [], 3, lambda row: row) == ([], None)
