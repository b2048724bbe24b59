"""What is refused before anything starts, and what the refusal says."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from mediabroker.errors import (
    ConfigurationError,
    ErrorCode,
    MissingDependencyError,
    ProviderError,
    UnsupportedError,
)
from mediabroker.jobs import JobSpec, MediaInfo, SmartProduction, Snapshot, Transcode
from mediabroker.spi import Call, Member
from mediabroker.testing.driver import new_context
from mediabroker_local import LocalOptions, LocalProvider
from tests.clips import make_hls_as_mp4, make_text
from tests.unit.local.rig import Workshop

Spec = Callable[[Workshop], JobSpec[Any]]


def _missing(shop: Workshop) -> JobSpec[Any]:
    return MediaInfo(input=shop.folder / "nothing.mp4")


def _folder(shop: Workshop) -> JobSpec[Any]:
    return MediaInfo(input=shop.folder)


def _empty(shop: Workshop) -> JobSpec[Any]:
    (shop.folder / "empty.mp4").touch()
    return MediaInfo(input=shop.folder / "empty.mp4")


def _text(shop: Workshop) -> JobSpec[Any]:
    return MediaInfo(input=make_text(shop.folder / "text.mp4"))


def _playlist(shop: Workshop) -> JobSpec[Any]:
    return MediaInfo(input=make_hls_as_mp4(shop.folder / "list.mp4", shop.clip))


def _no_folder(shop: Workshop) -> JobSpec[Any]:
    return shop.transcode("missing/out.mp4")


def _output_is_folder(shop: Workshop) -> JobSpec[Any]:
    (shop.folder / "out.mp4").mkdir()
    return shop.transcode(overwrite=True)


def _exists(shop: Workshop) -> JobSpec[Any]:
    (shop.folder / "out.mp4").touch()
    return shop.transcode()


def _one_snapshot_exists(shop: Workshop) -> JobSpec[Any]:
    (shop.folder / "2.png").touch()
    return Snapshot(input=shop.clip, output=shop.folder / "{index}.png", at_s=(0, 0.1))


def _hard_link(shop: Workshop) -> JobSpec[Any]:
    os.link(shop.clip, shop.folder / "out.mp4")
    return shop.transcode(overwrite=True)


def _symbolic_link(shop: Workshop) -> JobSpec[Any]:
    (shop.folder / "out.mp4").symlink_to(shop.clip)
    return shop.transcode(overwrite=True)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (_missing, ErrorCode.INPUT_NOT_FOUND),
        (_folder, ErrorCode.INPUT_DENIED),
        (_empty, ErrorCode.MEDIA_CORRUPT),
        (_text, ErrorCode.MEDIA_UNSUPPORTED),
        (_playlist, ErrorCode.MEDIA_UNSUPPORTED),
        (_no_folder, ErrorCode.OUTPUT_DENIED),
        (_output_is_folder, ErrorCode.OUTPUT_DENIED),
        (_exists, ErrorCode.OUTPUT_EXISTS),
        (_one_snapshot_exists, ErrorCode.OUTPUT_EXISTS),
        (_hard_link, ErrorCode.INVALID_SPEC),
        (_symbolic_link, ErrorCode.INVALID_SPEC),
    ],
)
def test_certain_failures_are_refused_before_anything_starts(shop: Workshop, make: Spec, code: ErrorCode) -> None:
    driver = shop.driver()
    with pytest.raises(ProviderError) as caught:
        shop.submit(driver, make(shop))
    refusal = pickle.loads(pickle.dumps(caught.value))
    error = driver.provider.classify(refusal)
    assert (error.code, error.provider_code, error.message) == (code, code.value, str(caught.value))
    assert (refusal.provider, refusal.operation, refusal.retryable) == ("local", "start", False)
    assert not list((shop.root / "jobs").iterdir())
    assert not list((shop.root / "queue").iterdir())


def test_second_job_to_an_output_is_refused_while_the_first_one_lives(shop: Workshop) -> None:
    driver = shop.gated()
    first = shop.submit(driver, shop.transcode())
    (shop.folder / "alias").symlink_to(shop.folder)
    with pytest.raises(ProviderError, match=first.native_id) as caught:
        shop.submit(driver, shop.transcode("alias/out.mp4", overwrite=True))
    assert driver.provider.classify(caught.value).code is ErrorCode.OUTPUT_EXISTS
    shop.cancel(first)
    shop.wait(first)
    shop.open_gate()
    shop.wait(shop.submit(driver, shop.transcode()))


@pytest.mark.parametrize("token", ["../up", "a/b", "", ".hidden", "UPPER", "x" * 200])
def test_token_never_leaves_the_jobs_folder(shop: Workshop, token: str) -> None:
    driver = shop.driver()
    with pytest.raises(ProviderError) as caught:
        driver.perform(Call("machine", "start", {"token": token, "spec": {}, "options": {}}, "create", "run"))
    assert driver.provider.classify(caught.value).code is ErrorCode.INVALID_SPEC
    assert shop.look(Member(role="run", native_id=token or "-")).not_found


@pytest.mark.parametrize("spec", [{}, {"kind": "unheard_of"}, {"kind": "media_info", "input": "/a", "colour": "red"}])
def test_a_spec_that_this_release_cannot_read_is_a_refusal_and_no_unknown_end(
    shop: Workshop, spec: dict[str, Any]
) -> None:
    driver = shop.driver()
    with pytest.raises(ProviderError, match=r"kind: |colour: ") as caught:
        driver.perform(Call("machine", "start", {"token": "a-run", "spec": spec, "options": {}}, "create", "run"))
    assert (caught.value.provider, caught.value.operation, caught.value.retryable) == ("local", "start", False)
    assert driver.provider.classify(caught.value).code is ErrorCode.INVALID_SPEC
    assert not list((shop.root / "jobs").iterdir())


def test_root_in_an_unknown_home_folder_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"root.*home folder that is not known"):
        LocalProvider("local", {"root": "~nobody-of-this-name/root"})


def test_root_that_cannot_be_made_is_a_refusal(shop: Workshop) -> None:
    (shop.folder / "file").touch()
    driver = shop.driver(root=str(shop.folder / "file" / "root"))
    with pytest.raises(ProviderError) as caught:
        shop.submit(driver, MediaInfo(input=shop.clip))
    assert driver.provider.classify(caught.value).code is ErrorCode.PROVIDER_INTERNAL


def test_cancel_of_an_unknown_job_is_refused(shop: Workshop) -> None:
    driver = shop.driver()
    with pytest.raises(ProviderError) as caught:
        shop.cancel(Member(role="run", native_id="never-run"))
    assert driver.provider.classify(caught.value).code is ErrorCode.LOST


@pytest.mark.parametrize(
    ("spec", "options", "word"),
    [
        (SmartProduction(input="a.mp4", output="b.txt", function="ASR"), None, "ASR"),
        (MediaInfo(input="s3://bucket/a.mp4"), None, "s3://"),
        (Snapshot(input="a.mp4", output="oss://bucket/a.png"), None, "oss://"),
        (MediaInfo(input="a.mp4"), LocalOptions(extra={"fast": True}), "extra"),
    ],
)
def test_what_this_machine_cannot_express_is_unsupported(
    shop: Workshop, spec: JobSpec[Any], options: LocalOptions | None, word: str
) -> None:
    with pytest.raises(UnsupportedError, match=word):
        shop.driver().provider.check(spec, options)
    assert not shop.root.exists()


def test_missing_packages_are_named_with_the_command_that_brings_them(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediabroker_local.provider.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"av.*pip install 'mediabroker\[local\]'"):
        shop.driver().provider.check(MediaInfo(input=shop.clip), None)


def test_package_is_imported_without_any_media_library(shop: Workshop) -> None:
    done = shop.python(
        "import sys\n"
        "blocked = ('av', 'numpy', 'onnxruntime', 'ffmpeg', 'imageio_ffmpeg', 'PIL', 'neuron_worker')\n"
        "sys.modules.update(dict.fromkeys(blocked))\n"
        "from mediabroker_local import LocalOptions, LocalProvider\n"
        "print(LocalProvider('local', {'root': root}).capabilities().kinds)\n"
    )
    assert done.returncode == 0, done.stderr
    assert "super_resolution" in done.stdout


@pytest.mark.parametrize("settings", [{"max_paralel": 2}, {"max_parallel": 0}, {"cancel_grace_s": "soon"}])
def test_wrong_settings_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=rf"providers\.mine: {next(iter(settings))}"):
        LocalProvider("mine", settings)


def test_submit_flow_yields_the_same_call_each_time(shop: Workshop) -> None:
    provider, spec = shop.driver().provider, shop.transcode()
    context = new_context(spec)
    first, again = (next(provider.submit(spec, LocalOptions(nice=5), context)) for _ in range(2))
    assert first.digest == again.digest
    assert first.effect == "create"


@pytest.mark.parametrize(("end", "uri"), [("input", "/somewhere/in/"), ("output", "/somewhere/out/")])
def test_a_transcode_of_or_into_a_folder_is_refused_before_anything_is_stored(end: str, uri: str) -> None:
    fields: dict[str, Any] = {"input": "/somewhere/a.mp4", "output": "/somewhere/b.m3u8", "container": "hls", end: uri}
    with pytest.raises(UnsupportedError, match=f"{end}: .* is a folder"):
        LocalProvider("local", {}).check(Transcode.model_validate(fields), None)
