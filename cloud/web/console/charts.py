"""Charts of channels: mean, swing, usual range and the moment of the fault, one under the other on one time axis.

Pure: series in, ECharts options out. The colours are middle tones that hold on light and dark ground alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cloud.web.reads.series import ChannelSeries, Series

LINE, SWING, USUAL, MARK = "#2b8aa5", "rgba(43,138,165,0.28)", "rgba(67,160,110,0.16)", "#cc4a3e"
LABEL, GRID = "#7b8a88", "rgba(125,140,138,0.22)"
GRAPH_PX, GAP_PX, TOP_PX, BOTTOM_PX = 104, 42, 28, 68
ZOOM = {
    "type": "slider",
    "bottom": 8,
    "height": 18,
    "left": 52,
    "right": 16,
    "showDetail": False,
    "brushSelect": False,
    "borderColor": GRID,
    "fillerColor": "rgba(43,138,165,0.14)",
    "handleStyle": {"color": LINE, "borderColor": LINE},
    "moveHandleStyle": {"color": LINE, "opacity": 0.4},
    "dataBackground": {"lineStyle": {"color": GRID}, "areaStyle": {"color": GRID}},
    "selectedDataBackground": {"lineStyle": {"color": LINE}, "areaStyle": {"color": SWING}},
}
MOST_CHANNELS = 8
GAP_STEPS = 3  # a silence longer than so many buckets, and than a reading stands, is a gap and no line


def choose(series: Series, evidence: Sequence[str], most: int = MOST_CHANNELS) -> list[ChannelSeries]:
    """The channels worth drawing: those that carried the evidence first, then measurements, modes last."""
    order = {name: place for place, name in enumerate(evidence)}
    ranked = sorted(series.channels, key=lambda c: (order.get(c.channel, len(order)), c.role == "mode", c.channel))
    return ranked[:most]


def height(count: int) -> int:
    """Height in pixels of a chart of so many channels."""
    return TOP_PX + count * GRAPH_PX + max(0, count - 1) * GAP_PX + BOTTOM_PX


def options(channels: Sequence[ChannelSeries], series: Series, marks: Sequence[tuple[datetime, str]]) -> dict[str, Any]:
    """ECharts options: one graph a channel, linked in time, with `marks` as upright lines."""
    count = len(channels)
    span = {"min": _ms(series.since), "max": _ms(series.until)}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "Roboto, system-ui, sans-serif", "color": LABEL},
        "title": [_title(channel, place) for place, channel in enumerate(channels)],
        "grid": [{"left": 52, "right": 16, "top": _top(place), "height": GRAPH_PX} for place in range(count)],
        "xAxis": [_time_axis(place, place == count - 1, span) for place in range(count)],
        "yAxis": [_value_axis(channel, place) for place, channel in enumerate(channels)],
        "axisPointer": {"link": [{"xAxisIndex": "all"}], "lineStyle": {"color": LABEL}},
        "tooltip": {"trigger": "axis", "confine": True, "order": "seriesAsc"},
        "dataZoom": [
            {"type": "inside", "xAxisIndex": list(range(count)), "zoomOnMouseWheel": "ctrl"},
            {**ZOOM, "xAxisIndex": list(range(count))},
        ],
        "series": [part for place, channel in enumerate(channels) for part in _lines(channel, place, series, marks)],
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _top(place: int) -> int:
    return TOP_PX + place * (GRAPH_PX + GAP_PX)


def _title(channel: ChannelSeries, place: int) -> dict[str, Any]:
    unit = f"  {{unit|{channel.unit}}}" if channel.unit else ""
    style = {"fontSize": 13, "fontWeight": 600, "color": LABEL, "rich": {"unit": {"fontSize": 12, "color": LABEL}}}
    words = channel.channel.replace("_", " ")
    return {"text": f"{words}{unit}", "left": 8, "top": _top(place) - 24, "textStyle": style, "padding": 0}


def _time_axis(place: int, shown: bool, span: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "time",
        "gridIndex": place,
        **span,
        "axisLine": {"lineStyle": {"color": GRID}},
        "axisTick": {"show": False},
        "axisLabel": {"show": shown, "color": LABEL, "hideOverlap": True},
        "splitLine": {"show": False},
    }


def _value_axis(channel: ChannelSeries, place: int) -> dict[str, Any]:
    return {
        "type": "value",
        "gridIndex": place,
        "scale": True,
        "splitNumber": 2,
        "axisLabel": {"color": LABEL, "fontSize": 11, "hideOverlap": True},
        "splitLine": {"lineStyle": {"color": GRID}},
        "minInterval": 1 if channel.role == "mode" else 0,
    }


def _lines(
    channel: ChannelSeries, place: int, series: Series, marks: Sequence[tuple[datetime, str]]
) -> list[dict[str, Any]]:
    low: list[list[float | None]] = []
    swing: list[list[float | None]] = []
    mean: list[list[float | None]] = []
    before: datetime | None = None
    silence = max(GAP_STEPS * series.step_s, 2 * channel.hold_ms / 1000)
    for bucket in channel.buckets:
        at = _ms(bucket.at)
        if before and (bucket.at - before).total_seconds() > silence:
            for points in (low, swing, mean):
                points.append([at - 1, None])
        before = bucket.at
        low.append([at, _short(bucket.low)])
        swing.append([at, _short(bucket.high - bucket.low)])
        mean.append([at, _short(bucket.mean)])
    silent = {"type": "line", "xAxisIndex": place, "yAxisIndex": place, "symbol": "none", "tooltip": {"show": False}}
    hidden = silent | {"stack": f"swing {place}", "silent": True, "lineStyle": {"opacity": 0}, "stackStrategy": "all"}
    step = {"step": "end"} if channel.role == "mode" else {}
    return [
        hidden | step | {"data": low},
        hidden | step | {"data": swing, "areaStyle": {"color": SWING, "opacity": 1}},
        silent
        | step
        | {
            "name": f"{channel.channel.replace('_', ' ')}{f' ({channel.unit})' if channel.unit else ''}",
            "tooltip": {"show": True},
            "data": mean,
            "showSymbol": len(mean) < 3,
            "lineStyle": {"color": LINE, "width": 1.6},
            "itemStyle": {"color": LINE},
            "markLine": _marks(marks, named=place == 0),
            **_usual(channel),
        },
    ]


def _marks(marks: Sequence[tuple[datetime, str]], *, named: bool) -> dict[str, Any]:
    label = {"show": named, "formatter": "{b}", "color": MARK, "fontSize": 12, "distance": 3}
    return {
        "silent": True,
        "symbol": "none",
        "animation": False,
        "lineStyle": {"color": MARK, "type": "solid", "width": 1.5},
        "label": label,
        "data": [{"xAxis": _ms(at), "name": name} for at, name in marks],
    }


def _usual(channel: ChannelSeries) -> dict[str, Any]:
    if channel.usual is None or channel.role == "mode":
        return {}
    band = [{"yAxis": channel.usual.low}, {"yAxis": channel.usual.high}]
    return {"markArea": {"silent": True, "itemStyle": {"color": USUAL}, "data": [band], "animation": False}}


def _short(value: float) -> float:
    """Four significant digits: what a screen can show, at half the bytes."""
    return float(f"{value:.4g}") if abs(value) < 1e4 else round(value, 1)
