"""Pure rules: a visit's cookie, a pending contact, what counts as a contact, when a warranty ends."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.web.customer.codes import NoContact, read_contact
from cloud.web.customer.products import months_later
from cloud.web.customer.visits import Pending, VisitKey

KEY, OTHER = VisitKey(b"k" * 32), VisitKey(b"o" * 32)


@given(st.text(max_size=80), st.floats(0, 1e9))
def test_what_we_did_not_write_is_nobodys_visit(cookie: str, now: float) -> None:
    assert KEY.read(cookie, now) is None


@given(st.integers(0, 200), st.integers(1, 255))
def test_an_altered_cookie_is_refused_and_a_late_one_too(place: int, change: int) -> None:
    cookie = KEY.write(KEY.begin(100.0, "u1"))
    visit = KEY.read(cookie, 99.0)
    assert visit is not None
    assert visit.user_id == "u1"
    assert KEY.read(cookie, 100.0) is None
    assert OTHER.read(cookie, 0.0) is None
    at = place % len(cookie)
    altered = cookie[:at] + chr(ord(cookie[at]) ^ change) + cookie[at + 1 :]
    assert KEY.read(altered, 0.0) is None


def test_a_forms_token_is_good_for_its_visit_alone() -> None:
    one, other = KEY.begin(1.0), KEY.begin(1.0)
    assert KEY.is_form_token(one, KEY.form_token(one))
    assert not KEY.is_form_token(other, KEY.form_token(one))
    assert not KEY.is_form_token(one, "")
    assert not KEY.is_form_token(one, OTHER.form_token(one))


def test_a_pending_contact_is_unreadable_and_opens_in_its_visit_until_its_time() -> None:
    visit = KEY.begin(100.0)
    pending = Pending(7, "email", "li@example.test", "register", 50.0, "04012345123456", "A1")
    sealed = KEY.seal(pending, visit)
    assert "li@" not in sealed
    assert "li@" not in repr(pending)
    assert KEY.open(sealed, visit, 49.0) == pending
    assert KEY.open(sealed, visit, 50.0) is None
    assert KEY.open(sealed, KEY.begin(100.0), 0.0) is None
    assert KEY.open("x" + sealed, visit, 0.0) is None
    assert KEY.open("ü", visit, 0.0) is None


@pytest.mark.parametrize(
    ("typed", "country", "kind", "contact"),
    [
        (" Li@Example.com ", "", "email", "Li@Example.com"),
        ("+86 138-0000 0000", "", "phone", "+8613800000000"),
        ("0086 13800000000", "", "phone", "+8613800000000"),
        ("13800000000", "+86", "phone", "+8613800000000"),
        ("0151 2345678", "+49", "phone", "+491512345678"),
    ],
)
def test_contacts_as_people_type_them(typed: str, country: str, kind: str, contact: str) -> None:
    assert read_contact(typed, country) == (kind, contact)


@pytest.mark.parametrize(
    "typed", ["", "li", "li@", "li@example", "a b@example.com", "x@e.com\nBcc: y@e.com", "13800000000", "+12",
              "a" * 70 + "@e.de",
              "<li@example.com>", "li@example.com,b@example.com"]
)  # fmt: skip
def test_what_is_no_contact_is_refused(typed: str) -> None:
    with pytest.raises(NoContact):
        read_contact(typed)


def test_only_kinds_that_can_be_reached_are_taken() -> None:
    with pytest.raises(NoContact):
        read_contact("+8613800000000", kinds=("email",))


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(0, 600))
def test_months_later_is_the_same_day_or_the_months_last(start: date, months: int) -> None:
    end = months_later(start, months)
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == months
    assert end.day == start.day or (end.day < start.day and date.fromordinal(end.toordinal() + 1).day == 1)
