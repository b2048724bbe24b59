"""The comparison page and still: the same frames, the spots that differ, and nothing from outside."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from mediabroker.compare import compare
from mediabroker.compare.facts import Facts
from mediabroker.compare.moments import Moment, detail_of, find_moments
from mediabroker.errors import MediaError
from tests.clips import make_audio_only, make_clip, make_hdr10, make_odd, make_one_frame, make_rotated, make_vfr


def facts_of(source: Path, result: Path) -> Facts:
    return Facts.of(source, result, method="fast ×2", elapsed_s=2.0)


def moments_of(source: Path, result: Path) -> list[Moment]:
    return list(find_moments(source, result, facts_of(source, result)))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    source = make_clip(tmp_path / "<b>&source.mp4", width=96, height=64, frames=24)
    return source, make_clip(tmp_path / "result.mp4", width=192, height=128, frames=24)


def test_the_page_needs_nothing_from_outside_and_names_cannot_break_it(pair: tuple[Path, Path], tmp_path: Path) -> None:
    page, still = compare(*pair, page=tmp_path / "page.html", method="fast ×2", elapsed_s=2.0)
    text = page.read_text()
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "http" not in text
    assert "{{" not in text
    assert "<b>&source" not in text
    assert "&lt;b&gt;&amp;source.mp4" in text
    assert text.count("data:image/webp") > 8
    with Image.open(still) as picture:
        assert picture.width > picture.height > 400
    assert {path.suffix for path in tmp_path.iterdir()} == {".mp4", ".html", ".png"}


def test_a_link_beside_the_page_is_not_written_through(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "users").write_bytes(b"a user's own")
    for name in (".page.html.part", ".page.png.part"):
        (tmp_path / name).symlink_to("users")
    compare(*pair, page=tmp_path / "page.html", method="fast ×2")
    assert (tmp_path / "users").read_bytes() == b"a user's own"


def test_figures_are_measured_from_the_files(pair: tuple[Path, Path]) -> None:
    facts = facts_of(*pair)
    assert facts.headline == "96 × 64 → 192 × 128"
    assert [value for value, _ in facts.figures] == ["2×", "24", "2.0 s", "12.0"]
    assert ("Frames", "24", "24") in facts.rows


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path: Path) -> None:
    hidden = make_clip(tmp_path / "hidden.mp4", pts=range(-3, 12), time_base=Fraction(1, 25))
    plain = make_clip(tmp_path / "plain.mp4", frames=12)
    assert facts_of(hidden, plain).source_frames == 12


def test_both_sides_of_a_moment_are_the_same_frame(pair: tuple[Path, Path]) -> None:
    moments = moments_of(pair[0], pair[0])
    assert len(moments) == 4
    assert [moment.time_s for moment in moments] == sorted({moment.time_s for moment in moments})
    for moment in moments:
        assert moment.before.size == moment.after.size
        assert ImageChops.difference(moment.before, moment.after).getbbox() is None


def test_the_detail_lies_where_the_two_differ_most(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", width=400, height=300, frames=2)
    facts = facts_of(source, source)
    moment = find_moments(source, source, facts, count=1)[0]
    spot = (260, 180, 300, 210)
    moment.after.paste((255, 0, 255), spot)
    (left, top, right, bottom), strength = detail_of(moment.before, moment.after, [])
    assert left <= spot[0] < spot[2] <= right
    assert top <= spot[1] < spot[3] <= bottom
    assert strength > moment.strength
    assert detail_of(moment.before, moment.after, [(left, top, right, bottom)])[1] < strength


@pytest.mark.parametrize("make", [make_one_frame, make_odd, make_rotated, make_vfr, make_hdr10])
def test_awkward_videos_can_be_compared(make: Callable[..., Path], tmp_path: Path) -> None:
    source = make(tmp_path / "source.mp4")
    compare(source, source, page=tmp_path / "page.html", method="none")
    moments = moments_of(source, source)
    assert moments
    assert all(max(ImageStat.Stat(moment.after).stddev) > 1 for moment in moments)


def test_a_rotated_video_stands_upright(tmp_path: Path) -> None:
    source = make_rotated(tmp_path / "source.mp4", width=96, height=64)
    assert moments_of(source, source)[0].after.size == (64, 96)


def test_sound_alone_cannot_be_compared(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no video"):
        compare(pair[0], make_audio_only(tmp_path / "a.m4a"), page=tmp_path / "page.html", method="none")
    assert not (tmp_path / "page.html").exists()


def test_the_package_alone_loads_no_picture_library() -> None:
    code = "import sys, mediabroker.compare, mediabroker.cli.app; print({'av', 'PIL', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()"
