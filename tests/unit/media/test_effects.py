"""Effects on self-made media whose right answer is known: where the logo was, when the beat came, what was green."""

from __future__ import annotations

import itertools
import json
import threading
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.effects import EFFECTS, EffectResult, EffectTask, run_effect
from mediabroker.media.effects.footage import choose_pieces
from mediabroker.media.effects.listening import find_beats, find_sections, noise_floor_db
from mediabroker.media.effects.looking import View
from mediabroker.media.probe import probe
from tests.clips import make_audio_only, make_clip, make_text, make_truncated, picture

_RATE_HZ = 11_025
_NO_PARAMS = ("AudioBeatDetection", "ImageH2V", "MusicSegmentDetect", "SpeechDenoise", "VideoClip", "VideoH2V")


class Namer:
    """Names results in a folder and remembers what it was asked."""

    def __init__(self, folder: Path, suffix: str | None = None) -> None:
        self.folder, self.suffix, self.asked = folder, suffix, list[tuple[int, str]]()

    def __call__(self, sequence_id: int, suffix: str, result_type: str | None = None) -> Path:
        self.asked.append((sequence_id, suffix))
        return self.folder / f"result-{sequence_id}{self.suffix or suffix}"


def do(function: str, source: Path, folder: Path, suffix: str | None = None, **params: Any) -> EffectResult:
    folder.mkdir(exist_ok=True)
    return run_effect(function, EffectTask(source, params, Namer(folder, suffix)))


def frames_of(path: Path, pix_fmt: str = "rgb24") -> list[np.ndarray[Any, Any]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=pix_fmt) for frame in container.decode(video=0)]


