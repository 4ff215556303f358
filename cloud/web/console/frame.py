"""What every page stands in: the rail, the clock, the banner that tells which time is shown; and following live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from nicegui import background_tasks, ui
from nicegui.element import Element

from cloud.web.board import Picture
from cloud.web.console.language import LANGUAGE_COOKIE, NAMES, SCHEME_COOKIE
from cloud.web.console.parts import box, text
from cloud.web.console.words import N_, _, duration, language
from cloud.web.context import WebContext

HEAD = (
    '<link rel="stylesheet" href="/assets/console.css"><script src="/assets/console.js"></script>'
    '<link rel="icon" href="/assets/mark.svg" type="image/svg+xml">'
)
STROKE = 'fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"'
ICONS = {
    "live": '<path d="M3 12h4l2.5-7 4 14 2.5-7h5"/>',
    "queue": '<path d="M9 6h11M9 12h11M9 18h11"/><path d="M4 6h.01M4 12h.01M4 18h.01" stroke-width="3"/>',
    "devices": '<rect x="5" y="3" width="14" height="18" rx="2.5"/><circle cx="12" cy="13.5" r="4"/>'
    '<path d="M8.5 6.5h2"/>',
    "day": '<rect x="4" y="5" width="16" height="16" rx="2.5"/>'
    '<path d="M4 10h16M8 3v4M16 3v4M8.5 15.5l2.2 2.2 4.8-4.8"/>',
    "fleet": '<path d="M4 20V11M10 20V4M16 20v-6M21 20H3"/>',
    "trust": '<path d="M12 3l7.5 3v5.5c0 4.5-3.2 7.8-7.5 9.5-4.3-1.7-7.5-5-7.5-9.5V6z"/>'
    '<path d="M8.8 12l2.3 2.3 4.2-4.4"/>',
    "more": '<path d="M5 12h.01M12 12h.01M19 12h.01" stroke-width="3.2"/>',
}
PLACES = (
    ("live", "/", N_("Live")),
    ("queue", "/queue", N_("Queue")),
    ("day", "/my-day", N_("My day")),
    ("devices", "/devices", N_("Devices")),
    ("fleet", "/fleet", N_("Fleet")),
    ("trust", "/trust", N_("Trust")),
)
LATE = ("fleet", "trust")  # on a phone these are behind "More"
FAR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Visit:
    """One page view: the running program, and who looks."""

    context: WebContext
    operator: str
    signed_in: bool
    scheme: str = "auto"


class Frame:
    """The parts around a page that change with the picture."""

    def __init__(self, visit: Visit, place: str, picture: Picture) -> None:
        self.visit = visit
        self._banner_text = ""
        with box("fc-frame"):
            self._rail(place)
            with box():
                self.banner = box("fc-banner").props('role="status"')
                self.main = box("fc-main", "main").props("id=main")
        self.clock: Element | None = None
        self.show(picture)

    def _rail(self, place: str) -> None:
        with box("fc-rail", "header"):
            ui.html('<a class="fc-skip" href="#main">' + _("Skip to content") + "</a>", sanitize=False)
            with box("fc-brand", "a").props('href="/"'):
                ui.html(f'<svg viewBox="0 0 24 24" aria-hidden="true" {STROKE}>{ICONS["live"]}</svg>', sanitize=False)
                text("firstcall")
            with box("fc-nav", "nav").props(f'aria-label="{_("Screens")}"'):
                for name, target, label in PLACES:
                    self._place(name, target, _(label), current=name == place)
                ui.html(more(place, self.visit), sanitize=False).classes("fc-menu")
            self._who()

    def _place(self, name: str, target: str, label: str, *, current: bool) -> None:
        link = box("late" if name in LATE else "", "a").props(f'href="{target}"')
        if current:
            link.props('aria-current="page"')
        with link:
            ui.html(icon(name), sanitize=False)
            text(label)
            if name == "queue":
                self.open_tickets = text("", "count")

    def _who(self) -> None:
        with box("fc-who"):
            with box():
                text(_("Working as") + " ")
                text(self.visit.operator, tag="b")
            ui.html(preferences(self.visit), sanitize=False)

    def head(self, title: str, sub: str = "") -> Element:
        """The page's title, and the clock."""
        with box("fc-head"):
            with box("titles") as titles:
                text(title, "fc", "h1")
                if sub:
                    text(sub, "fc-sub", "div")
            self.clock = Element("fc-clock")
        self._set_clock(self.visit.context.board.picture)
        return titles

    def show(self, picture: Picture) -> None:
        """Bring rail, clock and banner up to this picture."""
        count = sum(picture.ticket_counts.get(s, 0) for s in ("proposed", "confirmed", "contacted", "scheduled"))
        _say(self.open_tickets, str(count) if count else "")
        self._set_clock(picture)
        words, warns = banner_words(picture, self.visit.context.settings.lag_limit_s)
        if words != self._banner_text:
            self._banner_text = words
            self.banner.clear()
            with self.banner:
                text(words)
        self.banner.classes(add="warn" if warns else None, remove=None if warns else "warn")
        self.banner.set_visibility(bool(words))

    def _set_clock(self, picture: Picture) -> None:
        if self.clock is None:
            return
        event = picture.clocks.reads == "event"
        self.clock._props["label"] = _("event time") if event else _("your time")
        self.clock._props["now"] = picture.clocks.desk_at.isoformat()
        self.clock.update()


