"""The fleet's map: a bubble a region, as wide as it has devices, coloured by its rate of faults. No file from outside.

Equirectangular: degrees are drawn as they are, squeezed by the cosine of the middle latitude, over a net of degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import cos, radians, sqrt
from typing import Any

from nicegui import ui
from nicegui.events import EChartPointClickEventArguments

from cloud.web.console.charts import GRID, LABEL
from cloud.web.console.parts import box, card_title, text
from cloud.web.console.plots import FONT
from cloud.web.console.words import _, figure
from cloud.web.reads.fleet import Member, Place

ASPECT = 1.6  # width by height of the drawing, as in console.css
MARGIN = 1.6  # of the net around the outermost regions
LEAST_DEGREES = 0.4  # half the height of the net around a single place
WIDEST_PX, NARROWEST_PX = 40.0, 10.0
CALM_TO_BAD = ("#7fb0be", "#d9a441", "#cc4a3e")
Spot = tuple[Member, Place]


def located(found: Sequence[Member], places: Sequence[Place]) -> tuple[list[Spot], list[Member]]:
    """The regions that have a place, the largest first so that small ones lie above; and those that have none."""
    where = {place.region: place for place in places}
    spots = [(m, where[m.member]) for m in found if m.member in where]
    rest = [m for m in found if m.member not in where]
    return sorted(spots, key=lambda spot: -spot[0].devices), rest


def extent(places: Sequence[Place]) -> tuple[float, float, float, float]:
    """West, east, south, north of the net: around all places, in the drawing's proportions."""
    north, south = max(p.latitude for p in places), min(p.latitude for p in places)
    east, west = max(p.longitude for p in places), min(p.longitude for p in places)
    squeeze = max(cos(radians((north + south) / 2)), 0.1)
    half = max((north - south) / 2 * MARGIN, (east - west) / 2 * MARGIN * squeeze / ASPECT, LEAST_DEGREES)
    wide = half * ASPECT / squeeze
    middle_x, middle_y = (east + west) / 2, (north + south) / 2
    return middle_x - wide, middle_x + wide, middle_y - half, middle_y + half


def options(spots: Sequence[Spot]) -> dict[str, Any]:
    """ECharts options; the colours' scale ends at the highest rate there is."""
    west, east, south, north = extent([place for _member, place in spots])
    largest = max(m.devices for m, _place in spots)
    worst = max((m.rate.value for m, _place in spots if m.rate), default=0.0) or 1.0
    return {
        "animation": False,
        "textStyle": FONT,
        "grid": {"left": 8, "right": 8, "top": 8, "bottom": 58},
        "tooltip": {"trigger": "item", "confine": True},
        "xAxis": _degrees(west, east, inside=False),
        "yAxis": _degrees(south, north, inside=True),
        "visualMap": {
            "type": "continuous",
            "dimension": 2,
            "min": 0,
            "max": worst,
            "orient": "horizontal",
            "left": 8,
            "bottom": 2,
            "itemWidth": 10,
            "itemHeight": 120,
            "text": [figure(worst, 0 if worst >= 10 else 1), "0"],
            "textStyle": FONT,
            "inRange": {"color": list(CALM_TO_BAD)},
            "outOfRange": {"color": LABEL},
        },
        "series": [
            {
                "type": "scatter",
                "data": [_bubble(member, place, largest) for member, place in spots],
                "cursor": "pointer",
                "itemStyle": {"opacity": 0.88, "borderColor": LABEL, "borderWidth": 1},
                "label": {"show": True, "position": "bottom", "formatter": "{b}", "color": LABEL, "fontSize": 12},
                "labelLayout": {"hideOverlap": True},
            }
        ],
    }


def _bubble(member: Member, place: Place, largest: int) -> dict[str, Any]:
    size = max(NARROWEST_PX, WIDEST_PX * sqrt(member.devices / largest))
    return {
        "name": member.member,
        "value": [place.longitude, place.latitude, round(member.rate.value, 3) if member.rate else None],
        "symbolSize": round(size, 1),
        "tooltip": {"formatter": "<br>".join(escape(line) for line in told(member)).replace("{", "&#123;")},
    }


def told(member: Member) -> list[str]:
    """What a bubble says: the region, its devices, its rate and how sure that is."""
    lines = [member.member or _("not known"), _("devices: {n}").format(n=figure(member.devices))]
    rate = member.rate
    if rate is None:
        return [*lines, _("no rate: nobody has had an appliance for long enough")]
    span = _("{low} to {high}").format(low=figure(rate.low, 1), high=figure(rate.high, 1))
    lines.append(_("{rate} faults per 100 appliance-years").format(rate=figure(rate.value, 1)))
    return [*lines, _("with 95 %: {span}").format(span=span)]


def _degrees(low: float, high: float, *, inside: bool) -> dict[str, Any]:
    return {
        "type": "value",
        "min": low,
        "max": high,
        "splitNumber": 6,
        "axisLine": {"show": False},
        "axisTick": {"show": False},
        "axisLabel": {"inside": inside, "color": LABEL, "fontSize": 10, "formatter": "{value}°", "opacity": 0.8,
                      "showMinLabel": False, "showMaxLabel": False},
        "splitLine": {"lineStyle": {"color": GRID}},
    }  # fmt: skip


def map_card(found: Sequence[Member], places: Sequence[Place], target: Callable[[str], str]) -> None:
    """The map, and beside it the regions that are not on it; a bubble leads to `target` of its region."""
    spots, rest = located(found, places)
    with box("fc-card", "section"):
        card_title(_("Where they are"), _("size: devices; colour: faults per 100 appliance-years") if spots else "")
        with box("fc-where"):
            if spots:
                _draw(spots, target)
            else:
                words = _("No region has a place yet. Import one: a file regions.csv with region, latitude, longitude.")
                text(words, "quiet", "p")
            if rest:
                _unplaced(rest, target)


def _draw(spots: Sequence[Spot], target: Callable[[str], str]) -> None:
    def follow_bubble(event: EChartPointClickEventArguments) -> None:
        if any(member.member == event.name for member, _place in spots):
            ui.navigate.to(target(str(event.name)))

    words = _("Map of {n} regions; the table below says the same").format(n=len(spots))
    with box("fc-map").props('role="img"') as frame:
        frame._props["aria-label"] = words
        ui.echart(options(spots), on_point_click=follow_bubble, renderer="svg")


def _unplaced(rest: Sequence[Member], target: Callable[[str], str]) -> None:
    with box("fc-unplaced"):
        text(_("Not on the map"), "main", "h3")
        with box("fc-home", "ul"):
            for member in rest[:12]:
                with box(tag="li"):
                    if member.member:
                        with box(tag="a") as link:
                            link._props["href"] = target(member.member)
                            text(member.member)
                    else:
                        text(_("region not known"))
                    text(" · " + _("devices: {n}").format(n=figure(member.devices)), "quiet")
        if len(rest) > 12:
            text(_("and {n} more, in the table").format(n=figure(len(rest) - 12)), "quiet", "p")
