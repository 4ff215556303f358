"""Devices: the list, and one device with its four codes, its channels and its faults."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cloud.web.board import Picture
from cloud.web.console.chart_card import channel_card
from cloud.web.console.customer_card import customer_card
from cloud.web.console.frame import Visit, follow, framed
from cloud.web.console.live import COLUMNS as FAULT_COLUMNS
from cloud.web.console.live import chips, fault_row
from cloud.web.console.parts import FaultTime, List, Row, box, card_title, facts, severity, text, time_cell
from cloud.web.console.words import BAND, N_, ORDER, OUTCOME, _, in_language, percent, problem_name
from cloud.web.reads import consumables, customers, devices, faults, predictions, series, service
from cloud.web.reads.consumables import Consumable
from cloud.web.reads.devices import Device, DeviceRow
from cloud.web.reads.faults import Fault, FaultFilter
from cloud.web.reads.predictions import DeviceHealth
from cloud.web.reads.service import DeviceVisit

COLUMNS = [
    {"key": "device", "label": N_("Device"), "css": "lead named"},
    {"key": "model", "label": N_("Appliance"), "css": "full"},
    {"key": "faults", "label": N_("Faults now"), "css": ""},
    {"key": "tickets", "label": N_("Open tickets"), "css": "right hush"},
    {"key": "user", "label": N_("User"), "css": "hush"},
    {"key": "seen", "label": N_("Last heard"), "css": "aside"},
]
EMPTY = {
    "title": N_("No devices"),
    "text": N_(
        "A device appears when its gateway says so for the first time, or when it is imported into the registry."
    ),
}
PAGE = 100
SPANS = {"6h": timedelta(hours=6), "": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
SPAN_WORDS = {"6h": N_("6 hours"), "": N_("1 day"), "7d": N_("7 days"), "30d": N_("30 days")}
POINTS = 360
ALL_CHANNELS = 40


def _device_row(row: DeviceRow) -> Row:
    return {
        "key": row.device,
        "href": f"/devices/{row.device}",
        "cells": {
            "device": {"text": row.device, "link": True},
            "model": {"text": row.model_name or _("Unknown product"), "css": "" if row.model_name else "quiet"},
            "faults": {
                "text": ", ".join(row.active_faults) or "–",
                "css": "tag code" if row.active_faults else "quiet nothing",
            },
            "tickets": {"text": str(row.open_tickets) if row.open_tickets else "–"},
            "user": {"text": row.user_id or "–", "css": "mono"},
            "seen": time_cell(row.last_seen_at),
        },
    }


async def devices_page(visit: Visit, beginning: str, show: str, after: str) -> None:
    """The list of devices, a page at a time."""
    faulty = True if show == "faulty" else None
    found = await devices.listed(
        visit.context.pool, PAGE + 1, after or None, beginning=beginning or None, faulty=faulty
    )
    async with framed(visit, "devices", _("Devices")) as frame:
        frame.head(_("Devices"))
        with box("fc-search", "form").props('role="search" action="/devices"'):
            field = box(tag="input").props(
                f'name="beginning" type="search" aria-label="{_("Device code begins with")}"'
            )
            field._props["placeholder"] = _("Device code begins with …")
            field._props["value"] = beginning
        chips(show, {"": _("All"), "faulty": _("With faults now")}, "/devices?show=")
        listing = List(
            _("Devices"),
            COLUMNS,
            EMPTY
            | (
                {"text": "", "title": _("None found"), "href": "/devices", "action": _("Show all")}
                if beginning or show
                else {}
            ),
        )
        listing.show([_device_row(row) for row in found[:PAGE]])
        if len(found) > PAGE:
            with box("fc-more"), box(tag="a") as more:
                more._props["href"] = f"/devices?show={show}&beginning={beginning}&after={found[PAGE - 1].device}"
                text(_("More devices"))
        follow(frame, lambda picture: None)


async def device_page(visit: Visit, code: str, span: str, case_no: int | None) -> bool:
    """One device; False when there is none of this code."""
    pool = visit.context.pool
    device = await devices.get(pool, code)
    if device is None:
        return False
    listed = await faults.listed(pool, FaultFilter(device=code), 50)
    chosen = next((f for f in listed if f.case_no == case_no), None)
    health = await predictions.health(pool, device.device_no)
    visited = await service.visits(pool, device.device_no)
    supplies = await _supplies(visit, device)
    owner = device.binding
    profile = await customers.profile(pool, owner.user_id) if owner else None
    since, until = _span(device, chosen, span if span in SPANS else "")
    shown = await series.read(pool, device.device_no, code, since=since, until=until, points=POINTS)
    async with framed(visit, "devices", code) as frame:
        fitting = device.fitting
        frame.head(code, fitting.model_name or "" if fitting else _("No product is known for this device"))
        with box("fc-stack"):
            _four_codes(device)
            with box():
                target = f"/devices/{code}?" + (f"fault={chosen.case_no}&" if chosen else "") + "span="
                chips(span if span in SPANS else "", SPAN_WORDS, target)
                marks = [(f.occurred_at, f.problem) for f in listed if since <= f.occurred_at < until][:12]
                title = _("Channels around the fault") if chosen else _("Channels")
                channel_card(title, shown, (), marks, most=ALL_CHANNELS)
            with box():
                text(_("Faults"), "fc fc-gap", "h2")
                listing = List(
                    _("Faults of this device"),
                    [c for c in FAULT_COLUMNS if c["key"] not in ("appliance", "priority")],
                    {"title": _("No faults so far"), "text": ""},
                )
                listing.show([fault_row(fault) for fault in listed])
            with box("fc-pair many"):
                if profile:
                    customer_card(visit, profile, f"device {code}")
                if supplies:
                    _consumables(supplies)
                _condition(device, health)
                _history(device)
                _visits(visited)

        async def draw(_picture: Picture) -> None:
            fresh = await faults.listed(pool, FaultFilter(device=code), 50)
            listing.show([fault_row(fault) for fault in fresh])

        follow(frame, draw)
    return True


def _span(device: Device, chosen: Fault | None, span: str) -> tuple[datetime, datetime]:
    length = SPANS[span]
    if chosen:
        return chosen.occurred_at - length * 0.75, chosen.occurred_at + length * 0.25
    end = (device.newest_sample_at or device.last_seen_at or device.first_seen_at) + length * 0.04
    return end - length, end


def _four_codes(device: Device) -> None:
    fitting, binding = device.fitting, device.binding
    active = [s for s in device.fault_states if s.active]
    with box("fc-card", "section").props(f'aria-label="{_("The four codes")}"'), box("fc-codes across"):
        with box():
            text(_("User"), "k", "div")
            text(binding.user_id if binding else _("nobody"), "v")
            text(_("contacts below, on demand") if binding else _("not bound to a user"), "d", "div")
        with box():
            text(_("Device"), "k", "div")
            text(device.device, "v")
            online = _("gateway online") if device.gateway_online else _("gateway offline")
            text(online if device.registered else _("not registered"), "d", "div")
        with box():
            text(_("Product"), "k", "div")
            text(f"{fitting.gtin} · {fitting.serial}" if fitting else _("unknown"), "v")
            text(", ".join(_product_words(device)), "d", "div")
        with box():
            text(_("Fault"), "k", "div")
            text(", ".join(s.code for s in active) or _("none now"), "v")
            for state in active[:3]:
                text(problem_name(state.code, state.meaning), "d", "div")
                severity(state.severity)


def _product_words(device: Device) -> list[str]:
    fitting = device.fitting
    if fitting is None:
        return [_("not fitted into a product")]
    made = _("made {date}").format(date=fitting.produced_on) if fitting.produced_on else ""
    lot = _("lot {lot}").format(lot=fitting.lot) if fitting.lot else ""
    return [
        w for w in (fitting.model_name or _("model unknown"), BAND.get(fitting.price_band or "", ""), made, lot) if w
    ]


def _history(device: Device) -> None:
    with box("fc-card", "section"):
        card_title(_("Owners and products"))
        if not device.bindings and not device.fittings:
            text(_("Nothing registered. Import it with `firstcall registry import`."), "quiet", "p")
        with box("fc-steps", "ul"):
            for binding in device.bindings:
                _held(_("user {code}").format(code=binding.user_id), binding.valid_from, binding.valid_until)
            for fitting in device.fittings:
                name = f"{fitting.model_name or fitting.gtin}, {fitting.serial}"
                _held(name, fitting.valid_from, fitting.valid_until)


def _held(name: str, since: datetime | None, until: datetime | None) -> None:
    with box(tag="li"):
        text(name, "", "div")
        with box("quiet"):
            if since:
                text(_("from") + " ")
                FaultTime(since, inline=True)
            if until:
                text(" " + _("until") + " ")
                FaultTime(until, inline=True)
            elif not since:
                text(_("always"))


def _visits(visited: Sequence[DeviceVisit]) -> None:
    with box("fc-card", "section"):
        card_title(_("Visits"))
        if not visited:
            text(_("Nobody was sent to this appliance yet."), "quiet", "p")
        with box("fc-steps", "ul"):
            for visit in visited:
                with box(tag="li"):
                    found = OUTCOME[visit.outcome] if visit.outcome else ORDER.get(visit.state, visit.state)
                    text(" · ".join(w for w in (found, visit.code or visit.problem, visit.part) if w), "main", "div")
                    with box("quiet"):
                        text((visit.engineer_name or _("nobody yet")) + " · ")
                        if visit.starts_at:
                            FaultTime(visit.starts_at, inline=True)
                        with box(tag="a").props(f'href="/tickets/{visit.ticket_no}"'):
                            text(" " + _("ticket {n}").format(n=visit.ticket_no))
                    if visit.note:
                        text(visit.note, "", "div")


async def _supplies(visit: Visit, device: Device) -> list[Consumable]:
    if device.fitting is None or device.newest_sample_at is None:
        return []
    until = device.newest_sample_at + timedelta(hours=1)
    return await consumables.read(visit.context.pool, device.device_no, device.fitting.model, until)


def _consumables(found: Sequence[Consumable]) -> None:
    with box("fc-card", "section"):
        card_title(_("Consumables"))
        with box("fc-supplies", "ul"):
            for one in found:
                with box(tag="li"):
                    with box("fc-line"):
                        text(in_language(one.name) or one.channel, "main")
                        text(_("{share} left").format(share=percent(one.left)))
                        text(lasts_words(one.days), "quiet")
                    with box("bar").props('aria-hidden="true"'):
                        box("low" if one.left < 0.15 else "", "i").style(f"width: {100 * one.left:.0f}%")


def lasts_words(days: float | None) -> str:
    """How long a consumable lasts, in words."""
    if days is None:
        return _("no use seen yet")
    if days > 365:
        return _("lasts more than a year")
    return _("used up") if days < 0.5 else _("lasts about {n} days").format(n=round(days))


def _condition(device: Device, health: DeviceHealth | None) -> None:
    with box("fc-card", "section"):
        card_title(_("Condition of its readings"))
        pairs: list[tuple[str, str | datetime | None]] = [
            (_("Newest reading"), device.newest_sample_at),
            (_("Last heard"), device.last_seen_at),
            (_("First heard"), device.first_seen_at),
            (_("Gateway"), device.gateway),
            (_("Firmware"), device.firmware),
        ]
        if health:
            verdict = _("can be judged") if health.judgeable else _("a fault could not be seen now")
            pairs += [
                (_("Complete"), percent(health.completeness)),
                (_("Detector"), _("silent") if health.silent else verdict),
                (_("Probability of a fault"), percent(health.probability)),
                (_("Judged"), health.judged_at),
            ]
        facts(pairs)
