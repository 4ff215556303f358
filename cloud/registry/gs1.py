"""Product codes: a GS1 element string or Digital Link URI is read into one unit.

Application identifiers (GS1 General Specifications, section 3): 01 GTIN, 21 serial, 11 production date,
10 batch or lot. Parsing is biip's; what is kept, and what is refused, is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from biip import ParseError
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_element_strings import GS1ElementString, GS1ElementStrings
from biip.gs1_messages import GS1Message

from cloud.registry.errors import BadProductCode

SEPARATOR = "\x1d"  # FNC1 in a scanned element string


@dataclass(frozen=True, slots=True)
class ProductCode:
    """One unit: GTIN (14 digits) and serial; production date and lot where the code carries them."""

    gtin: str
    serial: str
    produced_on: date | None = None
    lot: str | None = None

    def digital_link(self, resolver: str = "https://id.gs1.org") -> str:
        """The GS1 Digital Link URI to print on the unit, under a resolver of one's own."""
        path = f"/01/{self.gtin}"
        if self.lot:
            path += f"/10/{quote(self.lot, safe='')}"
        path += f"/21/{quote(self.serial, safe='')}"
        produced = f"?11={self.produced_on:%y%m%d}" if self.produced_on else ""
        return f"{resolver.rstrip('/')}{path}{produced}"

    def element_string(self) -> str:
        """The same in human-readable form: (01)…(11)…(10)…(21)…"""
        parts = [f"(01){self.gtin}"]
        if self.produced_on:
            parts.append(f"(11){self.produced_on:%y%m%d}")
        if self.lot:
            parts.append(f"(10){self.lot}")
        return "".join([*parts, f"(21){self.serial}"])


def parse(code: str) -> ProductCode:
    """Read a scanned or typed product code of any of the three forms.

    `code` is a Digital Link URI (`https://…/01/…/21/…`), a human-readable element string (`(01)…(21)…`) or a raw
    element string with FNC1 (ASCII 29) after a field of variable length.

    Raises:
        BadProductCode: it cannot be read, a check digit is wrong, or GTIN or serial is not in it.
    """
    text = code.strip()
    if not text or len(text) > 2_000:
        raise BadProductCode(f"a product code has 1 to 2000 characters, this one {len(text)}")
    try:
        elements = _elements(text)
    except (ParseError, ValueError) as error:
        raise BadProductCode(f"{_shown(text)} is no GS1 code: {str(error).splitlines()[0]}") from None
    gtin = _one(elements, "01", text)
    if gtin is None:
        raise BadProductCode(f"{_shown(text)} carries no GTIN (AI 01)")
    if gtin.gtin is None:
        raise BadProductCode(f"{_shown(text)}: GTIN {gtin.value} is wrong: {gtin.gtin_error or 'not a GTIN'}")
    serial = _one(elements, "21", text)
    if serial is None:
        raise BadProductCode(f"{_shown(text)} carries no serial number (AI 21), so it names no single unit")
    made, lot = _one(elements, "11", text), _one(elements, "10", text)
    return ProductCode(gtin.gtin.as_gtin_14(), serial.value, made.date if made else None, lot.value if lot else None)


def gtin14(text: str) -> str:
    """A GTIN of 8, 12, 13 or 14 digits as 14 digits.

    Raises:
        BadProductCode: other characters or lengths, or a wrong check digit.
    """
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) not in (8, 12, 13, 14):
        raise BadProductCode(f"GTIN {text[:40]!r}: expected 8, 12, 13 or 14 digits")
    padded = digits.zfill(14)
    if check_digit(padded[:13]) != padded[13]:
        raise BadProductCode(f"GTIN {digits}: its check digit should be {check_digit(padded[:13])}")
    return padded


def check_digit(payload: str) -> str:
    """The check digit after 13 digits. Source: GS1 General Specifications 7.9, weights 3 and 1 from the left."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(payload))
    return str(-total % 10)


def _elements(text: str) -> GS1ElementStrings:
    if "://" in text:
        return GS1DigitalLinkURI.parse(text).element_strings
    if text.startswith("("):
        return GS1Message.parse_hri(text).element_strings
    return GS1Message.parse(text.removeprefix("]d2").removeprefix("]C1").removeprefix("]Q3")).element_strings


def _one(elements: GS1ElementStrings, identifier: str, text: str) -> GS1ElementString | None:
    found = [element for element in elements if element.ai.ai == identifier]
    if len({element.value for element in found}) > 1:
        raise BadProductCode(f"{_shown(text)} gives AI {identifier} twice, differently")
    return found[0] if found else None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
