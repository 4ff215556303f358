"""The page at the door speaks the visitor's language, wholly."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po

from cloud.locale.catalogues import languages
from cloud.web.auth import door_page
from tests.access.people import account, sign_in


@pytest.mark.parametrize("language", languages())
def test_the_catalogue_is_complete_and_no_more(language: str) -> None:
    tree = ast.parse(Path(door_page.__file__).read_text(encoding="utf-8"))
    said = {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", "") == "N_"
        and isinstance(call.args[0], ast.Constant)
    }
    with files("cloud.locale").joinpath(language, "LC_MESSAGES", "sign_in.po").open("rb") as file:
        catalogue = {str(m.id): str(m.string) for m in read_po(file) if m.id}
    assert set(catalogue) == said
    assert all(catalogue.values())


async def test_it_speaks_what_was_chosen_else_what_the_browser_asks_for(
    start_api: Callable[..., Any], connection: Any
) -> None:
    client = await start_api(accounts=True)
    await account(connection, "lena", "engineer")
    for chosen, asked, language, title in (
        ("", "zh-CN,en;q=0.5", "zh", "登录"),
        ("", "fr", "en", "Sign in"),
        ("zh", "en", "zh", "登录"),
        ("en", "zh", "en", "Sign in"),
        ("xx", "zh", "zh", "登录"),
    ):
        cookie = {"Cookie": f"fc_language={chosen}"} if chosen else {}
        page = (await client.get("/sign-in", headers={"Accept-Language": asked, **cookie})).text
        assert f'<html lang="{language}">' in page
        assert f'<h1 class="fc">{title}</h1>' in page
    client.headers["Accept-Language"] = "zh-CN"
    refused = await sign_in(client, "lena", "not this one")
    assert refused.status_code == 401
    assert "用户名或密码不正确。" in refused.text
    shown = re.sub(r"<[^>]+>|firstcall", " ", refused.text.partition("<main")[2])
    assert not re.search(r"[A-Za-z]{3,} [a-z]{2,}", shown)
    assert (await sign_in(client, "lena")).status_code == 303
