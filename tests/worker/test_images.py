"""A folder of pictures: every kind that can be kept, resumed, and never stopped by a bad one."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mediabroker.errors import ErrorCode, MediaError
from neuron_worker.failures import Exit, InterruptedWorkError
from neuron_worker.pictures.images import Item, list_pictures, upscale_pictures
from neuron_worker.pictures.picture import Picture, enlarge, mark_of, read_picture
from neuron_worker.runtimes import Choice, load, load_card
from neuron_worker.runtimes.golden import golden_tile
from tests.clips import picture
from tests.worker.looking import psnr

CARD = load_card("fast", 2)


class Nearest:
    """A runtime that repeats samples, so that what the path around it does can be told exactly."""

    name, variant, weights, workers = "nearest", "none", "", 2

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels

    def upscale(self, luma: Any) -> Any:
        assert luma.shape[1] == self.channels
        assert luma.shape[2] % 2 == luma.shape[3] % 2 == 0
        return luma.repeat(2, axis=2).repeat(2, axis=3)


def folder_with(tmp_path: Path, **pictures: Image.Image) -> Path:
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    for name, image in pictures.items():
        image.save(folder / name.replace("_", ".", 1))
    return folder


def rgb(width: int = 40, height: int = 30) -> Image.Image:
    return Image.fromarray(picture(0, width, height))


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


def run(folder: Path, target: Path, **options: Any) -> list[Item]:
    return upscale_pictures(folder, target, CARD, lambda *_: None, Event(), **options)


def enlarge_by(runtime: Any, path: Path, **options: Any) -> Picture:
    fields = {"overlap": CARD.radius_px, "deep": True, "stop": Event(), **options}
    return enlarge(read_picture(path), runtime, 2, **fields)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("size", [(40, 30), (33, 17), (1, 1)])
def test_every_kind_of_file_becomes_a_png_twice_as_large(suffix: str, size: tuple[int, int], tmp_path: Path) -> None:
    folder = folder_with(tmp_path, **{f"a_{suffix}": rgb(*size)})
    (item,) = run(folder, tmp_path / "out")
    assert (item.state, item.error) == ("done", None)
    with Image.open(tmp_path / "out" / "a.png") as result:
        assert (result.format, result.mode, result.size) == ("PNG", "RGB", (2 * size[0], 2 * size[1]))
        small = opened(folder / f"a.{suffix}").convert("RGB")
        back = result.resize(size, Image.Resampling.BOX)
        assert psnr(np.asarray(small), np.asarray(back)) > 22


@pytest.mark.parametrize(
    ("make", "mode"),
    [
        (rgb, "RGB"),
        (lambda: rgb().convert("L"), "L"),
        (lambda: rgb().convert("1"), "L"),
        (lambda: rgb().convert("P"), "RGB"),
        (lambda: Image.merge("RGBA", (*rgb().split(), rgb().convert("L"))), "RGBA"),
        (lambda: Image.merge("LA", (rgb().convert("L"), rgb().convert("L"))), "LA"),
        (lambda: Image.fromarray(golden_tile(30, 40)[0, 0].astype(np.uint16) * 257), "I;16"),
    ],
    ids=["rgb", "gray", "bilevel", "palette", "rgba", "gray-alpha", "gray16"],
)
def test_every_mode_keeps_its_samples(make: Callable[[], Image.Image], mode: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, a_png=make())
    (item,) = run(folder, tmp_path / "out")
    assert item.error is None
    with Image.open(item.output) as result, Image.open(folder / "a.png") as source:
        assert (result.mode, result.size) == (mode, (80, 60))
        wanted = np.asarray(source.convert(mode) if source.mode in {"1", "P"} else source).astype(float)
        peak = 65535.0 if mode == "I;16" else 255.0
        assert psnr(wanted, np.asarray(result)[::2, ::2], peak) > 15


def test_flat_colours_and_transparency_stay_what_they_are(tmp_path: Path) -> None:
    colours = [(0, 0, 0, 0), (255, 255, 255, 255), (255, 0, 0, 128), (0, 255, 0, 64), (0, 0, 255, 200), (9, 130, 77, 1)]
    for index, colour in enumerate(colours):
        folder = folder_with(tmp_path, **{f"c{index}_png": Image.new("RGBA", (20, 16), colour)})
    for item, colour in zip(run(folder, tmp_path / "out"), colours, strict=True):
        samples = np.asarray(opened(item.output)).astype(int)[14:18, 14:26]
        assert np.abs(samples - colour).max() <= 1, colour


def test_colour_survives_exactly_what_the_network_leaves_alone(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, a_png=Image.new("RGB", (16, 16), (201, 13, 88)))
    for runtime, deep in ((Nearest(), True), (Nearest(3), True), (Nearest(3), False)):
        samples = enlarge_by(runtime, folder / "a.png", deep=deep).samples
        assert (samples[0].reshape(3, -1).T == (201, 13, 88)).all()


def test_picture_in_tiles_equals_the_whole_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path, a_png=rgb(231, 140).convert("RGBA"))
    runtime = load(CARD, Choice("onnx", "deep"), workers=1)
    whole = enlarge_by(runtime, folder / "a.png")
    monkeypatch.setattr("neuron_worker.pictures.picture._TILE_PX", 64)
    tiled = enlarge_by(runtime, folder / "a.png")
    assert np.abs(whole.samples.astype(int) - tiled.samples).max() <= 1


def test_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    folder = tmp_path / "in"
    folder.mkdir()
    rgb(40, 20).save(folder / "a.jpg", exif=exif)
    (item,) = run(folder, tmp_path / "out")
    with Image.open(item.output) as result:
        assert result.size == (40, 80)
        assert 0x0112 not in result.getexif()


def test_colour_profile_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rgb().save(folder / "a.png", icc_profile=b"profile of this picture")
    (item,) = run(folder, tmp_path / "out")
    assert opened(item.output).info["icc_profile"] == b"profile of this picture"


def write_deep_colour(path: Path) -> None:
    import av

    frame = av.VideoFrame.from_ndarray(picture(0, 32, 24), format="rgb24").reformat(format="rgb48be")
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 32, 24, "rgb48be", 25
    path.write_bytes(b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)]))


def write_gray_with_transparency(path: Path, bits: int) -> None:
    """Two rows of eight samples, of which the largest one is transparent."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + b"\xff" * (bits // 2) + b"\0" * (bits - bits // 2)
    pieces = {
        b"IHDR": struct.pack(">IIBBBBB", 8, 2, bits, 0, 0, 0, 0),
        b"tRNS": struct.pack(">H", (1 << bits) - 1),
        b"IDAT": zlib.compress(row * 2),
        b"IEND": b"",
    }
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in pieces.items()))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gray_of_few_bits_keeps_what_is_transparent(bits: int, tmp_path: Path) -> None:
    write_gray_with_transparency(tmp_path / "a.png", bits)
    alpha = read_picture(tmp_path / "a.png").samples[0, -1]
    assert (alpha == [[0] * 4 + [255] * 4] * 2).all()