def icon(name: str) -> str:
    return f'<svg viewBox="0 0 24 24" aria-hidden="true" {STROKE}>{ICONS[name]}</svg>'


def more(place: str, visit: Visit) -> str:
    """On a phone: the places that have no tab of their own, and what can be chosen."""
    links = "".join(
        f'<a href="{target}"{" aria-current=page" if name == place else ""}>{icon(name)}<span>{_(label)}</span></a>'
        for name, target, label in PLACES
        if name in LATE
    )
    current = " here" if place in LATE else ""
    return (
        f'<details><summary class="tab{current}">{icon("more")}<span>{_("More")}</span></summary>'
        f'<div class="sheet">{links}{preferences(visit)}</div></details>'
    )


def preferences(visit: Visit) -> str:
    """Language and light, kept in this browser; and signing out."""
    languages = "".join(
        f'<button type="button" class="fc-choice" data-cookie="{LANGUAGE_COOKIE}={name}" lang="{name}"'
        f' aria-pressed="{str(name == language()).lower()}">{said}</button>'
        for name, said in NAMES.items()
    )
    schemes = "".join(
        f'<button type="button" class="fc-choice" data-cookie="{SCHEME_COOKIE}={name}"'
        f' aria-pressed="{str(name == visit.scheme).lower()}">{said}</button>'
        for name, said in (("light", _("Light")), ("dark", _("Dark")), ("auto", _("Auto")))
    )
    out = f'<form method="post" action="/sign-out"><button class="fc-plain">{_("Sign out")}</button></form>'
    return (
        f'<div class="fc-choices" role="group" aria-label="{_("Language")}">{languages}</div>'
        f'<div class="fc-choices" role="group" aria-label="{_("Light or dark")}">{schemes}</div>'
        f"{out if visit.signed_in else ''}"
    )


def banner_words(picture: Picture, lag_limit_s: float) -> tuple[str, bool]:
    """What has to be said about time and freshness, and whether it is a warning."""
    clocks, health = picture.clocks, picture.health
    if clocks.reads == "event":
        return _(
            "Simulated or replayed time: the clock shows the newest event, and every age is counted from it."
        ), False
    if health.newest_event_at and health.newest_event_at - clocks.wall_at > FAR:
        ahead = duration((health.newest_event_at - clocks.wall_at).total_seconds())
        return _("The newest reading is dated {ahead} ahead of now. Ages are counted from now.").format(
            ahead=ahead
        ), False
    lag = health.lag_s(clocks.wall_at)
    if lag is not None and lag > lag_limit_s:
        return _("Nothing was stored for {lag}. What you see may be old: look at Ingest.").format(
            lag=duration(lag)
        ), True
    return "", False


def _say(element: Element, words: str) -> None:
    if element._text != words:
        element._text = words
        element.update()


@asynccontextmanager
async def framed(visit: Visit, place: str, title: str) -> AsyncIterator[Frame]:
    """A page in its frame; what is made within the block stands in the page's main part."""
    ui.add_head_html(HEAD)
    ui.page_title(f"{title} · firstcall")
    frame = Frame(visit, place, await visit.context.board.current())
    with frame.main:
        yield frame


def follow(frame: Frame, show: Callable[[Picture], object]) -> None:
    """From now until the page is left, give each new picture to the frame and to `show`; `show` may be async."""
    context, client = frame.visit.context, ui.context.client

    async def watch() -> None:
        async with context.board.look() as viewer:
            while not context.ending.is_set():
                picture = await viewer.next()
                if picture is None:
                    continue
                with frame.main:
                    frame.show(picture)
                    outcome = show(picture)
                    if asyncio.iscoroutine(outcome):
                        await outcome

    task = background_tasks.create(watch(), name="follow the board")
    client.on_delete(task.cancel)
