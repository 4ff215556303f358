"""Fleet: fault rates by family, model, lot, firmware and region, what is rising, and what was found defective."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import get_args
from urllib.parse import urlencode

from cloud.web.console.fleet_map import map_card
from cloud.web.console.frame import Visit, follow, framed
from cloud.web.console.live import chips
from cloud.web.console.parts import Cell, List, Row, banded, box, severity_cell, text, time_cell
from cloud.web.console.trust import counted_at
from cloud.web.console.words import N_, _, figure, in_language, problem_name
from cloud.web.reads import fleet
from cloud.web.reads.estimates import share
from cloud.web.reads.fleet import By, Defective, Member, ProblemCount

BY: dict[str, str] = {
    "family": N_("Family"),
    "model": N_("Model"),
    "lot": N_("Lot"),
    "firmware": N_("Firmware"),
    "region": N_("Region"),
}
SPANS = {"7": N_("7 days"), "28": N_("28 days"), "90": N_("90 days")}
SPAN = "28"
ROWS = 60
COLUMNS = [
    {"key": "member", "label": N_("Appliances"), "css": "wide"},
    {"key": "devices", "label": N_("Devices"), "css": "right told"},
    {"key": "rate", "label": N_("Faults per 100 appliance-years"), "css": "full stretch"},
    {"key": "before", "label": N_("Span before"), "css": "right hush"},
    {"key": "affected", "label": N_("Devices affected"), "css": "right hush"},
    {"key": "trend", "label": N_("Trend"), "css": "aside"},
]
EMPTY = {
    "title": N_("No appliances"),
    "text": N_("An appliance counts here once it is fitted into a product. "),
    "href": "/devices",
    "action": N_("All devices"),
}
PROBLEM_COLUMNS = [
    {"key": "severity", "label": N_("Severity"), "css": "lead"},
    {"key": "problem", "label": N_("Fault"), "css": "wide"},
    {"key": "devices", "label": N_("Devices"), "css": "right aside"},
    {"key": "before", "label": N_("Span before"), "css": "right hush"},
]
NO_PROBLEMS = {"title": N_("No faults"), "text": N_("None in this span or the one before.")}
FOUND_COLUMNS = [
    {"key": "member", "label": N_("Found defective"), "css": "wide"},
    {"key": "rate", "label": N_("Share with this fault"), "css": "full stretch"},
    {"key": "rest", "label": N_("The rest"), "css": "right hush"},
    {"key": "state", "label": N_("State"), "css": ""},
    {"key": "at", "label": N_("Found"), "css": "aside"},
]
NONE_FOUND = {
    "title": N_("Nothing stands out"),
    "text": N_("The desk compares each lot, model and firmware with the rest, at a false-discovery rate of 5 %."),
}
KIND = {"lot": N_("lot"), "model": N_("model"), "firmware": N_("firmware")}
STATE = {"open": N_("open"), "faded": N_("faded"), "closed": N_("closed")}


def member_rows(found: list[Member]) -> list[Row]:
    """The table's rows; the bars share one scale, on which those with little time (and wide intervals) may overflow."""
    whole = sum(m.years for m in found)
    ends = [m.rate.high for m in found if m.rate and m.years * len(found) > whole / 5]
    scale = max(ends, default=1.0) or 1.0
    up = fleet.rising(found)
    return [_member_row(member, scale, place in up, place) for place, member in enumerate(found)]


def _member_row(member: Member, scale: float, up: bool, place: int) -> Row:
    now, before = member.rate, member.rate_before
    name = member.member or _("not known")
    rate: Cell = {"text": "–", "css": "quiet"}
    if now:
        words = _("{low} to {high}").format(low=_short(now.low), high=_short(now.high))
        rate = banded(now.value / scale, now.low / scale, now.high / scale, _short(now.value), words)
    trend: Cell = {"text": _("rising"), "css": "tag bad"} if up else {"text": "–", "css": "quiet nothing"}
    return {
        "key": f"{place}/{name}",
        "cells": {
            "member": {"text": name, "css": "main" if member.member else "quiet", "under": member.name or ""},
            "devices": {"text": figure(member.devices)},
            "rate": rate,
            "before": {"text": _short(before.value) if before else "–", "css": "quiet"},
            "affected": {"text": figure(member.affected), "under": _("faults: {n}").format(n=figure(member.faults))},
            "trend": trend,
        },
    }


def _short(value: float) -> str:
    return figure(value, 1 if 0 < value < 10 else 0)


def _problem_row(count: ProblemCount, target: str) -> Row:
    cell: Cell = {"text": problem_name(count.problem, count.meaning), "link": True}
    if count.problem != "anomaly":
        cell["code"] = count.problem
    return {
        "key": count.problem,
        "href": target,
        "cells": {
            "severity": severity_cell(count.severity),
            "problem": cell,
            "devices": {"text": figure(count.devices), "css": "main"},
            "before": {"text": figure(count.devices_before), "css": "quiet"},
        },
    }


