"""One step for many tickets of the queue: each is taken by itself, and what was refused is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from cloud.web import steps
from cloud.web.console.dialogs import end, form
from cloud.web.console.frame import Visit
from cloud.web.console.parts import List, box, text
from cloud.web.console.words import _
from cloud.web.problems import Problem
from cloud.web.reads.tickets import Ticket
from cloud.web.steps import Actor

Take = Callable[[Ticket], Awaitable[None]]


class Bulk:
    """The bar that appears when tickets are selected."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.listing: List | None = None
        self.known: dict[int, Ticket] = {}
        self._chosen: list[int] = []
        with box("fc-bulk").props('role="group"') as self.bar:
            self.count = text("", "main")
            for words, act in (
                (_("Confirm"), self._confirm),
                (_("Contacted"), self._contacted),
                (_("Dismiss …"), self._dismiss),
            ):
                ui.button(words, on_click=act, color=None).props("unelevated no-caps dense").classes("fc-also")
            ui.button(_("Clear"), on_click=self._clear, color=None).props("flat no-caps dense").classes("fc-plain")
        self.bar.set_visibility(False)

    def choose(self, numbers: list[int]) -> None:
        """These tickets are selected now."""
        self._chosen = numbers
        self.count._text = _("{n} selected").format(n=len(numbers))
        self.count.update()
        self.bar.set_visibility(bool(numbers))

    def _clear(self) -> None:
        if self.listing is not None:
            self.listing.run_method("clear")

    async def _confirm(self) -> None:
        await self._each(lambda t: steps.move(self.visit.context.pool, t.ticket_no, "confirmed", self._actor(t)))

    async def _contacted(self) -> None:
        await self._each(lambda t: steps.move(self.visit.context.pool, t.ticket_no, "contacted", self._actor(t)))

    async def _dismiss(self) -> None:
        dialog, card = form(_("Dismiss {n} tickets").format(n=len(self._chosen)))
        with card:
            reason = ui.input(_("Why?")).props("outlined autofocus")

            async def act() -> None:
                words = str(reason.value or "")
                if not words.strip():
                    raise Problem(422, "invalid", _("Say why there is nothing to do."))
                await self._each(lambda t: steps.dismiss(self.visit.context.pool, t.ticket_no, words, self._actor(t)))

            end(dialog, _("Dismiss"), act)

    def _actor(self, ticket: Ticket) -> Actor:
        return Actor(self.visit.operator, ticket.version)

    async def _each(self, take: Take) -> None:
        done, refused = 0, list[str]()
        for number in self._chosen:
            ticket = self.known.get(number)
            if ticket is None:
                continue
            try:
                await take(ticket)
                done += 1
            except Problem as problem:
                refused.append(problem.detail)
        if done:
            ui.notify(_("{n} done").format(n=done), type="positive")
        for detail in refused[:3]:
            ui.notify(detail, type="negative", multi_line=True)
        if len(refused) > 3:
            ui.notify(_("and {n} more refused").format(n=len(refused) - 3), type="negative")
        self._clear()