def write_sound(path: Path, signal: np.ndarray[Any, Any]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes((np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def clicks(bpm: float, seconds: float, *, accent_every: int = 4) -> np.ndarray[Any, Any]:
    signal = np.zeros(int(seconds * _RATE_HZ), np.float32)
    burst = np.exp(-np.arange(400) / 60) * np.sin(np.arange(400) * 0.9)
    for number, at in enumerate(np.arange(0.5, seconds - 0.1, 60 / bpm)):
        start = int(at * _RATE_HZ)
        signal[start : start + 400] += burst * (1.0 if number % accent_every == 0 else 0.4)
    return signal


@pytest.mark.parametrize("bpm", [80, 100, 120, 150])
def test_beats_of_a_click_track_are_found_within_30_ms(bpm: int) -> None:
    beats, downbeats = find_beats(clicks(bpm, 20))
    clicked = np.arange(0.5, 19.9, 60 / bpm)
    inner = [beat for beat in beats if 2 < beat < 18]
    assert len(inner) == pytest.approx(16 * bpm / 60, abs=1)
    assert max(np.abs(clicked - beat).min() for beat in inner) < 0.03
    accented = clicked[::4]
    assert np.median([np.abs(accented - beat).min() for beat in downbeats]) < 0.03


@given(st.integers(0, 12), st.sampled_from([0.0, 0.3]))
def test_silence_and_short_sounds_have_neither_beats_nor_sections(seconds: int, level: float) -> None:
    signal = np.full(seconds * _RATE_HZ, level, np.float32)
    assert find_beats(signal) == ([], [])
    assert find_sections(signal) == []


def test_the_loud_part_of_a_recording_is_found_as_a_section() -> None:
    tone = np.sin(np.arange(60 * _RATE_HZ) * 0.3).astype(np.float32)
    tone *= np.where((np.arange(len(tone)) // _RATE_HZ >= 20) & (np.arange(len(tone)) // _RATE_HZ < 40), 0.8, 0.1)
    ((start, end),) = find_sections(tone)
    assert (start, end) == (pytest.approx(20, abs=2), pytest.approx(40, abs=2))


def test_beats_are_written_as_a_text_file_and_returned(tmp_path: Path) -> None:
    made = do("AudioBeatDetection", write_sound(tmp_path / "clicks.wav", clicks(120, 12)), tmp_path / "out")
    written = json.loads(made.files[0].read_text())
    assert made.files[0].suffix == ".txt" and len(written["BeatList"]) > 15
    assert made.data == {"beats_s": written["BeatList"], "downbeats_s": written["DownBeatList"]}


@pytest.mark.parametrize("level", [0.001, 0.02])
def test_the_noise_floor_is_heard_beneath_a_tone(level: float) -> None:
    tone = 0.4 * np.sin(np.arange(4 * _RATE_HZ) * 2 * np.pi * 440 / _RATE_HZ)
    noisy = tone + level * np.random.default_rng(2).standard_normal(len(tone))
    assert noise_floor_db(noisy.astype(np.float32)) == pytest.approx(20 * np.log10(level), abs=2)


def test_denoising_lowers_hiss_and_keeps_the_tone(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    tone = 0.4 * np.sin(np.arange(4 * _RATE_HZ) * 2 * np.pi * 440 / _RATE_HZ)
    noisy = tone + 0.02 * chance.standard_normal(len(tone))
    made = do("SpeechDenoise", write_sound(tmp_path / "noisy.wav", noisy), tmp_path / "out", ".wav")
    with av.open(str(made.files[0])) as container:
        after = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)]) / 32768
    before, after = noisy[_RATE_HZ:], after[_RATE_HZ:]

    def hiss(signal: Any) -> float:
        spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2 / len(signal)
        return float(spectrum[len(spectrum) // 2 :].mean())

    assert hiss(after) < hiss(before) / 2
    assert np.sqrt((after**2).mean()) == pytest.approx(np.sqrt((tone**2).mean()), rel=0.15)


def test_a_mixed_track_is_heard_and_the_picture_stays_as_it_was(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=25, audio=False)
    tone = make_audio_only(tmp_path / "tone.m4a", duration_s=3)
    made = do("AudioMixing", source, tmp_path / "out", inputs=[{"file": str(tone)}])
    media = probe(made.files[0])
    assert [each.codec for each in media.audio] == ["aac"]
    assert media.duration_s == pytest.approx(1.0, abs=0.1)
    assert all((a == b).all() for a, b in zip(frames_of(source), frames_of(made.files[0]), strict=True))


def test_a_removed_logo_is_gone_and_the_rest_of_the_picture_stays(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", width=128, height=96, codec_options={"crf": "10"})
    made = do("VideoDelogo", source, tmp_path / "out", Logo=[[0, 0, 0.26, 0.26]])
    before, after = frames_of(source), frames_of(made.files[0])
    assert len(before) == len(after)
    assert before[3][4:20, 4:28].mean() > 230
    assert after[3][4:20, 4:28].mean() < 180
    assert np.abs(before[3][40:].astype(int) - after[3][40:]).mean() < 6


def test_boxes_are_also_read_from_json_text_and_clamped_to_the_picture(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3)
    made = do("VideoDetext", source, tmp_path / "out", Text="[[0.5, 0.5, 0.5, 0.5]]")
    assert len(frames_of(made.files[0])) == 3


@pytest.mark.parametrize(
    ("function", "params", "named"),
    [
        ("VideoDelogo", {}, "Logo"),
        ("VideoDelogo", {"Logo": [[0, 0, 1.5, 0.2]]}, "Logo.0.2"),
        ("VideoDelogo", {"Logo": [[0, 0, 0.2, 0.2]] * 3}, "Logo"),
        ("VideoDelogo", {"Logo": "no boxes"}, "Logo"),
        ("VideoDelogo", {"Logo": [[0, 0, 0.2, 0.2]], "Lgoo": 1}, "Lgoo"),
        ("VideoDelogo", {"Logo": [[1, 1, 0.2, 0.2]]}, "leaves nothing"),
        ("VideoDetext", {}, "Text"),
        ("Cover", {"Model": "webp"}, "Model"),
        ("AudioMixing", {"inputs": []}, "inputs"),
        ("AudioMixing", {"inputs": [{"file": "oss://b/k.mp3"}]}, "no local file"),
        *((function, {"surplus": 1}, "surplus") for function in _NO_PARAMS),
    ],
)
def test_wrong_parameters_are_refused_by_name_and_leave_nothing(
    tmp_path: Path, function: str, params: dict[str, Any], named: str
) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3)
    with pytest.raises(MediaError, match=named) as caught:
        do(function, source, tmp_path / "out", **params)
    assert caught.value.error.code is ErrorCode.INVALID_SPEC
    assert list((tmp_path / "out").iterdir()) == []


def green(index: int, width: int, height: int) -> np.ndarray[Any, Any]:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:] = (10, 200, 20)
    pixels[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = (220, 40, 40)
    return pixels


def test_a_green_screen_becomes_transparent_and_the_subject_stays(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", width=96, height=96, frames=5, paint=green, audio=False)
    made = do("VideoGreenScreenMatting", source, tmp_path / "out")
    assert made.files[0].suffix == ".webm"
    with av.open(str(made.files[0])) as container:
        stream = container.streams.video[0]
        assert stream.metadata["alpha_mode"] == "1"
        decoder: Any = av.CodecContext.create("libvpx-vp9", "r")
        pixels = [f.to_ndarray(format="rgba") for p in container.demux(stream) for f in decoder.decode(p)]
    assert pixels[2][5, 5, 3] < 30
    assert pixels[2][48, 48, 3] > 220


def test_a_background_is_put_behind_the_subject_of_a_green_screen(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", width=96, height=96, frames=5, paint=green, audio=False)
    Image.new("RGB", (300, 200), (30, 30, 220)).save(tmp_path / "behind.png")
    made = do("VideoGreenScreenMatting", source, tmp_path / "out", bgimage=str(tmp_path / "behind.png"))
    frame = frames_of(made.files[0])[2]
    assert frame[5, 5, 2] > 180 and frame[5, 5, 1] < 80
    assert frame[48, 48, 0] > 180 and frame[48, 48, 2] < 90
    assert len(frames_of(made.files[0])) == 5


def test_a_video_without_green_borders_is_no_green_screen(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="green screen") as caught:
        do("VideoGreenScreenMatting", make_clip(tmp_path / "in.mp4", frames=3), tmp_path / "out")
    assert caught.value.error.code is ErrorCode.MEDIA_UNSUPPORTED


def moving_right(index: int, width: int, height: int) -> np.ndarray[Any, Any]:
    pixels = np.full((height, width, 3), 90, np.uint8)
    chance = np.random.default_rng(index)
    pixels[:, 3 * width // 4 :] = chance.integers(0, 255, (height, width - 3 * width // 4, 3))
    return pixels


def test_portrait_framing_follows_where_something_happens(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", width=192, height=96, paint=moving_right)
    made = do("VideoH2V", source, tmp_path / "out")
    frames = frames_of(made.files[0])
    height, width = frames[0].shape[:2]
    assert (height, width) == (96, 54) and len(frames) == 12
    assert (frames[6].std(axis=(0, 2)) > 20).sum() >= 46  # the 48 lively columns, give or take the codec's blocks


def test_a_portrait_video_is_not_cropped_again(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no wider than 9:16"):
        do("VideoH2V", make_clip(tmp_path / "in.mp4", width=54, height=96, frames=3), tmp_path / "out")


def test_a_picture_is_framed_in_portrait_around_its_edges(tmp_path: Path) -> None:
    Image.fromarray(moving_right(0, 192, 96)).save(tmp_path / "in.png")
    made = do("ImageH2V", tmp_path / "in.png", tmp_path / "out")
    pixels = np.asarray(Image.open(made.files[0]))
    assert pixels.shape[:2] == (96, 54) and (pixels.std(axis=(0, 2)) > 20).sum() == 48


def test_a_cartoon_has_few_colours_and_dark_outlines(tmp_path: Path) -> None:
    Image.fromarray(picture(0, 160, 120)).save(tmp_path / "in.png")
    made = do("ImageCartoonize", tmp_path / "in.png", tmp_path / "out")
    before, after = (np.asarray(Image.open(each).convert("RGB")) for each in (tmp_path / "in.png", made.files[0]))
    assert before.shape == after.shape
    assert len(np.unique(after[60:, 80:].reshape(-1, 3), axis=0)) < len(
        np.unique(before[60:, 80:].reshape(-1, 3), axis=0)
    )
    assert after[29:32, 5:30].mean() < before[29:32, 5:30].mean()


def test_effects_on_pictures_refuse_videos_and_effects_on_videos_refuse_sound(tmp_path: Path) -> None:
    clip, tone = make_clip(tmp_path / "in.mp4", frames=3), make_audio_only(tmp_path / "tone.m4a")
    for function, source in (("ImageCartoonize", clip), ("ImageH2V", clip), ("Cover", tone), ("VideoClip", tone)):
        with pytest.raises(MediaError) as caught:
            do(function, source, tmp_path / "out")
        assert caught.value.error.code is ErrorCode.MEDIA_UNSUPPORTED


def blurred_but_one(index: int, width: int, height: int) -> np.ndarray[Any, Any]:
    if index == 30:
        return picture(index, width, height)
    return np.full((height, width, 3), 100 + index % 3, np.uint8)


def test_the_first_cover_is_the_picture_with_most_to_see(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=60, paint=blurred_but_one, audio=False)
    made = do("Cover", source, tmp_path / "out")
    assert 1 <= len(made.files) <= 3
    assert np.asarray(Image.open(made.files[0]).convert("L")).std() > 40
    data: Any = made.data
    assert data[0]["time_s"] == pytest.approx(30 / 25, abs=0.021)
    assert [each["score"] for each in data] == sorted((each["score"] for each in data), reverse=True)
    assert all(0 <= each["score"] <= 10 for each in data)


def test_an_animated_cover_moves(tmp_path: Path) -> None:
    made = do("Cover", make_clip(tmp_path / "in.mp4", frames=50, audio=False), tmp_path / "out", Model="gif")
    with Image.open(made.files[0]) as opened:
        assert (opened.format, getattr(opened, "n_frames", 1)) == ("GIF", 12)


def lively_middle(index: int, width: int, height: int) -> np.ndarray[Any, Any]:
    if 100 <= index < 150:
        return np.random.default_rng(index).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return np.full((height, width, 3), 120, np.uint8)


def test_a_summary_holds_the_lively_part_with_its_sound(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=250, paint=lively_middle)
    made = do("VideoClip", source, tmp_path / "out")
    media, pieces = probe(made.files[0]), made.data
    assert isinstance(pieces, list)
    length_s = sum(piece["end_s"] - piece["start_s"] for piece in pieces)  # type: ignore[index,operator,call-overload]  # JSON
    assert media.duration_s == pytest.approx(length_s, abs=0.2) and media.audio
    assert any(frame.std() > 30 for frame in frames_of(made.files[0]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=150), st.floats(0.04, 4000))
def test_the_pieces_of_a_summary_are_in_order_disjoint_and_short(changes: list[float], length_s: float) -> None:
    times = np.linspace(0, length_s, len(changes), endpoint=False)
    views = [View(float(at), np.zeros((2, 2), np.float32), change) for at, change in zip(times, changes, strict=True)]
    pieces = choose_pieces(views, length_s)
    assert pieces and all(start < end for start, end in pieces)
    assert all(earlier[1] <= later[0] + 1e-9 for earlier, later in itertools.pairwise(pieces))
    assert sum(end - start for start, end in pieces) <= max(15.0, 0.3 * length_s) + 1e-6


@pytest.mark.parametrize("function", sorted(EFFECTS))
def test_what_is_no_medium_is_refused_and_leaves_nothing(tmp_path: Path, function: str) -> None:
    params = {"VideoDelogo": {"Logo": [[0, 0, 0.2, 0.2]]}, "VideoDetext": {"Text": [[0, 0, 0.2, 0.2]]}}
    params["AudioMixing"] = {"inputs": [{"file": str(tmp_path / "in.mp4")}]}  # type: ignore[dict-item]
    with pytest.raises(MediaError) as caught:
        do(function, make_text(tmp_path / "in.mp4"), tmp_path / "out", **params.get(function, {}))
    assert caught.value.error.code is ErrorCode.MEDIA_UNSUPPORTED
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_video_leaves_no_half_result(tmp_path: Path) -> None:
    source = make_truncated(tmp_path / "in.mp4", frames=60)
    with pytest.raises(MediaError):
        do("VideoDelogo", source, tmp_path / "out", Logo=[[0, 0, 0.2, 0.2]])
    assert list((tmp_path / "out").iterdir()) == []


def test_an_effect_that_is_told_to_stop_stops(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    task = EffectTask(make_clip(tmp_path / "in.mp4"), {}, Namer(tmp_path), stop=stop)
    for function in ("Cover", "VideoClip", "VideoH2V", "MusicSegmentDetect"):
        with pytest.raises(MediaError, match="CANCELLED"):
            run_effect(function, task)


def test_a_function_that_needs_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="CaptionExtraction") as caught:
        do("CaptionExtraction", tmp_path / "in.mp4", tmp_path / "out")
    assert caught.value.error.code is ErrorCode.UNSUPPORTED
