"""Which ffmpeg is taken, and what is said when none will do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mediabroker.errors import ConfigurationError, MissingDependencyError
from mediabroker.media.ffmpeg.binary import describe_ffmpeg, find_ffmpeg


def _fake(path: Path, version: str, encoders: str = "libx264 aac") -> Path:
    rows = "".join(f" V....D {name} made up\n" for name in encoders.split())
    path.write_text(f"#!/bin/sh\necho 'ffmpeg version {version} Copyright' >&2\nprintf '{rows}'\n")
    path.chmod(0o755)
    return path


def test_the_configured_one_wins_over_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = tmp_path / "bin"
    on_path.mkdir()
    system = _fake(on_path / "ffmpeg", "7.1")
    monkeypatch.setenv("PATH", f"{on_path}:/usr/bin:/bin")
    configured = _fake(tmp_path / "mine", "6.0")
    assert find_ffmpeg(configured) == configured
    assert find_ffmpeg() == system


def test_the_bundled_one_is_taken_when_the_path_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = describe_ffmpeg(find_ffmpeg())
    assert found.shortcoming() is None
    assert {"libx264", "libx265", "aac"} <= found.encoders


@pytest.mark.parametrize(("version", "encoders"), [("4.4.2-0ubuntu0", "libx264 aac"), ("7.0", "libopenh264 aac")])
def test_an_unfit_system_ffmpeg_is_passed_over_and_an_unfit_configured_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, encoders: str
) -> None:
    unfit = _fake(tmp_path / "ffmpeg", version, encoders)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_ffmpeg() != unfit
    with pytest.raises(ConfigurationError, match="will not do"):
        find_ffmpeg(unfit)


def test_a_configured_path_that_does_not_run_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigurationError, match=path.name):
            find_ffmpeg(path)


def test_without_any_the_error_names_the_command_that_installs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mediabroker\[local\]'"):
        find_ffmpeg()


@pytest.mark.parametrize(
    ("text", "version"), [("n9.0.2-17-g2a57", (9, 0)), ("5.1.9-0+deb12u1", (5, 1)), ("N-118000-gabc", (0, 0))]
)
def test_versions_are_read_from_every_style_of_banner(tmp_path: Path, text: str, version: tuple[int, int]) -> None:
    assert describe_ffmpeg(_fake(tmp_path / "ffmpeg", text)).version == version