def test_bilevel_picture_keeps_what_is_transparent(tmp_path: Path) -> None:
    image = Image.new("1", (8, 2))
    image.paste(1, (0, 0, 4, 2))
    image.save(tmp_path / "a.png", transparency=1)
    samples = read_picture(tmp_path / "a.png").samples[0]
    assert (samples[-1] == [[0] * 4 + [255] * 4] * 2).all()
    assert (samples[0] == [[255] * 4 + [0] * 4] * 2).all()


def test_bitmap_of_sixteen_bits_a_pixel_is_read(tmp_path: Path) -> None:
    pixels = struct.pack("<8H", *[0b11111_000000_11111] * 8)
    header = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 16, 3, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    start = 14 + len(header) + len(masks)
    content = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + header + masks + pixels
    (tmp_path / "a.bmp").write_bytes(content)
    assert (read_picture(tmp_path / "a.bmp").samples[0].reshape(3, -1).T == (255, 0, 255)).all()


def test_results_larger_than_what_may_be_read_are_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path, a_png=rgb(40, 30))
    run(folder, tmp_path / "out")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 30)
    assert [item.state for item in run(folder, tmp_path / "out")] == ["exists"]


def write_animation(path: Path) -> None:
    rgb().save(path, save_all=True, append_images=[rgb().rotate(90)])


def write_truncated(path: Path) -> None:
    held = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(held, "PNG")
    path.write_bytes(held.getvalue()[:9000])


