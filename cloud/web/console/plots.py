"""Plots of the trust figures: lead times, stated against found. Pure: figures in, ECharts options out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloud.web.console.charts import GRID, LABEL, LINE
from cloud.web.reads.trust import Lead, Tenth

EDGES_H = (0, 1, 3, 6, 12, 24, 48, 96, 168, 336)  # of the histogram's bars, in hours; the last is open
FONT = {"fontFamily": "Roboto, system-ui, sans-serif", "color": LABEL}
SOFT = "#9cc7d3"


def binned(leads: Sequence[Lead], censored: bool) -> list[int]:
    """How many faults fall into each bar."""
    counts = [0] * len(EDGES_H)
    for lead in leads:
        if lead.censored == censored:
            counts[max(n for n, edge in enumerate(EDGES_H) if lead.hours >= edge)] += lead.faults
    return counts


def _edge(hours: int) -> str:
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"


def _axis(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "name": name,
        "nameLocation": "middle",
        "nameGap": 28,
        "nameTextStyle": {"color": LABEL, "fontSize": 12},
        "axisLine": {"lineStyle": {"color": GRID}},
        "axisTick": {"show": False},
        "axisLabel": {"color": LABEL, "fontSize": 11},
        "splitLine": {"lineStyle": {"color": GRID}},
        **more,
    }


def lead_histogram(leads: Sequence[Lead], ended: str, censored: str, at_least: str) -> dict[str, Any]:
    """Faults by lead time: those that ended by themselves, and stacked on them those that were repaired before."""
    bar = {"type": "bar", "stack": "lead", "barCategoryGap": "12%"}
    return {
        "animation": False,
        "textStyle": FONT,
        "grid": {"left": 40, "right": 12, "top": 34, "bottom": 44},
        "legend": {"top": 0, "left": 0, "textStyle": FONT, "itemGap": 24, "itemWidth": 14, "itemHeight": 10},
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": _axis("category", at_least, data=[_edge(h) for h in EDGES_H], splitLine={"show": False}),
        "yAxis": _axis("value", "", minInterval=1, nameGap=0),
        "series": [
            bar | {"name": ended, "data": binned(leads, False), "itemStyle": {"color": LINE}},
            bar | {"name": censored, "data": binned(leads, True), "itemStyle": {"color": SOFT}},
        ],
    }


def calibration(tenths: Sequence[Tenth], stated: str, found: str) -> dict[str, Any]:
    """Stated probability against the share that was confirmed, with intervals; the straight line is perfect."""
    points = [[round(t.stated, 4), round(t.came_true.value, 4)] for t in tenths]
    spans = [[[round(t.stated, 4), t.came_true.low], [round(t.stated, 4), t.came_true.high]] for t in tenths]
    quiet = {"type": "line", "symbol": "none", "silent": True, "tooltip": {"show": False}}
    whiskers = [quiet | {"data": span, "lineStyle": {"color": LINE, "width": 2, "opacity": 0.5}} for span in spans]
    perfect = quiet | {"data": [[0, 0], [1, 1]], "lineStyle": {"color": LABEL, "type": "dashed", "width": 1.2}}
    dots = {
        "type": "scatter",
        "data": points,
        "symbolSize": 9,
        "itemStyle": {"color": LINE},
    }
    return {
        "animation": False,
        "textStyle": FONT,
        "grid": {"left": 46, "right": 16, "top": 12, "bottom": 44},
        "tooltip": {"trigger": "item", "confine": True},
        "xAxis": _axis("value", stated, min=0, max=1),
        "yAxis": _axis("value", found, min=0, max=1, nameGap=32),
        "series": [perfect, *whiskers, dots],
    }
