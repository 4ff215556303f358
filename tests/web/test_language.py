"""Every sentence of the console has a Chinese one with the same places to fill, and none is left over."""

from __future__ import annotations

import ast
import re
from importlib.resources import files
from pathlib import Path

from babel.messages.pofile import read_po

import cloud.web.console
from cloud.web.console import reasons
from cloud.web.console.language import speaking
from cloud.web.console.live import COLUMNS, fault_row
from cloud.web.console.parts import severity_cell
from cloud.web.console.words import STATE, _, duration, in_language
from tests.web.test_screens import _fault

FOLDER = Path(cloud.web.console.__file__).parent
PLACE = re.compile(r"\{[^}]*\}")


def _said() -> set[str]:
    """The sentences in the code and in the templates."""
    found: set[str] = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "N_"):
                argument = node.args[0]
                if isinstance(argument, ast.Constant):
                    found.add(str(argument.value))
    for path in (FOLDER / "templates").glob("*.html"):
        found |= set(re.findall(r'_\("([^"]+)"\)', path.read_text(encoding="utf-8")))
    return found - {""}


def test_the_chinese_catalogue_is_complete_and_no_more() -> None:
    source = files("cloud.locale").joinpath("zh", "LC_MESSAGES", "console.po")
    with source.open("rb") as file:
        catalogue = {str(m.id): str(m.string) for m in read_po(file, locale="zh") if m.id}
    said = _said()
    assert said - set(catalogue) == set(), "not translated"
    assert set(catalogue) - said == set(), "not said any more"
    for english, chinese in catalogue.items():
        assert chinese, f"{english!r} is empty"
        assert sorted(PLACE.findall(english)) == sorted(PLACE.findall(chinese)), english


def test_words_follow_the_language() -> None:
    assert STATE["proposed"] == "Proposed"
    with speaking("zh"):
        assert STATE["proposed"] == "待确认"
        assert _(COLUMNS[0]["label"]) == "严重程度"
        assert severity_cell("high")["label"] == "严重"
        assert duration(7200) == "2.0 小时"
        assert in_language({"en": "Water", "zh": "水"}) == "水"
        assert fault_row(_fault(missing=["user"]))["cells"]["next"]["under"] == "未绑定用户"
    with speaking("fr"):
        assert STATE["proposed"] == "Proposed"


def test_the_detectors_reason_is_told_in_either_language() -> None:
    reason = {"channels": [{"channel": "cabinet_temperature", "deviation": 6.2}], "codes": ["E1"],
              "cohort_share": 0.99, "cohort_size": 40, "sentences": ["as written"]}  # fmt: skip
    assert reasons.sentences(reason)[0] == "cabinet temperature is 6.2 sigma above what is normal for this device"
    with speaking("zh"):
        assert reasons.sentences(reason) == [
            "cabinet temperature 比该设备的正常值高 6.2 个标准差",
            "近期故障码：E1",
            "比 40 台同类中的 99 % 更偏离正常",
        ]
    assert reasons.sentences({"sentences": ["as written"]}) == ["as written"]
    assert reasons.sentences(None) == []
