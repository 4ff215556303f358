"""Trust: whether customers were called before they noticed, how long before, how often for nothing, and what of the
detector's probabilities came true."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nicegui import ui

from cloud.web.console import plots
from cloud.web.console.frame import Frame, Visit, follow, framed
from cloud.web.console.live import chips
from cloud.web.console.parts import FaultTime, box, card_title, facts, text
from cloud.web.console.words import N_, _, duration, figure
from cloud.web.reads import trust
from cloud.web.reads.estimates import Estimate
from cloud.web.reads.trust import Trust

SPANS = {"28": N_("28 days"), "90": N_("90 days"), "365": N_("1 year")}
SPAN = "90"
PLACES = {"/trust": N_("Calls and predictions"), "/ingest": N_("Ingest")}


def tabs(here: str) -> None:
    """What is trusted: the calls, and the readings that they rest on."""
    chips(here, dict(PLACES), lambda target: target)


async def trust_page(visit: Visit, span: str) -> None:
    """Build the page; read anew when it is opened."""
    days = span if span in SPANS else SPAN
    counted = await trust.read(visit.context.pool, int(days))
    found = counted.figures
    async with framed(visit, "trust", _("Trust")) as frame:
        frame.head(_("Trust"), _("Whether the service keeps its word: every figure with its interval of 95 %"))
        with box("fc-filters"):
            tabs("/trust")
            chips(days, dict(SPANS), lambda value: f"/trust?span={value}")
        _figures(found)
        with box("fc-stack"):
            with box("fc-pair"):
                _leads(found)
                _calibration(found)
            with box("fc-pair"):
                _backlog(found)
                _ingest(frame)
        counted_at(counted.at)
        follow(frame, lambda picture: None)


def counted_at(at: datetime) -> None:
    """When figures were counted."""
    with box("quiet fc-note", "p"):
        text(_("Counted") + " ")
        FaultTime(at, inline=True)


def _figures(found: Trust) -> None:
    called, needless = found.faults.rate, found.needless
    lead = found.median_lead_h
    error = found.calibration_error
    beyond = any(not lead.censored for lead in found.leads) or bool(found.leads)
    with box("fc-figures few"):
        _figure(
            _percent(called.value) if called else "–",
            _("called before they noticed"),
            _between(called, _percent) if called else _("no faults ended in this span"),
        )
        _figure(
            duration(lead * 3600) if lead is not None else (_("beyond what was seen") if beyond else "–"),
            _("median lead time"),
            _("from the call to the failure, or to the customer noticing"),
        )
        _figure(
            figure(needless.value, 1) if needless else "–",
            _("needless calls per 1,000 appliance-years"),
            _between(needless, lambda v: figure(v, 1)) if needless else _("no appliance has an owner yet"),
        )
        _figure(
            f"{error:.3f}" if error is not None else "–",
            _("calibration error"),
            _("mean distance of stated from found, 0 is best"),
        )


def _figure(number: str, label: str, note: str) -> None:
    with box("fc-figure"):
        text(number, "n" if len(number) < 12 else "n long")
        text(label, "t strong")
        text(note, "t")


def _between(estimate: Estimate, shown: Any) -> str:
    return _("{low} to {high}").format(low=shown(estimate.low), high=shown(estimate.high))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _leads(found: Trust) -> None:
    with box("fc-card", "section"):
        card_title(_("Lead time"), _("{n} faults").format(n=figure(sum(lead.faults for lead in found.leads))))
        if not found.leads:
            _nothing_yet(_("No fault that was called first has ended in this span."))
            return
        options = plots.lead_histogram(found.leads, _("failed or noticed"), _("repaired before"), _("at least"))
        ui.echart(options, renderer="svg").classes("fc-chart").style("height: 250px")
        text(
            _("Repaired before anybody noticed: the lead was at least that long; the median takes it into account."),
            "quiet fc-note",
            "p",
        )


def _calibration(found: Trust) -> None:
    with box("fc-card", "section"):
        findings = sum(t.findings for t in found.calibration)
        card_title(_("Stated against found"), _("{n} findings").format(n=figure(findings)))
        if not found.calibration:
            _nothing_yet(_("No prediction has a finding in this span. Findings come from visits and calls."))
            return
        options = plots.calibration(found.calibration, _("stated probability"), _("share confirmed"))
        ui.echart(options, renderer="svg").classes("fc-chart").style("height: 250px")
        text(
            _("On the line, what was said came true as often as it was said. Only tickets with a finding are counted."),
            "quiet fc-note",
            "p",
        )


def _backlog(found: Trust) -> None:
    backlog, faults = found.backlog, found.faults
    with box("fc-card", "section"):
        card_title(_("Labels"))
        facts(
            [
                (_("Findings awaited"), _("{n} tickets after the call").format(n=figure(backlog.awaited))),
                (_("The oldest since"), backlog.oldest_at),
                (_("Predictions"), figure(backlog.predictions)),
                (_("With a finding"), figure(backlog.labelled)),
                (_("Horizon over, nobody looked"), figure(backlog.overdue)),
                (_("Faults that no ticket foresaw"), figure(faults.unforeseen)),
                (_("Calls for nothing"), f"{figure(found.calls.needless)} / {figure(found.calls.calls)}"),
                (_("Appliance-years"), figure(found.years, 1)),
            ]
        )


def _ingest(frame: Frame) -> None:
    picture = frame.visit.context.board.picture
    health = picture.health
    lag = health.lag_s(picture.clocks.wall_at)
    with box("fc-card", "section"):
        card_title(_("Ingest"))
        facts(
            [
                (_("Since the last commit"), "–" if lag is None else duration(lag)),
                (_("Gateways online"), f"{figure(health.gateways_online)} / {figure(health.gateways)}"),
                (_("Messages lost"), figure(health.dropped)),
                (_("Dead letters waiting"), figure(sum(d.waiting for d in health.dead_letters))),
            ]
        )
        with box("fc-after"), box(tag="a").props('href="/ingest"'):
            text(_("Loss ledger, dead letters and programs"))


def _nothing_yet(words: str) -> None:
    text(words, "quiet", "p")
