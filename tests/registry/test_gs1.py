"""Product codes: three forms of the same unit, check digits, and input that is none."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.registry.errors import BadProductCode
from cloud.registry.gs1 import SEPARATOR, ProductCode, check_digit, gtin14, parse

# The characters that GS1 allows in a serial and a lot number (AI encodable character set 82).
CSET82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
UNIT = ProductCode("09520000900014", "S1", date(2025, 3, 9), "L7")

digits13 = st.text("0123456789", min_size=13, max_size=13).filter(lambda text: int(text) > 0)
gtins = digits13.map(lambda body: body + check_digit(body))
written = st.text(CSET82, min_size=1, max_size=20)
units = st.builds(
    ProductCode,
    gtins,
    written,
    st.none() | st.dates(date(2000, 1, 1), date(2049, 12, 31)),
    st.none() | written,
)


@pytest.mark.parametrize(
    "text",
    [
        "https://id.gs1.org/01/09520000900014/10/L7/21/S1?11=250309",
        "https://example.com/a/01/9520000900014/21/S1?10=L7&11=250309",
        "(01)09520000900014(11)250309(10)L7(21)S1",
        f"01095200009000141125030910L7{SEPARATOR}21S1",
        "]d2010952000090001411250309" + f"10L7{SEPARATOR}21S1",
    ],
)
def test_every_form_names_the_same_unit(text: str) -> None:
    assert parse(text) == UNIT


@given(unit=units)
def test_a_digital_link_carries_the_unit(unit: ProductCode) -> None:
    assert parse(unit.digital_link("https://care.example/p")) == unit


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(01)09520000900015(21)S1", "GTIN 09520000900015 is wrong"),
        ("https://id.gs1.org/01/09520000900015/21/S1", "GTIN 09520000900015 is wrong"),
        ("(01)09520000900014", "no serial number"),
        ("(21)S1", "no GTIN"),
        ("", "1 to 2000 characters"),
        ("9" * 2_001, "1 to 2000 characters"),
        ("'; DROP TABLE product; --", "is no GS1 code"),
        ("https://[/01/09520000900014", "is no GS1 code"),
        ("(01)09520000900014(21)S1(11)251399", "is no GS1 code"),
        (f"010952000090001421A{SEPARATOR}21B", "twice, differently"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(BadProductCode, match=says):
        parse(text)


@given(text=st.text() | st.text("()0123456789]dCQ\x1d/:?=&%htpsabz", max_size=60))
def test_any_text_is_a_unit_or_a_typed_error(text: str) -> None:
    try:
        unit = parse(text)
    except BadProductCode:
        return
    assert gtin14(unit.gtin) == unit.gtin
    assert 1 <= len(unit.serial) <= 20


@given(body=digits13, place=st.integers(0, 13), change=st.integers(1, 9))
def test_one_wrong_digit_is_always_seen(body: str, place: int, change: int) -> None:
    right = body + check_digit(body)
    wrong = right[:place] + str((int(right[place]) + change) % 10) + right[place + 1 :]
    assert gtin14(right) == right
    with pytest.raises(BadProductCode):
        gtin14(wrong)


async def test_the_database_computes_the_same_check_digit(connection) -> None:  # type: ignore[no-untyped-def]
    bodies = [f"{n * 7919:013d}" for n in range(1, 200)]
    cursor = await connection.execute(
        "SELECT bool_and(gtin_is_sound(b || c)), bool_or(gtin_is_sound(b || (c::int + 1) %% 10)) "
        "FROM unnest(%s::text[], %s::text[]) AS g (b, c)",
        [bodies, [check_digit(body) for body in bodies]],
    )
    assert await cursor.fetchone() == (True, False)
