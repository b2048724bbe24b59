"""A folder of pictures: each one to a PNG of its own, whatever happens to the others."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Literal, NamedTuple

from mediabroker.errors import ConfigurationError, ErrorCode, JobError, MediaError
from mediabroker.media.publish import output_errors, publish_file, workplace
from neuron_worker.failures import InterruptedWorkError, describe_failure
from neuron_worker.pictures.picture import enlarge, mark_of, read_picture, write_png
from neuron_worker.runtimes import Card, Runtime, choose, load
from neuron_worker.video.conveyor import convey
from neuron_worker.workspace import sha256_of

__all__ = ["Item", "list_pictures", "upscale_pictures"]

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
_RECIPE = 2
"""Raised when the same picture would give another result than before."""


class Item(NamedTuple):
    """What became of one picture; `error` says why it failed."""

    source: Path
    output: Path
    state: Literal["done", "exists", "failed"]
    error: JobError | None = None


def list_pictures(folder: Path, target: Path) -> list[tuple[Path, Path]]:
    """Every picture below `folder` and where its enlargement goes: the same place below `target`, as `.png`.

    Pictures that differ in their suffix only keep it in the name, as `a.jpg.png`; so do those that would be called as
    a folder is.

    Raises:
        MediaError: `INPUT_NOT_FOUND`, there is no such folder, or no picture in it; `INVALID_SPEC`, both are the same.
    """
    if not folder.is_dir():
        raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{folder} is no folder")
    root, results = _real(folder), _real(target)
    if root == results:
        raise MediaError(ErrorCode.INVALID_SPEC, f"{target} is where the pictures are; they would be mixed up")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if root in results.parents:
        found = [path for path in found if results not in _real(path).parents]
    if not found:
        raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{folder} holds no picture ({', '.join(sorted(_SUFFIXES))})")
    places = {path: target / path.relative_to(folder) for path in found}
    outputs = {path: place.with_suffix(".png") for path, place in places.items()}
    whole = {path: place.with_name(f"{place.name}.png") for path, place in places.items()}
    folders = {parent for place in places.values() for parent in place.parents}
    # Whole names never collide with each other, but one may with another picture's shorter name: hence more than once.
    while collided := _collided(outputs, whole, folders):
        outputs.update({path: whole[path] for path in collided})
    return list(outputs.items())


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises a RuntimeError of its own for links in a loop


def _collided(outputs: dict[Path, Path], whole: dict[Path, Path], folders: set[Path]) -> list[Path]:
    """The pictures whose shorter name is also another one's, or that of a folder."""
    counts = Counter(outputs.values())
    return [path for path, name in outputs.items() if name != whole[path] and (counts[name] > 1 or name in folders)]


def upscale_pictures(
    folder: Path,
    target: Path,
    card: Card,
    on_item: Callable[[Item, int, int], None],
    stop: Event,
    *,
    runtime: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
) -> list[Item]:
    """Enlarge every picture of a folder. Called again, it makes what is missing.

    Args:
        folder: is searched with its subfolders for PNG, JPEG, WebP, TIFF and BMP.
        target: gets the same subfolders; made if it is not there.
        card: the model.
        on_item: called after each picture, in order, with how many are done and how many there are.
        stop: set it to end the work within seconds; finished pictures stay.
        runtime: what executes the network.
        workers: how many pictures are worked on at the same time; one for each processor if not given.
        overwrite: replace files that are not this program's own.

    Raises:
        InterruptedWorkError: `stop` was set.
        MediaError: `INPUT_NOT_FOUND`, there are no pictures.
        ConfigurationError: the model or the runtime cannot be used here.
    """
    pairs = list_pictures(folder, target)
    machine, deep = _load(card, runtime, workers)
    enlarger = _Enlarger(card, machine, deep=deep, overwrite=overwrite, stop=stop)
    items: list[Item] = []
    with ThreadPoolExecutor(machine.workers, thread_name_prefix="picture") as pool:
        for pending in convey(pairs, lambda pair: pool.submit(enlarger.make, *pair), depth=machine.workers, stop=stop):
            items.append(pending.result())
            on_item(items[-1], len(items), len(pairs))
    return items


class _Enlarger:
    def __init__(self, card: Card, runtime: Runtime, *, deep: bool, overwrite: bool, stop: Event) -> None:
        self._card, self._runtime, self._deep = card, runtime, deep
        self._overwrite, self._stop = overwrite, stop

    def make(self, source: Path, output: Path) -> Item:
        """One picture; errors become the item's, only the order to stop ends everything."""
        try:
            return self._make(source, output)
        except InterruptedWorkError:
            raise
        except Exception as error:  # one bad picture must not keep the others from being made
            return Item(source, output, "failed", describe_failure(error))

    def _make(self, source: Path, output: Path) -> Item:
        mark = self._mark(source)
        if output.exists() and not self._overwrite:
            found = mark_of(output)
            if found == mark:
                return Item(source, output, "exists")
            if found is None:
                raise MediaError(ErrorCode.OUTPUT_EXISTS, f"{output} is there already and not by this program")
        picture = read_picture(source)
        large = enlarge(
            picture, self._runtime, self._card.scale, overlap=self._card.radius_px, deep=self._deep, stop=self._stop
        )
        _make_folder(output)
        with output_errors(output), workplace(output) as folder:
            write_png(folder / output.name, large, mark)
            publish_file(folder / output.name, output, overwrite=True)
        return Item(source, output, "done")

    def _mark(self, source: Path) -> str:
        content = f"{_RECIPE} {sha256_of(source)} {self._card.digest} {self._card.scale} {self._deep}"
        return hashlib.sha256(content.encode()).hexdigest()


def _make_folder(output: Path) -> None:
    with output_errors(output):
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            file = next(each for each in output.parents if os.path.lexists(each))
            raise MediaError(
                ErrorCode.OUTPUT_DENIED, f"the output {output} cannot be written: {file} is no folder"
            ) from error


def _load(card: Card, runtime: str, workers: int | None) -> tuple[Runtime, bool]:
    """The runtime, with floating-point samples where it can take them."""
    try:
        return load(card, choose(card, runtime=runtime, deep=True), workers=workers), True
    except ConfigurationError:
        return load(card, choose(card, runtime=runtime), workers=workers), False
