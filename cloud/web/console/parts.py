"""Small pieces of pages: plain elements with classes, the list, times, severities."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from nicegui import ui
from nicegui.element import Element

from cloud.web.console.words import SEVERITY, _

Cell = dict[str, Any]
Row = dict[str, Any]
Column = dict[str, str]


def box(css: str = "", tag: str = "div") -> Element:
    """An element to put others into."""
    return ui.element(tag).classes(css)


def text(words: str, css: str = "", tag: str = "span") -> Element:
    """An element that says something."""
    element = ui.element(tag).classes(css)
    element._text = words
    return element


class FaultTime(Element):
    """A moment in the reader's own zone, with how long ago."""

    def __init__(self, at: datetime, *, inline: bool = False) -> None:
        super().__init__("fc-time")
        self._props["at"] = at.isoformat()
        if inline:
            self._props["inline"] = True


class List(Element, component="fc_table.js"):
    """A list whose rows can change in place; on a phone each row is a card.

    Column labels and the words of `empty` are sentences of the catalogue. Keys: j and k move, Enter opens, x selects.
    Events: `act` with a row's key when its button is pressed; `select` with the keys that are selected.
    """

    def __init__(
        self, label: str, columns: Sequence[Column], empty: dict[str, str], *, selectable: bool = False
    ) -> None:
        super().__init__()
        self._props["label"] = label
        self._props["columns"] = [column | {"label": _(column["label"])} for column in columns]
        self._props["rows"] = []
        self._props["empty"] = {key: words if key == "href" else _(words) for key, words in empty.items()}
        self._props["selectable"] = selectable
        self._props["chooses"] = _("Select")

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; nothing is sent when they are the same."""
        if rows != self._props["rows"]:
            self._props["rows"] = list(rows)
            self.update()


def severity(level: str | None, *, big: bool = False) -> None:
    """A severity by colour, shape and word."""
    name = level or "unknown"
    with box(f"sev {'big ' if big else ''}{name}", "span"):
        box(tag="i").props('aria-hidden="true"')
        text(SEVERITY[name])


def severity_cell(level: str | None) -> Cell:
    """The same in a list."""
    name = level or "unknown"
    return {"kind": "severity", "value": name, "label": SEVERITY[name]}


def time_cell(at: datetime | None) -> Cell:
    """A moment in a list."""
    return {"kind": "time", "at": at.isoformat()} if at else {"text": "–", "css": "quiet"}


def facts(pairs: Sequence[tuple[str, str | datetime | None]]) -> None:
    """Terms and what they are here; those that are None are left out."""
    with box("fc-facts", "dl"):
        for term, value in pairs:
            if value is None or value == "":
                continue
            text(term, tag="dt")
            with box(tag="dd"):
                if isinstance(value, datetime):
                    FaultTime(value, inline=True)
                else:
                    text(value)


def banded(share: float, low: float, high: float, words: str, under: str = "") -> Cell:
    """A figure in a list with its interval drawn as a bar; all as shares of the longest bar, 0..1."""
    place, start, end = (round(min(max(x, 0.0), 1.0) * 100, 1) for x in (share, low, high))
    return {"kind": "band", "text": words, "under": under, "place": place, "start": start, "width": end - start}


def card_title(words: str, note: str = "") -> None:
    """The heading of a card."""
    with box("fc", "h2"):
        text(words)
        if note:
            text(note, "note")
