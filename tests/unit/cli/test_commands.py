"""Every command against the real broker and the local provider."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import yaml

from mediabroker.cli import managing
from tests.unit.cli.conftest import Cli


@pytest.fixture
def spec_file(tmp_path: Path, clip: Path) -> Path:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"kind": "media_info", "input": str(clip), "labels": {"show": "a"}}))
    return path


def test_info_prints_the_description_on_stdout_and_the_progress_on_stderr(cli: Cli, clip: Path) -> None:
    done = cli("info", clip)
    assert done.code == 0
    assert "64×48" in done.out
    assert "12 frames" in done.out
    assert "queued" not in done.out
    assert "queued" in done.err


def test_a_description_is_printed_by_whatever_command_shows_its_job(cli: Cli, spec_file: Path, clip: Path) -> None:
    described = cli("info", clip).out
    assert cli("submit", spec_file).out == described
    job_id = cli("list", "--json", "--limit", 1).data[0]["id"]
    assert cli("watch", job_id).out == described
    assert cli("get", job_id).out.endswith(described)


def test_list_tells_input_and_output_apart(cli: Cli, clip: Path, tmp_path: Path) -> None:
    cli("info", clip)
    assert cli("snapshot", clip, tmp_path / "still.png").code == 0
    head, still, info = cli("list").out.splitlines()
    assert head.strip().endswith("input → output")
    assert still.strip().endswith(f"{clip.name} → still.png")
    assert info.strip().endswith(f" {clip.name}")
    assert "→" not in info


def test_list_takes_a_provider_and_a_kind_that_only_stored_jobs_name(
    cli: Cli, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = cli("info", clip, "--json").data["id"]
    config = tmp_path / "mediabroker.toml"
    config.write_text('[providers.other]\ntype = "local"\n')
    listed = cli("list", "--config", config, "--provider", "local", "--json")
    assert [each["id"] for each in listed.data] == [job_id]
    monkeypatch.setattr(managing, "known_kinds", lambda: ["transcode"])
    assert [each["id"] for each in cli("list", "--kind", "media_info", "--json").data] == [job_id]
    assert cli("list", "--kind", "snapshot").code == 2


def test_a_finished_job_is_found_listed_watched_refused_to_cancel_and_pruned(
    cli: Cli, spec_file: Path, clip: Path
) -> None:
    done = cli("submit", spec_file, "--json", "--label", "take=2").data
    assert done["state"] == "SUCCEEDED"
    assert done["spec"]["labels"] == {"show": "a", "take": "2"}
    assert done["result"]["media"]["video"][0]["width_px"] == 64

    beginning = done["id"][:8]
    assert cli("get", beginning, "--json").data == done
    assert cli("get", done["ref"], "--json").data["id"] == done["id"]
    assert done["id"] in cli("get", beginning).out
    assert [each["id"] for each in cli("list", "--json", "--label", "take=2", "--state", "succeeded").data] == [
        done["id"]
    ]
    assert cli("list", "--json", "--kind", "transcode").data == []
    assert clip.name in cli("list").out

    events = [json.loads(line) for line in cli("watch", beginning, "--json").out.splitlines()]
    assert events[-1]["type"] == "job_succeeded"
    assert cli("watch", beginning).code == 0
    assert cli("cancel", beginning, "--json").data == {"id": done["id"], "outcome": "TOO_LATE"}
    assert "1 jobs forgotten" in cli("prune", "--older-than", "0s").out
    assert cli("list").out.strip() == "no jobs"


def test_a_failed_job_is_retried_once_however_often_that_is_asked(cli: Cli, clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "late.mp4"
    source.write_bytes(b"not yet a video")
    failed = cli("info", source, "--json")
    assert failed.code == 1
    old = cli("list", "--json").data[0]["id"]
    shutil.copy(clip, source)
    fresh = cli("retry", old, "--json").data
    assert fresh["id"] != old
    assert cli("watch", fresh["id"]).code == 0
    assert cli("retry", old, "--json").data["id"] == fresh["id"]
    assert cli("retry", fresh["id"]).code == 2, "it has succeeded"


def test_detach_prints_the_job_and_watch_waits_for_it(cli: Cli, clip: Path) -> None:
    job = cli("info", clip, "--detach", "--json").data
    assert job["result"] is None
    watched = cli("watch", job["id"], "--json")
    assert watched.code == 0


def test_the_same_key_gives_the_same_job_and_another_request_a_conflict(cli: Cli, clip: Path, tmp_path: Path) -> None:
    first = cli("info", clip, "--key", "k", "--json").data
    assert cli("info", clip, "--key", "k", "--json").data["id"] == first["id"]
    other = cli("snapshot", clip, tmp_path / "still.png", "--key", "k")
    assert other.code == 2
    assert not (tmp_path / "still.png").exists()


def test_yaml_and_stdin_describe_jobs_too(
    cli: Cli, spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = yaml.safe_dump(json.loads(spec_file.read_text()))
    (tmp_path / "job.yaml").write_text(text)
    by_file = cli("plan", tmp_path / "job.yaml", "--json").data
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    by_pipe = cli("submit", "-", "--plan", "--json").data
    assert by_file == by_pipe == cli("plan", spec_file, "--json").data


def test_plan_shows_the_literal_calls_and_starts_nothing(cli: Cli, clip: Path, tmp_path: Path) -> None:
    command = ("upscale", clip, tmp_path / "out.mp4", "--scale", 4, "--option", "local.threads=1")
    planned = cli("plan", *command, "--json").data
    assert planned["provider"] == "local"
    assert planned["calls"][0]["params"]["spec"]["scale"] == 4
    assert planned["calls"][0]["params"]["options"]["threads"] == 1
    assert planned == cli(*command, "--plan", "--json").data
    assert "would run on local" in cli("plan", *command).out
    assert cli("list", "--json").data == []


def test_providers_lists_what_each_can_do_and_a_broken_one_with_its_reason(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "mediabroker.toml"
    config.write_text('[providers.local]\n[providers.lost]\ntype = "nobody"\n')
    described = cli("providers", "--config", config, "--json").data
    assert "super_resolution" in described["local"]["kinds"]
    assert "nobody" in described["lost"]["error"]
    assert "nobody" in cli("providers", "--config", config).out
    assert "transcode" in cli("providers", "--matrix").out


def test_transcode_and_snapshot_take_their_options(cli: Cli, clip: Path, tmp_path: Path) -> None:
    ladder = cli("transcode", clip, tmp_path / "x.m3u8", "--hls", "--rendition", "240:300k", "--plan", "--json").data
    spec = ladder["calls"][0]["params"]["spec"]
    assert spec["container"] == "hls"
    assert spec["renditions"] == [{"height_px": 240, "video_bitrate_bps": 300_000, "audio_bitrate_bps": 128_000}]
    stills = cli("snapshot", clip, tmp_path / "{index}.png", "--at", 0, "--at", 0.2, "--width", 32)
    assert stills.code == 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"1.png", "2.png"}


def test_help_names_every_command_and_shared_option(cli: Cli) -> None:
    listed = cli().out
    for name in (
        "upscale",
        "transcode",
        "submit",
        "get",
        "list",
        "watch",
        "cancel",
        "retry",
        "plan",
        "providers",
        "prune",
    ):
        assert name in listed
    assert "--json" in cli("list", "--help").out
