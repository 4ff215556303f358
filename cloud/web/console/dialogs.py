"""Short forms that ask for what a step needs, and say what was wrong with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from cloud.web.console.parts import box, text
from cloud.web.console.words import _
from cloud.web.problems import Problem

Act = Callable[[], Awaitable[None]]


def form(title: str) -> tuple[ui.dialog, ui.card]:
    """A dialog with a title; fill the card, then call `end`."""
    dialog = ui.dialog().props(f'aria-label="{title}"')
    with dialog, ui.card().classes("fc-dialog") as card:
        text(title, "fc", "h2")
    return dialog, card


def end(dialog: ui.dialog, words: str, act: Act) -> None:
    """The buttons of a form, within its card; opens it. A Problem is shown and the form stays."""
    wrong = text("", "fc-wrong", "div").props('role="alert"')

    async def send() -> None:
        try:
            await act()
        except Problem as problem:
            wrong._text = problem.detail
            wrong.update()
        else:
            dialog.close()

    with box("end"):
        ui.button(_("Cancel"), on_click=dialog.close, color=None).props("unelevated no-caps").classes("fc-also")
        ui.button(words, on_click=send, color=None).props("unelevated no-caps").classes("fc-do")
    dialog.on("hide", dialog.delete)
    dialog.open()
