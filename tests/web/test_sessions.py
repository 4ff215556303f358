"""Sessions and the throttle: pure, with the time as an argument."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud.web import sessions
from cloud.web.sessions import Throttle

KEY = b"k" * 32


@given(st.text(max_size=64))
def test_a_session_names_its_operator_until_it_is_over(name: str) -> None:
    session = sessions.issue(KEY, name, expires=100.0)
    assert sessions.operator_of(KEY, session, now=99.9) == name
    assert sessions.operator_of(KEY, session, now=100.0) is None


@given(st.text(max_size=120))
def test_a_forged_session_is_nobodys(text: str) -> None:
    assert sessions.operator_of(KEY, text, now=0.0) is None


def test_a_session_of_another_key_or_altered_is_nobodys() -> None:
    session = sessions.issue(KEY, "mei", expires=100.0)
    assert sessions.operator_of(b"x" * 32, session, now=0.0) is None
    payload, _, signature = session.partition(".")
    other = sessions.issue(KEY, "admin", expires=100.0).partition(".")[0]
    assert sessions.operator_of(KEY, f"{other}.{signature}", now=0.0) is None
    assert sessions.operator_of(KEY, f"{payload}.{signature[:-1]}", now=0.0) is None


def test_the_throttle_forgets_after_its_window() -> None:
    throttle = Throttle(limit=2, window_s=60)
    for now in (0.0, 10.0):
        assert throttle.allows(now)
        throttle.failed(now)
    assert not throttle.allows(59.0)
    assert throttle.allows(60.0)
