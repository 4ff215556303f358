"""A report for people."""

from __future__ import annotations

from device_sim.transport.report import Delivery, Report


def table(report: Report) -> str:
    """The report as lines of text."""
    found = report.foresight
    lead = "-" if found.median_lead_h is None else f"{found.median_lead_h:.1f} h"
    monthly = found.false_tickets / found.device_months if found.device_months else 0.0
    lines = [
        *_delivery("frames", report.frames),
        *_delivery("fault messages", report.faults),
        "",
        f"faults in the ground truth      {found.faults:>8}",
        f"failures                        {found.failures:>8}",
        f"  with a ticket before          {found.failures_with_ticket_before:>8}",
        f"  at least 24 h before          {found.failures_with_ticket_a_day_before:>8}",
        f"  median lead time              {lead:>8}",
        f"noticed by their users          {found.noticed:>8}",
        f"  ticket before they noticed    {found.called_before_noticed:>8}",
        f"tickets                         {found.tickets:>8}",
        f"  without a fault behind them   {found.false_tickets:>8}   ({monthly:.3f} a device-month)",
    ]
    if found.by_kind:
        lines += ["", f"{'kind of fault':<40}{'faults':>8}{'ticket':>8}{'before':>8}"]
        lines += [
            f"{kind:<40}{count['faults']:>8}{count['tickets']:>8}{count['before']:>8}"
            for kind, count in sorted(found.by_kind.items())
        ]
    return "\n".join(lines)


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
