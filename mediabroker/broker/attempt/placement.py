"""Where an attempt reads and writes: at the job's own URIs, or at a staging place where the provider cannot reach them.

A provider knows nothing of this: it is given a spec and a context that name only what it can reach.

    <place>/<token>/in/input.mp4      the input, copied there before the attempt is submitted
    <place>/<token>/out/<name>        what the provider writes, copied to the job's output when it is done
"""

from __future__ import annotations

import posixpath
import re
from typing import Any
from urllib.parse import quote

from mediabroker.broker.core import Core
from mediabroker.errors import ErrorCode, MediaError, UnsupportedError
from mediabroker.jobs import JobSpec
from mediabroker.refs import MediaURI, Scheme
from mediabroker.spi import Provider
from mediabroker.store.records import Placement

__all__ = ["folder_of", "home_of", "place", "placed"]

_DRIVE = re.compile(r"[A-Za-z]:")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_NAME_LIMIT_BYTES = 200


def place(core: Core, provider: Provider, spec: JobSpec[Any], token: str) -> Placement:
    """What has to be staged for `spec` to run on `provider`; empty when it reaches everything itself.

    Raises:
        UnsupportedError: there is no staging place, no store for a scheme, or the input is a folder.
        MissingDependencyError: a store needs an extra; the message names the `pip install`.
    """
    able = provider.capabilities()
    if spec.kind not in able.kinds:
        return Placement()  # its own refusal says more
    staged: dict[str, Any] = {}
    folders: set[MediaURI] = set()
    if spec.input.scheme not in able.input_schemes:
        if spec.input.is_folder:
            raise UnsupportedError(f"input: {spec.input} is a folder, and only single files can be staged")
        base = _folder(core, provider, able.input_schemes, f"read {spec.input.scheme}:// (input {spec.input})", token)
        core.stores.of(spec.input)
        staged["input"] = MediaURI(f"{base}in/input{_suffix(spec.input)}")
        folders.add(base)
    if spec.output is not None and spec.output.scheme not in able.output_schemes:
        does = f"write {spec.output.scheme}:// (output {spec.output})"
        base = _folder(core, provider, able.output_schemes, does, token)
        core.stores.of(spec.output)
        staged |= {"output": _beside(base, f"out/{_name(spec.output)}"), "target": spec.output}
        folders.add(base)
    return Placement(**staged, overwrite=spec.overwrite, folders=tuple(sorted(folders))) if staged else Placement()


def placed(spec: JobSpec[Any], placement: Placement) -> JobSpec[Any]:
    """The spec as the provider is to see it."""
    changed = {"input": placement.input, "output": placement.output}
    return spec.model_copy(update={name: uri for name, uri in changed.items() if uri is not None})


def home_of(placement: Placement, made: MediaURI) -> MediaURI:
    """Return where in the job's own output something belongs that lies in the staged one.

    Raises:
        MediaError: `PROVIDER_INTERNAL`, the vendor has named something that would lie outside the output's folder.
    """
    assert placement.output is not None
    assert placement.target is not None
    if made == placement.output:
        return placement.target
    staged = placement.output
    folder = staged.key[: staged.key.rfind("/") + 1]
    is_inside = (made.scheme, made.bucket) == (staged.scheme, staged.bucket) and made.key.startswith(folder)
    below = made.key.removeprefix(folder)
    if not (is_inside and _is_plain(below)):
        raise MediaError(
            ErrorCode.PROVIDER_INTERNAL,
            f"the provider names {made!r:.200}, which would lie outside the folder of {placement.target}; "
            "nothing is delivered",
            retryable=False,
        )
    return _beside(placement.target, below)


def _is_plain(below: str) -> bool:
    """Whether a relative name stays below its folder on every system: no empty or dotted part, drive, or backslash."""
    parts = below.split("/")
    return not any(part in ("", ".", "..") or "\\" in part or _DRIVE.match(part) or "\0" in part for part in parts)


def folder_of(uri: MediaURI) -> MediaURI:
    """The folder that a URI names, or lies in, with a slash at its end.

    Raises:
        InvalidJobError: it is the root of a bucket, which is no URI.
    """
    return uri if uri.is_folder else MediaURI(_folder_text(uri))


def _folder_text(uri: MediaURI) -> str:
    return uri if uri.is_folder else uri.rpartition("/")[0] + "/"


def _beside(uri: MediaURI, below: str) -> MediaURI:
    """What lies under the plain name or path `below` in the folder that a URI names, or lies in.

    Keys of objects are literal. In the URI of a file a percent sign would be read as the beginning of a code.
    """
    return MediaURI(_folder_text(uri) + (quote(below) if uri.scheme in ("file", "https") else below))


def _folder(core: Core, provider: Provider, schemes: frozenset[Scheme], does: str, token: str) -> MediaURI:
    base = core.settings.staging_place(provider.name, schemes)
    if base is None:
        scheme = min(schemes)
        raise UnsupportedError(
            f"{provider.name} does not {does}, and there is no place to stage it: set staging.{scheme} or "
            f"providers.{provider.name}.staging to a folder such as {scheme}://bucket/staging/"
        )
    core.stores.of(base)
    return MediaURI(f"{base}{token}/")


def _name(output: MediaURI) -> str:
    """The output's own name, for it may hold placeholders and tells the format; none that is not a plain name."""
    if output.is_folder:
        return ""
    plain = _is_plain(output.name) and len(output.name.encode()) <= _NAME_LIMIT_BYTES
    return output.name if plain else f"output{_suffix(output)}"


def _suffix(uri: MediaURI) -> str:
    """Of the name, where it has a usual one: providers go by it."""
    found = _SUFFIX.fullmatch(posixpath.splitext(uri.name)[1])
    return found.group().lower() if found else ""
