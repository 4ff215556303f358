"""The card that shows channels around a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nicegui import ui

from cloud.web.console import charts
from cloud.web.console.parts import box, card_title, text
from cloud.web.console.words import _, duration
from cloud.web.reads.series import Series


def channel_card(
    title: str,
    series: Series,
    evidence: Sequence[str],
    marks: Sequence[tuple[datetime, str]],
    most: int = charts.MOST_CHANNELS,
) -> None:
    """Charts of a device's channels; says what to do where there is nothing to draw."""
    chosen = charts.choose(series, evidence, most)
    with box("fc-card", "section"):
        left_out = len(series.channels) - len(chosen)
        note = _("each point is {step}").format(step=duration(series.step_s))
        card_title(title, note + (_(", {n} more channels").format(n=left_out) if left_out else ""))
        if not chosen:
            text(
                _("No readings in this span. Choose a longer one, or look whether the device reports at all."),
                "quiet",
                "p",
            )
            return
        ui.echart(charts.options(chosen, series, marks), renderer="svg").classes("fc-chart").style(
            f"height: {charts.height(len(chosen))}px"
        )
        _legend(any(c.usual for c in chosen), bool(marks))


def _legend(usual: bool, marked: bool) -> None:
    with box("fc-legend"):
        _key("line", _("mean"))
        _key("swing", _("lowest to highest"))
        if usual:
            _key("usual", _("where this device usually stays"))
        if marked:
            _key("mark", _("fault"))


def _key(css: str, words: str) -> None:
    with box(tag="span"):
        box(css, "i").props('aria-hidden="true"')
        text(words)
