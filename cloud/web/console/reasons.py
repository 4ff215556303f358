"""Why the detector believes something, in the reader's language. Pure: the reason as stored in, sentences out."""

from __future__ import annotations

from typing import Any

from cloud.web.console.words import _, in_language


def sentences(reason: dict[str, Any] | None) -> list[str]:
    """The reason in plain words; as the detector wrote it where its form is not known here."""
    reason = reason or {}
    said = [_channel(c) for c in reason.get("channels") or () if isinstance(c, dict) and "deviation" in c]
    if reason.get("codes"):
        said.append(_("fault codes lately: {codes}").format(codes=", ".join(map(str, reason["codes"]))))
    if reason.get("conjunction"):
        said.append(
            _("{signs}: confirmed {yes} times, not confirmed {no} times").format(
                signs=_(" together with ").join(str(c).replace("_", " ") for c in reason["conjunction"]),
                yes=reason.get("confirmed_before", 0),
                no=reason.get("refuted_before", 0),
            )
        )
    share, size = reason.get("cohort_share"), reason.get("cohort_size") or 0
    if share is not None and size > 1:
        said.append(
            _("further from normal than {share} of {n} alike").format(share=f"{100 * float(share):.0f} %", n=size)
        )
    written = reason.get("sentences")
    return said or ([str(s) for s in written] if isinstance(written, list) else [])


def _channel(channel: dict[str, Any]) -> str:
    deviation = float(channel["deviation"])
    words = (
        _("{channel} is {n} sigma above what is normal for this device")
        if deviation > 0
        else _("{channel} is {n} sigma below what is normal for this device")
    )
    return words.format(channel=str(channel.get("channel", "")).replace("_", " "), n=f"{abs(deviation):.1f}")


def verdict_sentences(reasons: list[dict[str, Any]]) -> list[str]:
    """What each test of the confirmation rule saw."""
    found = []
    for reason in reasons:
        seen = reason.get("seen") or reason.get("sentence") or reason.get("words")
        if isinstance(seen, dict):
            found.append(in_language(seen))
        elif reason.get("en"):
            found.append(in_language(reason))
    return found