@pytest.mark.parametrize(
    ("name", "write", "code"),
    [
        ("a.png", write_deep_colour, ErrorCode.MEDIA_UNSUPPORTED),
        ("a.png", lambda path: write_gray_with_transparency(path, 16), ErrorCode.MEDIA_UNSUPPORTED),
        ("a.webp", write_animation, ErrorCode.MEDIA_UNSUPPORTED),
        ("a.tiff", write_animation, ErrorCode.MEDIA_UNSUPPORTED),
        ("a.jpg", lambda path: rgb().convert("CMYK").save(path), ErrorCode.MEDIA_UNSUPPORTED),
        ("a.tif", lambda path: rgb().convert("F").save(path), ErrorCode.MEDIA_UNSUPPORTED),
        ("a.tif", lambda path: Image.new("I", (9, 9), -5).save(path), ErrorCode.MEDIA_UNSUPPORTED),
        ("a.png", write_truncated, ErrorCode.MEDIA_CORRUPT),
        ("a.png", lambda path: path.write_bytes(b""), ErrorCode.MEDIA_UNSUPPORTED),
        ("a.png", lambda path: path.write_text("no picture"), ErrorCode.MEDIA_UNSUPPORTED),
    ],
    ids=["rgb16", "gray16-transparent", "animation", "pages", "cmyk", "float", "signed", "truncated", "empty", "text"],
)
def test_picture_that_cannot_be_kept_fails_alone(
    name: str, write: Callable[[Path], None], code: ErrorCode, tmp_path: Path
) -> None:
    folder = folder_with(tmp_path, good_png=rgb())
    write(folder / name)
    bad, good = run(folder, tmp_path / "out")
    assert good.state == "done"
    assert bad.state == "failed"
    assert bad.error is not None
    assert bad.error.code is code
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


def test_second_run_makes_only_what_is_missing_or_changed(tmp_path: Path) -> None:
    folder, out = folder_with(tmp_path, a_png=rgb(), b_png=rgb(20, 20), c_png=rgb(24, 20)), tmp_path / "out"
    run(folder, out)
    (out / "b.png").unlink()
    rgb(30, 20).save(folder / "c.png")
    assert [item.state for item in run(folder, out)] == ["exists", "done", "done"]
    assert opened(out / "c.png").size == (60, 40)


def test_foreign_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    folder, out = folder_with(tmp_path, a_png=rgb()), tmp_path / "out"
    out.mkdir()
    rgb(5, 5).save(out / "a.png")
    (item,) = run(folder, out)
    assert item.error is not None
    assert item.error.code is ErrorCode.OUTPUT_EXISTS
    assert opened(out / "a.png").size == (5, 5)
    (item,) = run(folder, out, overwrite=True)
    assert item.state == "done"
    assert mark_of(out / "a.png") is not None


def test_subfolders_and_equal_stems_get_places_of_their_own(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, a_png=rgb(), a_jpg=rgb())
    (folder / "deeper").mkdir()
    rgb().save(folder / "deeper" / "a.PNG", "PNG")
    (folder / "notes.txt").write_text("no picture")
    names = [str(output.relative_to(tmp_path / "out")) for _, output in list_pictures(folder, tmp_path / "out")]
    assert sorted(names) == ["a.jpg.png", "a.png.png", "deeper/a.png"]


def test_no_picture_gets_the_name_of_anothers_result(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, a_jpg=rgb(), a_png=rgb())
    rgb().save(folder / "a.jpg.png")
    pairs = dict(list_pictures(folder, tmp_path / "out"))
    names = {source.name: output.name for source, output in pairs.items()}
    assert names == {"a.jpg": "a.jpg.png", "a.png": "a.png.png", "a.jpg.png": "a.jpg.png.png"}


def test_picture_that_would_be_called_as_a_folder_is_gets_its_whole_name(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, sub_jpg=rgb())
    (folder / "sub.png").mkdir()
    rgb().save(folder / "sub.png" / "in.jpg")
    assert [item.state for item in run(folder, tmp_path / "out")] == ["done", "done"]
    assert (tmp_path / "out" / "sub.jpg.png").is_file()
    assert (tmp_path / "out" / "sub.png" / "in.png").is_file()


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / "sub.png" / "deeper").mkdir(parents=True)
    rgb().save(folder / "sub.png" / "deeper" / "in.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub.png").write_text("in the way")
    (item,) = run(folder, tmp_path / "out")
    assert item.error is not None
    assert item.error.message.endswith(f"{tmp_path / 'out' / 'sub.png'} is no folder")


