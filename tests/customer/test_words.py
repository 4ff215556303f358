"""Every sentence of the pages is in every catalogue, and none is left over; the looks keep contrast."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

import cloud.web.customer
from cloud.locale.catalogues import languages
from cloud.web.customer.language import preferred, words_of

HERE = Path(cloud.web.customer.__file__).parent
SHARED = {"{day}, {start}–{end}"}  # said by Words.window


def sentences() -> set[str]:
    """What the templates say by `_`, and the programs by `say` and in refusals."""
    found = set(SHARED)
    for page in HERE.glob("templates/*.html"):
        tree = Environment(autoescape=True).parse(page.read_text())
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "_":
                assert isinstance(call.args[0], nodes.Const), f"{page.name}: {call.args[0]}"
                found.add(call.args[0].value)
    for module in HERE.glob("*.py"):
        found.update(_said(ast.parse(module.read_text())))
    return found


def _said(tree: ast.AST) -> Iterator[str]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in ("say", "Refusal", "_refused"):
                yield from (a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


@pytest.mark.parametrize("language", languages())
def test_the_catalogue_is_complete_and_has_nothing_else(language: str) -> None:
    with files("cloud.locale").joinpath(language, "LC_MESSAGES", "customer.po").open("rb") as file:
        catalogue = {str(m.id): str(m.string) for m in read_po(file) if m.id}
    asked = sentences()
    assert len(asked) > 150
    assert asked - set(catalogue) == set()
    assert set(catalogue) - asked == set()
    for sentence, said in catalogue.items():
        assert said, sentence
        assert _places(said) == _places(sentence), sentence


def _places(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", languages())
def test_every_guide_is_in_every_language(language: str) -> None:
    guides = tomllib.loads((HERE / "guides.toml").read_text())
    assert "any" in guides
    for family, texts in guides.items():
        assert len(texts[language]) == len(texts["en"]) >= 3, family


@pytest.mark.parametrize(
    ("asked", "read"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-GB,zh;q=0.5", "en"), ("de, zh;q=0.3, en;q=0.2", "zh"), ("", "en"),
     ("zh;q=0, en;q=0.1", "en"), ("zh;q=x", "en"), ("*", "en"), ("fr", "en")],
)  # fmt: skip
def test_the_browsers_wish_is_followed(asked: str, read: str) -> None:
    assert preferred(asked) == read
    assert words_of(read).language == read


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_has_contrast_in_light_and_in_dark() -> None:
    light, dark = re.findall(r":root \{(.*?)\}", (HERE / "customer.css").read_text(), re.DOTALL)
    text = [("ink", "ground"), ("ink", "surface"), ("ink-2", "ground"), ("ink-2", "surface"), ("accent", "ground"),
            ("accent", "surface"), ("on-accent", "accent"), ("on-accent", "accent-press"), ("ink", "good-soft"),
            ("ink", "bad-soft"), ("good", "good-soft"), ("bad", "surface"), ("bad", "ground"), ("ink", "accent-soft"),
            ("accent", "accent-soft")]  # fmt: skip
    for theme in (light, dark):
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
        assert {p: round(contrast(colours[p[0]], colours[p[1]]), 2) for p in text
                if contrast(colours[p[0]], colours[p[1]]) < 4.5} == {}  # fmt: skip
        assert contrast(colours["line-strong"], colours["surface"]) >= 3, "the edge of a field"
