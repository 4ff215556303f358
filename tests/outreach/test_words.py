"""Every sentence is in every catalogue, with the same places to fill in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import cloud
from cloud.desk.outreach.compose import ASKING, Facts, Offer, compose
from cloud.locale.catalogues import languages, words

ROOT = Path(cloud.__file__).parent
FIELD = re.compile(r"\{\w+\}")


def sentences() -> set[str]:
    """Every sentence that the desk says, and those of the catalogues' own module. The pages have theirs."""
    return {
        str(message)
        for folder in ("desk", "locale")
        for _file, _line, message, _comments, _context in extract_from_dir(
            ROOT / folder, method_map=[("**.py", "python")], keywords={"say": None}
        )
    }


@pytest.mark.parametrize("language", languages())
def test_a_catalogue_says_all_that_is_said(language: str) -> None:
    with files("cloud.locale").joinpath(language, "LC_MESSAGES", "firstcall.po").open("rb") as file:
        catalogue = read_po(file, locale=language, abort_invalid=True)
    held = {str(m.id): str(m.string) for m in catalogue if m.id}
    assert set(held) == sentences()
    for key, said in held.items():
        assert said, key
        assert sorted(FIELD.findall(said)) == sorted(FIELD.findall(key)), key


def test_a_locale_finds_the_nearest_language() -> None:
    assert {name: words(name).language for name in ("zh-CN", "zh_TW", "en-GB", "de-DE", "xx", "")} == {
        "zh-CN": "zh",
        "zh_TW": "zh",
        "en-GB": "en",
        "de-DE": "en",
        "xx": "en",
        "": "en",
    }


def test_texts_of_the_database_fall_back_to_english_then_to_any() -> None:
    zh = words("zh-CN")
    assert zh.pick({"en": "a", "zh": "b"}) == "b"
    assert zh.pick({"en": "a"}) == "a"
    assert zh.pick({"fr": "c"}) == "c"
    assert zh.pick({}, "none") == "none"


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("purpose", [*sorted(ASKING), "appointment", "all_clear", "closing", "storm"])
@pytest.mark.parametrize("channel", ["email", "sms", "phone"])
def test_each_message_can_be_checked_and_keeps_no_secret(language: str, purpose: str, channel: str) -> None:
    start = datetime(2026, 11, 25, 2, tzinfo=UTC)
    offer = Offer(7, start, start + timedelta(hours=2))
    facts = Facts(
        purpose, "Acme", "washer", "It drains slowly {not a field}.", ZoneInfo("Asia/Shanghai"), "https://x/01/1/21/2",
        offers=(offer,), appointment=offer, gentle_until=start, danger="gas",
    )  # fmt: skip
    message = compose(facts, channel, words(language), "7KQM2XWP", lambda a, n: f"https://x/a/{a}.{n}")  # type: ignore[arg-type]
    assert "7KQM-2XWP" in message.text
    assert channel == "phone" or facts.page_url in message.text
    assert not re.search(r"7KQM|https?:", message.told + message.subject)
    assert "{" not in message.text.replace("{not a field}", "")
    if purpose in ASKING and channel != "phone":
        assert "https://x/a/stop.0" in message.text
        assert "https://x/a/accept.7" in message.text
    if purpose == "storm" and channel != "phone":
        assert "https://x/a/stop.0" in message.text
        assert "https://x/a/visit" not in message.text
    if purpose == "appointment":
        assert "10:00" in message.text, "in the customer's own time zone"
