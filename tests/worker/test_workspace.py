"""Records and files of the job's folder: whole at every step, and on the disk before they get their names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neuron_worker.runtimes import artefacts
from neuron_worker.video.plan import Source
from neuron_worker.workspace import durable_rename, read_record, write_record
from tests.watching import half_done, unflushable

_OLD, _NEW = Source(size_bytes=1, sha256="a" * 64), Source(size_bytes=2, sha256="b" * 64)


def test_a_finished_file_is_renamed_in_one_step(tmp_path: Path) -> None:
    partial, final = tmp_path / "slice.part", tmp_path / "slice.mp4"
    partial.write_bytes(b"new")
    final.write_bytes(b"old")
    identity = partial.stat().st_ino
    assert half_done(final, lambda: durable_rename(partial, final)) == []
    assert (final.read_bytes(), final.stat().st_ino) == (b"new", identity)
    assert not partial.exists()


def test_a_finished_file_that_cannot_be_flushed_gets_no_name(tmp_path: Path) -> None:
    with unflushable(tmp_path / "slice.part") as partial, pytest.raises(OSError, match="Invalid argument"):
        durable_rename(partial, tmp_path / "slice.mp4")
    assert not (tmp_path / "slice.mp4").exists()


def test_a_record_is_whole_at_every_step_and_flushed_before_it_gets_its_name(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    for record in (_OLD, _NEW):
        assert half_done(path, lambda record=record: write_record(path, record)) == []  # type: ignore[misc]
        assert read_record(path, Source) == record
    with unflushable(tmp_path / f"source.json.{os.getpid()}.part"), pytest.raises(OSError, match="Invalid argument"):
        write_record(path, _OLD)
    assert read_record(path, Source) == _NEW


def test_a_compiled_graph_that_cannot_be_flushed_gets_no_name(tmp_path: Path) -> None:
    manifest = artefacts.Manifest(
        model="fast",
        scale=2,
        weights_sha256="",
        toolchain="test",
        toolchain_version="1",
        tile_height_px=64,
        tile_width_px=96,
        batch=2,
    )
    graph = f"{manifest.stem}.pt"
    with unflushable(tmp_path / f"{graph}.{os.getpid()}.part"), pytest.raises(OSError, match="Invalid argument"):
        artefacts.store(manifest, b"graph", tmp_path)
    assert not (tmp_path / graph).exists()
