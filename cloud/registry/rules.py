"""Confirmation rules: what must be seen before a fault is taken for real, as data that the dictionary carries.

A rule is a list of tests; the fault is confirmed when **any** of them holds. Where none can decide, a person does.
In CSV a rule is written as text, tests separated by ';':

    at_once · persists 10 min · repeats 3 in 24 h · channel drain_time above 60 · self_test · person
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Test(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AtOnce(_Test):
    """The code alone confirms: waiting would cost more than a needless call."""

    test: Literal["at_once"] = "at_once"


class Persists(_Test):
    """The fault stands for so many minutes."""

    test: Literal["persists"] = "persists"
    minutes: _Positive


class Repeats(_Test):
    """The fault is raised so many times within so many hours."""

    test: Literal["repeats"] = "repeats"
    times: Annotated[int, Field(ge=2)]
    hours: _Positive


class ChannelBeyond(_Test):
    """A channel's mean around the fault lies beyond a limit, in the channel's unit."""

    test: Literal["channel"] = "channel"
    channel: Annotated[str, Field(min_length=1, max_length=64)]
    side: Literal["above", "below"]
    limit: Annotated[float, Field(allow_inf_nan=False)]


class SelfTestFails(_Test):
    """The device's self-test, asked for by command, reports the fault too."""

    test: Literal["self_test"] = "self_test"


class Person(_Test):
    """Only a person can say."""

    test: Literal["person"] = "person"


Test = Annotated[AtOnce | Persists | Repeats | ChannelBeyond | SelfTestFails | Person, Field(discriminator="test")]


class ConfirmationRule(_Test):
    """Any of these tests confirms the fault."""

    any_of: Annotated[tuple[Test, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"any_of": [_read(part.strip()) for part in value.split(";")]} if isinstance(value, str) else value


_FORMS = (
    (re.compile(r"(at_once|self_test|person)"), ("test",)),
    (re.compile(r"(persists) (\d+(?:\.\d+)?) min"), ("test", "minutes")),
    (re.compile(r"(repeats) (\d+) in (\d+(?:\.\d+)?) h"), ("test", "times", "hours")),
    (re.compile(r"(channel) (\S+) (above|below) (-?\d+(?:\.\d+)?)"), ("test", "channel", "side", "limit")),
)


def _read(text: str) -> dict[str, str]:
    for form, names in _FORMS:
        if match := form.fullmatch(text):
            return dict(zip(names, match.groups(), strict=True))
    raise ValueError(
        f"{text!r}: expected at_once, persists N min, repeats N in H h, channel NAME above|below LIMIT, "
        "self_test or person"
    )