def test_links_in_a_loop_are_typed_errors(tmp_path: Path) -> None:
    folder, loop = folder_with(tmp_path, a_png=rgb()), tmp_path / "loop"
    loop.symlink_to(loop)
    (folder / "b.png").symlink_to("b.png")
    with pytest.raises(MediaError) as caught:
        run(loop, tmp_path / "out")
    assert caught.value.error.code is ErrorCode.INPUT_NOT_FOUND
    (item,) = run(folder, loop)
    assert item.error is not None
    assert item.error.code is ErrorCode.OUTPUT_DENIED


def test_results_inside_the_source_folder_are_not_upscaled_again(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, a_png=rgb())
    run(folder, folder / "large")
    assert [source.name for source, _ in list_pictures(folder, folder / "large")] == ["a.png"]


def test_folder_without_pictures_and_equal_folders_are_refused(tmp_path: Path) -> None:
    for folder, code in ((tmp_path, ErrorCode.INVALID_SPEC), (tmp_path / "none", ErrorCode.INPUT_NOT_FOUND)):
        with pytest.raises(MediaError) as caught:
            list_pictures(folder, tmp_path)
        assert caught.value.error.code is code
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="no picture"):
        list_pictures(tmp_path / "empty", tmp_path / "out")


def test_order_to_stop_ends_the_work_and_keeps_what_is_finished(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, **{f"p{index}_png": rgb() for index in range(6)})
    stop, seen = Event(), []

    def on_item(item: Item, done: int, total: int) -> None:
        seen.append((done, total))
        stop.set()

    with pytest.raises(InterruptedWorkError):
        upscale_pictures(folder, tmp_path / "out", CARD, on_item, stop)
    assert seen == [(1, 6)]
    kept = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert "p0.png" in kept
    assert all(mark_of(tmp_path / "out" / name) for name in kept)


def test_command_tells_every_picture_and_exits_with_the_failure(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, a_png=rgb(), c_png=rgb())
    (folder / "b.png").write_text("no picture")
    done = subprocess.run(
        [sys.executable, "-m", "neuron_worker", "images", str(folder), str(tmp_path / "out"), "--threads", "1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["state"], each["done"], each["total"]) for each in events if each["event"] == "picture"] == [
        ("done", 1, 3),
        ("failed", 2, 3),
        ("done", 3, 3),
    ]
    assert events[-2] == {"event": "result", "done": 2, "exists": 0, "failed": 1}
    assert events[-1]["error"]["code"] == "PARTIAL"
    assert done.returncode == Exit.BAD_INPUT


@pytest.mark.parametrize("scale", [2, 4])
def test_set5_reaches_the_figures_of_the_model_card(scale: int, shared_data: Path, tmp_path: Path) -> None:
    from neuron_worker.training.material.images import crop_to_multiple, image_paths, load_rgb, luma, to_bytes
    from neuron_worker.training.material.resample import resize

    (tmp_path / "in").mkdir()
    truths = {}
    for path in image_paths(shared_data / "sr" / "set5"):
        truths[path.stem] = truth = crop_to_multiple(load_rgb(path), scale)
        low = to_bytes(resize(truth, truth.shape[0] // scale, truth.shape[1] // scale))
        Image.fromarray(low).save(tmp_path / "in" / f"{path.stem}.png")
    card = load_card("fast", scale)
    upscale_pictures(tmp_path / "in", tmp_path / "out", card, lambda *_: None, Event())
    inner = slice(scale, -scale)
    found = [
        psnr(luma(truth)[inner, inner], luma(load_rgb(tmp_path / "out" / f"{name}.png"))[inner, inner])
        for name, truth in truths.items()
    ]
    stated = json.loads((card.folder / f"fast-x{scale}.json").read_text())["figures"]["set5"]["clean"]
    assert np.mean(found) > stated[f"fast-x{scale}"]["psnr_db"] - 0.02
