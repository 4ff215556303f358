"""A report for people."""

from __future__ import annotations

from device_sim.transport.report import Delivery, Foresight, Report


def table(report: Report) -> str:
    """The report as lines of text."""
    found = report.foresight
    columns = (found, report.predicted)
    lines = [
        *_delivery("frames", report.frames),
        *_delivery("fault messages", report.faults),
        "",
        f"{'':<32}{'all tickets':>14}{'predicted':>14}",
        _line("faults in the ground truth", [str(one.faults) for one in columns]),
        _line("failures", [str(one.failures) for one in columns]),
        _line("  with a ticket before", [str(one.failures_with_ticket_before) for one in columns]),
        _line("  at least 24 h before", [str(one.failures_with_ticket_a_day_before) for one in columns]),
        _line("  median lead time", [_hours(one.median_lead_h) for one in columns]),
        _line("noticed by their users", [str(one.noticed) for one in columns]),
        _line("  ticket before they noticed", [str(one.called_before_noticed) for one in columns]),
        _line("tickets", [str(one.tickets) for one in columns]),
        _line("  without a fault behind them", [str(one.false_tickets) for one in columns]),
        _line("  the same a device-month", [_monthly(one) for one in columns]),
    ]
    if found.by_kind:
        lines += ["", f"{'kind of fault':<40}{'faults':>8}{'ticket':>8}{'before':>8}"]
        lines += [
            f"{kind:<40}{count['faults']:>8}{count['tickets']:>8}{count['before']:>8}"
            for kind, count in sorted(found.by_kind.items())
        ]
    return "\n".join(lines)


def _line(name: str, values: list[str]) -> str:
    return f"{name:<32}" + "".join(f"{value:>14}" for value in values)


def _hours(lead: float | None) -> str:
    return "-" if lead is None else f"{lead:.1f} h"


def _monthly(found: Foresight) -> str:
    return f"{found.false_tickets / found.device_months:.3f}" if found.device_months else "-"


def _delivery(name: str, fate: Delivery) -> list[str]:
    lines = [
        f"{name + ' accepted by spools':<32}{fate.accepted:>8}",
        f"  committed                     {fate.committed:>8}",
        f"  lost                          {fate.lost:>8}",
    ]
    others = {
        "still in a spool": fate.waiting,
        "dropped by a full spool, told": fate.dropped,
        "among the dead letters": fate.dead,
        "stored twice": fate.twice,
        "stored, not in the ledger": fate.unaccounted,
    }
    return lines + [f"  {what:<30}{count:>8}" for what, count in others.items() if count]