def _found_row(found: Defective) -> Row:
    mine, rest = share(found.affected, found.devices), share(found.rest_affected, found.rest_devices)
    percent = f"{100 * mine.value:.1f} %" if mine else "–"
    words = _("{n} of {all} devices").format(n=figure(found.affected), all=figure(found.devices))
    scale = max(mine.high if mine else 1.0, 1e-9)
    return {
        "key": str(found.quality_finding_no),
        "cells": {
            "member": {
                "text": f"{_(KIND[found.kind])} {found.member}",
                "css": "main",
                "code": found.problem,
                "under": in_language(found.sentence),
            },
            "rate": banded(mine.value / scale, mine.low / scale, 1, percent, words) if mine else {"text": "–"},
            "rest": {"text": f"{100 * rest.value:.1f} %" if rest else "–", "css": "quiet"},
            "state": {"text": _(STATE[found.state]), "css": "tag bad" if found.state == "open" else "tag"},
            "at": time_cell(found.found_at),
        },
    }


@dataclass(frozen=True, slots=True)
class Chosen:
    """What of the fleet is shown: it lives in the URL. Empty: of every kind of fault, of every region."""

    by: By
    span: str
    problem: str = ""
    region: str = ""

    def at(self, **changed: str) -> str:
        """The address of this page with something changed."""
        asked = asdict(self) | changed
        return "/fleet?" + urlencode({name: value for name, value in asked.items() if value})


async def fleet_page(visit: Visit, by: str, span: str, problem: str, region: str) -> None:
    """Build the page. It is read anew when it is opened, not live: rates change by the day."""
    pool = visit.context.pool
    days = int(span) if span in SPANS else int(SPAN)
    by_region = (await fleet.members(pool, "region", days)).figures if region or by == "region" else []
    region = region if any(m.member == region for m in by_region) else ""
    kinds = (await fleet.problems(pool, days, region or None)).figures
    problem = problem if any(k.problem == problem for k in kinds) else ""
    chosen = Chosen(by if by in get_args(By) else "model", str(days), problem, region)  # type: ignore[arg-type]
    counted = await fleet.members(pool, chosen.by, days, problem or None, region or None)
    meaning = next((k.meaning for k in kinds if k.problem == problem), None)
    async with framed(visit, "fleet", _("Fleet")) as frame:
        frame.head(_("Fleet"), _("How often which appliances have faults, how sure that is, and what is rising"))
        _filters(chosen, problem_name(problem, meaning))
        with box("fc-stack"):
            if chosen.by == "region" and not region:
                map_card(counted.figures, await fleet.places(pool), lambda name: chosen.at(by="model", region=name))
            _rates(chosen, counted.figures)
            _defects(await fleet.defective(pool))
            _kinds(chosen, kinds)
        counted_at(counted.at)
        follow(frame, lambda picture: None)


def _filters(chosen: Chosen, problem: str) -> None:
    with box("fc-filters"):
        chips(chosen.by, {name: _(label) for name, label in BY.items()}, lambda value: chosen.at(by=value))
        chips(chosen.span, {name: _(label) for name, label in SPANS.items()}, lambda value: chosen.at(span=value))
    if chosen.problem:
        _only(_("Only this fault:"), problem, chosen.at(problem=""), _("Show all faults"))
    if chosen.region:
        _only(_("Only this region:"), chosen.region, chosen.at(region=""), _("Show all regions"))


def _only(words: str, name: str, target: str, every: str) -> None:
    with box("fc-line fc-only"):
        text(words, "quiet")
        text(name, "main")
        with box(tag="a") as link:
            link._props["href"] = target
            text(every)


def _rates(chosen: Chosen, found: list[Member]) -> None:
    rows = member_rows(found)
    if chosen.by == "region" and not chosen.region:
        for row, member in zip(rows, found, strict=True):
            if member.member:
                row["href"] = chosen.at(by="model", region=member.member)
                row["cells"]["member"]["link"] = True
    with box():
        listing = List(_("Fault rates"), [COLUMNS[0] | {"label": BY[chosen.by]}, *COLUMNS[1:]], EMPTY)
        listing.show(rows[:ROWS])
        _notes(len(rows))


def _defects(found: list[Defective]) -> None:
    with box():
        text(_("Lots, models and firmware found defective"), "fc fc-gap", "h2")
        List(_("Found defective"), FOUND_COLUMNS, NONE_FOUND).show([_found_row(d) for d in found])


def _kinds(chosen: Chosen, kinds: list[ProblemCount]) -> None:
    with box():
        text(_("Kinds of faults"), "fc fc-gap", "h2")
        listing = List(_("Kinds of faults"), PROBLEM_COLUMNS, NO_PROBLEMS)
        listing.show([_problem_row(k, chosen.at(problem=k.problem)) for k in kinds[:20]])


def _notes(rows: int) -> None:
    words = _(
        "The bar is the interval that holds the true rate with 95 % (Jeffreys). A fault that a device reports again "
        "counts once. Rising: more than in the span before, at a false-discovery rate of 5 %."
    )
    if rows > ROWS:
        words += " " + _("{n} more rows have fewer faults.").format(n=figure(rows - ROWS))
    text(words, "quiet fc-note", "p")
