"""The documentation is true: its examples run, its links lead somewhere, its tables are the ones in use."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import mediabroker
import mediabroker.cli
from mediabroker.cli.app import app, run
from mediabroker.config import load_settings
from mediabroker.registry import create_provider
from tests.clips import make_clip

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)[^)]*\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


def pages_with(language: str) -> list[Path]:
    # The generated reference shows commands by their arguments' names.
    return [page for page in PAGES if page.name != "commands.md" and blocks(page, language)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("docs") / "in.mp4", frames=6)


@pytest.fixture
def folder(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that holds `in.mp4`, as every example expects."""
    (tmp_path / "in.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", pages_with("python"), ids=name)
def test_python_examples_run(page: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in blocks(page, "python"):
        exec(compile(text, name(page), "exec"), {})
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", pages_with("console"), ids=name)
def test_console_examples_run(page: Path, folder: Path) -> None:
    lines = [line for text in blocks(page, "console") for line in text.splitlines()]
    for line in lines:
        prompt, program, *arguments = shlex.split(line)
        assert prompt == "$"
        if program == "mkdir":
            Path(*arguments).mkdir()
            continue
        assert program == "mediabroker"
        assert run(arguments) == 0, line


@pytest.mark.parametrize("page", pages_with("toml"), ids=name)
def test_configuration_examples_are_valid(page: Path, tmp_path: Path) -> None:
    for text in blocks(page, "toml"):
        path = tmp_path / "mediabroker.toml"
        path.write_text(re.sub(r"^# (\w+ = .*?) {2,}.*$", r"\1", text, flags=re.MULTILINE))
        providers = load_settings(path).providers
        declared = re.findall(r"^\[providers\.([\w-]+)", text, re.MULTILINE)
        assert not declared or list(providers) == list(dict.fromkeys(declared))
        for each, settings in providers.items():
            create_provider(each, settings.type, settings.own)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def test_exit_codes_are_documented_in_the_same_words() -> None:
    in_code = re.findall(r"^    (\d+) +(.+)$", mediabroker.cli.__doc__ or "", re.MULTILINE)
    on_page = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "docs/reference/output.md").read_text(), re.MULTILINE)
    assert on_page == in_code


def test_the_reference_lists_every_command_and_every_public_name() -> None:
    commands = (ROOT / "docs/reference/commands.md").read_text()
    for each in app.registered_commands:
        assert f"## `mediabroker {each.name}`" in commands
    python = (ROOT / "docs/reference/python.md").read_text() + (ROOT / "mediabroker/errors.py").read_text()
    assert [each for each in mediabroker.__all__ if each not in python] == []
