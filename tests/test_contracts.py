"""What the project says of itself is true: imports, commands, settings, links, locks."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

import firstcall
from docs import write_settings

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
COMMAND = re.compile(r"(?:^[ $]*|`|/bin/)firstcall ([a-z][a-z-]*(?: [^`\n|]*)?)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")
HEAVY = ("river", "fastapi", "psycopg", "numpy", "nicegui", "nats")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def page_name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def test_a_gateway_needs_none_of_the_clouds_libraries() -> None:
    program = f"""
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import edge_agent, protocols
for package in (protocols, edge_agent):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
"""
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("package", HEAVY)
def test_the_gateways_lock_has_none_of_them_either(package: str) -> None:
    locked = re.findall(r"^([a-z0-9-]+)==", (REPOSITORY / "requirements/edge.lock").read_text(), re.MULTILINE)
    assert "aiomqtt" in locked
    assert not [name for name in locked if name == package or name.startswith(f"{package}-")]


@pytest.mark.parametrize("lock", sorted((REPOSITORY / "requirements").glob("*.lock")), ids=lambda lock: lock.name)
def test_locks_have_hashes_and_name_no_index(lock: Path) -> None:
    text = lock.read_text()
    pinned = [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", text) if "==" in entry.split("\n")[0]]
    assert pinned
    assert [entry for entry in pinned if "--hash=sha256:" not in entry] == []
    assert not re.search(r"--(extra-)?index-url|--find-links|https?://", text)


def declared(extra: str) -> set[str]:
    """The names that an extra asks for, itself included, extras of extras too."""
    names: set[str] = set()
    for wish in PROJECT["project"]["optional-dependencies"][extra] + PROJECT["project"]["dependencies"]:
        name = re.match(r"[A-Za-z0-9_.-]+", wish)
        assert name
        if name[0] == PROJECT["project"]["name"]:
            inner = re.search(r"\[(.*?)\]", wish)
            assert inner
            names.update(*(declared(part) for part in inner[1].split(",")))
        else:
            names.add(name[0].lower().replace("_", "-"))
    return names


@pytest.mark.parametrize("extra", ["edge", "cloud", "dev"])
def test_each_lock_covers_what_its_extra_asks_for(extra: str) -> None:
    text = (REPOSITORY / f"requirements/{extra}.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)(?:\[.*?\])?==", text, re.MULTILINE))
    assert declared(extra) - locked == set(), "run `make lock`"


@pytest.fixture(scope="session")
def command_tree() -> object:
    app = typer.Typer()
    firstcall._mount(app)
    return typer.main.get_command(app)


def mentioned_commands(page: Path) -> list[str]:
    return [match[1].strip() for match in COMMAND.finditer(page.read_text())] if page.exists() else []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_that_a_page_mentions_exists(page: Path, command_tree: object) -> None:
    for words in mentioned_commands(page):
        assert wrong_in(command_tree, words.split()) is None, (
            f"`firstcall {words}`: {wrong_in(command_tree, words.split())}"
        )


def wrong_in(command: object, words: list[str]) -> str | None:
    """What of these words after `firstcall` the command line does not know; None when it knows all."""
    words = [word for word in words if word != "…"]
    while words and hasattr(command, "commands"):
        known = command.commands
        if words[0].strip(".,:;") not in known:
            return f"no command {words[0]!r} among {', '.join(known)}"
        command = known[words[0].strip(".,:;")]
        words = words[1:]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}  # type: ignore[attr-defined]
    asked = [word.split("=")[0].strip(".,:;)") for word in words if word.startswith("--")]
    unknown = [option for option in asked if option not in options | {"--help"}]
    return f"no option {', '.join(unknown)}" if unknown else None


def test_the_readme_mentions_commands_at_all() -> None:
    assert len(mentioned_commands(REPOSITORY / "README.md")) >= 5


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    dead = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert not dead


def test_every_setting_says_what_it_means() -> None:
    keys = [key for settings in write_settings.settings_classes() for key in write_settings.environment_keys(settings)]
    keys += write_settings.gateway_keys()
    assert len(keys) > 20
    assert [name for name, field in keys if not field.description] == []


def test_the_page_of_settings_is_current() -> None:
    assert write_settings.PAGE.read_text() == write_settings.page(), "run `make docs`"


def test_settings_are_frozen_and_keep_their_secrets() -> None:
    for settings in write_settings.settings_classes():
        assert settings.model_config.get("frozen"), settings
        for name, field in settings.model_fields.items():
            if name != "public_url" and re.search(r"password$|secret$|token$|_url$|^url$", name):
                assert "SecretStr" in str(field.annotation), f"{settings.__name__}.{name} would show itself in a log"


def test_the_changelog_knows_this_version() -> None:
    assert f"## {PROJECT['project']['version']}" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_make_help_lists_every_target() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    outcome = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([a-z]+)", outcome.stdout, re.MULTILINE))
    assert targets == listed
    assert {"demo", "test", "bench", "evaluate", "lint", "lock", "clean", "help"} <= listed


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_make_target_that_a_page_mentions_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    mentioned = set(re.findall(r"(?:^|`|\$ )make ([a-z]+)\b", page.read_text(), re.MULTILINE))
    assert mentioned <= targets


def test_what_the_makefile_starts_exists(command_tree: object) -> None:
    text = (REPOSITORY / "Makefile").read_text()
    started = re.findall(r"\$\(BIN\)/firstcall (\w+)", text)
    assert {"demo"} <= set(started)
    assert [wrong_in(command_tree, [name]) for name in started] == [None] * len(started)
    for module in re.findall(r"\$\(BIN\)/python -m ([\w.]+)", text):
        assert importlib.util.find_spec(module), f"python -m {module}"
        package = importlib.util.find_spec(module).submodule_search_locations  # type: ignore[union-attr]
        assert package is None or importlib.util.find_spec(f"{module}.__main__"), f"python -m {module}"
