"""Small pieces of pages: plain elements with classes, the list, times, severities."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from nicegui import ui
from nicegui.element import Element

from cloud.web.console.words import SEVERITY

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
    """A list whose rows can change in place; on a phone each row is a card."""

    def __init__(self, label: str, columns: Sequence[Column], empty: dict[str, str]) -> None:
        super().__init__()
        self._props["label"] = label
        self._props["columns"] = list(columns)
        self._props["rows"] = []
        self._props["empty"] = empty

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


def card_title(words: str, note: str = "") -> None:
    """The heading of a card."""
    with box("fc", "h2"):
        text(words)
        if note:
            text(note, "note")
