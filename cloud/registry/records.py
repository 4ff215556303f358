"""Rows of the registry's import files: one type a kind of file. CSV and JSON share them.

In CSV a list is written with ';' between its items (steps of self-help, being sentences, with '|'), and a text by
language in columns `<field>_en`, `<field>_zh`; in JSON as a list and an object.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cloud.registry.errors import BadProductCode
from cloud.registry.gs1 import ProductCode, gtin14, parse
from cloud.registry.rules import ConfirmationRule
from protocols.errors import BadIdentifier
from protocols.identifiers import identifier

LANGUAGES = ("en", "zh")


def _identifier(text: str) -> str:
    try:
        return identifier(text)
    except BadIdentifier as error:
        raise ValueError(str(error)) from None


def _gtin(text: str) -> str:
    try:
        return gtin14(text)
    except BadProductCode as error:
        raise ValueError(str(error)) from None


def _time_zone(text: str) -> str:
    if text not in available_timezones():
        raise ValueError("expected a time zone such as Europe/Berlin or Asia/Shanghai")
    return text


def _items(separator: str) -> BeforeValidator:
    def split(value: Any) -> Any:
        if isinstance(value, str):
            return [item.strip() for item in value.split(separator) if item.strip()]
        return value

    return BeforeValidator(split)


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


Name = Annotated[str, Field(min_length=1, max_length=64)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Identifier = Annotated[str, AfterValidator(_identifier)]
Gtin = Annotated[str, AfterValidator(_gtin)]
ByLanguage = Annotated[dict[Literal["en", "zh"], Text], Field(min_length=1)]
Steps = Annotated[list[Text], _items("|")]
StepsByLanguage = dict[Literal["en", "zh"], Steps]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Instant = Annotated[AwareDatetime | None, BeforeValidator(_empty_is_none)]


class Row(BaseModel):
    """One row of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    by_language: ClassVar[tuple[str, ...]] = ()
    key: ClassVar[str] = ""
    """The column that may hold a value once in a file; none where rows have no such column."""

    @model_validator(mode="before")
    @classmethod
    def _gather_languages(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        gathered = dict(value)
        for field in cls.by_language:
            texts = {lang: gathered.pop(f"{field}_{lang}", "") for lang in LANGUAGES}
            if any(texts.values()):
                gathered.setdefault(field, {lang: text for lang, text in texts.items() if text})
        return gathered

    @classmethod
    def columns(cls) -> set[str]:
        """The names that a CSV header may have."""
        plain = set(cls.model_fields) - set(cls.by_language)
        return plain | {f"{field}_{lang}" for field in cls.by_language for lang in LANGUAGES}


class Family(Row):
    """An appliance family."""

    by_language = ("name",)
    key = "family"
    family: Identifier
    name: ByLanguage


class Part(Row):
    """A spare part."""

    by_language = ("name",)
    key = "part"
    part: Identifier
    name: ByLanguage


class WarrantyTerm(BaseModel):
    """A longer warranty on some parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    covers: Name
    months: Annotated[int, Field(gt=0, le=600)]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            match = re.fullmatch(r"([\w-]+):(\d+)", value)
            if match is None:
                raise ValueError("expected COVERS:MONTHS, such as compressor:120")
            return {"covers": match[1], "months": match[2]}
        return value


class Model(Row):
    """A model, the GTINs under which it is sold, and its warranty."""

    key = "model"
    model: Name
    family: Name
    name: Text
    price_band: Literal["economy", "middle", "premium"]
    warranty_months: Annotated[int, Field(ge=0, le=600)]
    warranty_terms: Annotated[list[WarrantyTerm], _items(";")] = []
    gtins: Annotated[list[Gtin], _items(";")] = []


class FaultDefinition(Row):
    """What a code means on some models; `models` lists those that share the meaning."""

    by_language = ("meaning", "customer_words", "self_help")
    models: Annotated[list[Name], _items(";"), Field(min_length=1)]
    code: Name
    meaning: ByLanguage
    severity: Literal["low", "medium", "high", "critical"]
    safety: Literal["none", "water", "electric", "heat", "gas"] = "none"
    stops: bool
    customer_words: ByLanguage
    self_help: StepsByLanguage = {}
    likely_parts: Annotated[list[Name], _items(";")] = []
    confirmation_rule: ConfirmationRule
    source: Text


class Consumable(Row):
    """A channel that says how much of something is left: its reading `when_new` and `when_spent`, in its own unit."""

    by_language = ("name",)
    models: Annotated[list[Name], _items(";"), Field(min_length=1)]
    channel: Name
    name: ByLanguage
    when_new: Finite
    when_spent: Finite

    @model_validator(mode="after")
    def _is_used_up(self) -> Self:
        if self.when_new == self.when_spent:
            raise ValueError("when_spent: expected another reading than when_new")
        return self


class Region(Row):
    """Where a region of the users is, in degrees (WGS 84): the middle of a town or district, nothing finer."""

    key = "region"
    region: Name
    latitude: Annotated[Finite, Field(ge=-90, le=90)]
    longitude: Annotated[Finite, Field(ge=-180, le=180)]


class User(Row):
    """A user by pseudonym; name, phone, e-mail and address are encrypted as they are read."""

    key = "user_id"
    user_id: Identifier
    locale: Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] = "en"
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    region: Annotated[str, Field(max_length=64)] = ""
    name: str = ""
    phone: Annotated[str, Field(pattern=r"^(\+?[0-9 ()./-]{4,30})?$")] = ""
    email: Annotated[str, Field(pattern=r"^([^@\s]+@[^@\s]+)?$", max_length=254)] = ""
    address: str = ""


class Device(Row):
    """A device; with a product code, also the product that it is in, `fitted_since` (empty: since it was made)."""

    key = "device"
    device: Identifier
    gateway: Annotated[Identifier | None, BeforeValidator(_empty_is_none)] = None
    product: str = ""
    produced_on: Annotated[date | None, BeforeValidator(_empty_is_none)] = None
    lot: Annotated[str, Field(max_length=20)] = ""
    fitted_since: Instant = None

    @property
    def code(self) -> ProductCode | None:
        """The product code, completed by the columns beside it."""
        if not self.product:
            return None
        read = parse(self.product)
        return ProductCode(read.gtin, read.serial, read.produced_on or self.produced_on, read.lot or self.lot or None)

    @model_validator(mode="after")
    def _product_is_sound(self) -> Self:
        try:
            code = self.code
        except BadProductCode as error:
            raise ValueError(f"product: {error}") from None
        if code is None and (self.produced_on or self.lot or self.fitted_since):
            raise ValueError("product: expected a GS1 code, since produced_on, lot or fitted_since is given")
        return self


class Binding(Row):
    """A user has a device from `since` until `until` (empty: still); times in ISO 8601 with an offset."""

    user_id: Identifier
    device: Identifier
    since: AwareDatetime
    until: Instant = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError(f"until: expected a time after since ({self.since.isoformat()})")
        return self


KINDS: dict[str, type[Row]] = {
    "families": Family,
    "parts": Part,
    "models": Model,
    "faults": FaultDefinition,
    "consumables": Consumable,
    "regions": Region,
    "users": User,
    "devices": Device,
    "bindings": Binding,
}
"""Kinds of files by the first word of their name, in the order in which they must be imported."""

__all__ = [
    "KINDS",
    "Binding",
    "Consumable",
    "Device",
    "Family",
    "FaultDefinition",
    "Model",
    "Part",
    "Region",
    "Row",
    "User",
]
