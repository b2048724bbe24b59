"""The body of `POST /`: every wrong one is named field by field, every right one becomes a job."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker_aws.functions.proxy import RefusedError
from mediabroker_aws.functions.upscale.order import CONTAINERS, InvalidOrderError, Order, parse_order
from mediabroker_aws.functions.upscale.settings import UpscaleSettings, load_settings
from neuron_worker.video.containers import CONTAINERS as WRITTEN

_SETTINGS: dict[str, Any] = {"bucket": "media", "job_definition": "upscale", "queue_spot": "spot"}
SETTINGS = UpscaleSettings(**_SETTINGS)
PREFIXED = UpscaleSettings(**_SETTINGS, input_prefix="in/", output_prefix="/out")

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_fields = st.sampled_from([*Order.model_fields, "kye", "Scale", ""])


def wrong(fields: dict[str, Any], settings: UpscaleSettings = SETTINGS) -> dict[str, Any]:
    """The one finding."""
    with pytest.raises(InvalidOrderError) as caught:
        parse_order(fields).spec(settings)
    assert pickle.loads(pickle.dumps(caught.value)).findings == caught.value.findings
    (finding,) = caught.value.findings
    return finding


def test_the_defaults_are_the_originals() -> None:
    spec = parse_order({"key": "xxxx.mp4"}).spec(SETTINGS)
    assert (spec.input, spec.scale, spec.debug, spec.slice_s) == ("s3://media/xxxx.mp4", 2, False, 60.0)
    assert parse_order({"key": "xxxx.mp4"}).options.capacity == "spot"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scale", 3),
        ("scale", "3"),
        ("scale", True),
        ("scale", None),
        ("scale", [2]),
        ("task", "train"),
        ("task", None),
        ("env", "ondemand"),
        ("env", ""),
        ("overwrite", "yes"),
        ("overwrite", 1),
        ("segment_time", 0),
        ("segment_time", "soon"),
        ("segment_time", True),
        ("segment_time", None),
        ("segment_time", 1e9),
        ("model", "../weights"),
        ("output", "a.gif"),
        ("output", "../a.mp4"),
        ("output", None),
        ("output", "folder/"),
        ("encoder", "h264"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(field: str, value: Any) -> None:
    finding = wrong({"key": "a.mp4", field: value})
    assert (finding["field"], finding["value"]) == (field, value)
    assert finding["expected"]
    assert finding["problem"]


def test_a_wrong_value_inside_the_encoder_is_named() -> None:
    assert wrong({"key": "a.mp4", "encoder": {"crf": 99}})["field"] == "encoder.crf"


@pytest.mark.parametrize(
    "key",
    [
        *("", "/a.mp4", "a//b.mp4", "../a.mp4", "a/../b.mp4", "a/./b.mp4", "a/", "a\\b.mp4", "a\nb.mp4", "\ud800.mp4"),
        *("s3://media/a.mp4", "ü" * 513, 7, None, ["a.mp4"]),
    ],
)
def test_a_key_that_is_none_is_refused(key: Any) -> None:
    assert wrong({"key": key})["field"] == "key"


@pytest.mark.parametrize(
    "key", ["a b.mp4", 'it\'s "x".mp4', "a#b%20c?.mp4", "a..b.mp4", "文/ü.mp4", "#", "k" * 1013 + ".mp4", "a.avi"]
)
def test_odd_keys_are_keys(key: str) -> None:
    spec = parse_order({"key": key}).spec(SETTINGS)
    assert spec.input.key == key
    assert spec.output != spec.input


def test_a_key_whose_output_would_be_too_long_asks_for_an_output() -> None:
    long = "k" * 1020 + ".mp4"
    assert wrong({"key": long})["field"] == "key"
    assert parse_order({"key": long, "output": "short.mp4"}).spec(SETTINGS).output.key == "short.mp4"


def test_a_missing_key_and_an_unknown_field_are_both_told() -> None:
    with pytest.raises(InvalidOrderError) as caught:
        parse_order({"kye": "a.mp4"})
    missing, unknown = sorted(caught.value.findings, key=lambda each: str(each["field"]))
    assert (missing["field"], missing["problem"]) == ("key", "it is missing")
    assert (unknown["field"], unknown["expected"]) == ("kye", "key?")


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"key": "a/film.mp4"}, "a/film_x2.mp4"),
        ({"key": "film.MOV", "scale": "4"}, "film_x4.MOV"),
        ({"key": "film.webm"}, "film_x2.mkv"),
        ({"key": "film"}, "film_x2.mkv"),
        ({"key": "film.mp4", "output": "made/it.mkv"}, "made/it.mkv"),
    ],
)
def test_the_output_lies_beside_its_source_unless_named(fields: dict[str, Any], output: str) -> None:
    assert parse_order(fields).spec(SETTINGS).output == f"s3://media/{output}"


def test_prefixes_bound_what_is_read_and_written() -> None:
    assert parse_order({"key": "in/a/film.mp4"}).spec(PREFIXED).output.key == "out/a/film_x2.mp4"
    assert wrong({"key": "inside/film.mp4"}, PREFIXED)["field"] == "key"
    assert wrong({"key": "in/film.mp4", "output": "output/film.mp4"}, PREFIXED)["field"] == "output"


@pytest.mark.parametrize("fields", [{"key": "wip/a.mp4"}, {"key": "a.mp4", "output": "wip/x/manifest.mp4"}])
def test_the_services_own_folder_is_out_of_reach(fields: dict[str, Any]) -> None:
    assert "wip/" in wrong(fields)["problem"]


def test_a_source_is_not_its_own_output() -> None:
    assert "lost" in wrong({"key": "a.mp4", "output": "a.mp4"})["problem"]


def test_a_capacity_without_a_queue_is_refused() -> None:
    assert wrong({"key": "a.mp4", "env": "onDemand"})["expected"] == '"spot"'


def test_a_field_left_out_and_its_default_are_the_same_request() -> None:
    plain = parse_order({"key": "a.mp4"})
    assert parse_order({"key": "a.mp4", "scale": "2", "task": "inference"}).fingerprint == plain.fingerprint
    assert parse_order({"key": "a.mp4", "scale": 4}).fingerprint != plain.fingerprint


def test_the_suffixes_are_those_that_the_worker_writes() -> None:
    assert set(CONTAINERS) == set(WRITTEN)


@given(st.dictionaries(_fields, _json, max_size=4))
def test_no_body_is_answered_with_anything_but_a_job_or_findings(fields: dict[str, Any]) -> None:
    try:
        spec = parse_order(fields).spec(SETTINGS)
    except RefusedError as refusal:
        assert isinstance(refusal, InvalidOrderError)
        assert refusal.status == 400
        json.dumps(refusal.findings, allow_nan=False)
        assert all(each["field"] or "" in fields for each in refusal.findings)
        assert all(each["expected"] for each in refusal.findings)
    else:
        assert spec.input.key == fields["key"]


@given(st.text(min_size=1, max_size=40))
def test_every_key_is_refused_or_kept_to_the_letter(key: str) -> None:
    try:
        assert parse_order({"key": key}).spec(SETTINGS).input.key == key
    except InvalidOrderError as refusal:
        assert refusal.findings[0]["field"] == "key"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BUCKET", "No_Bucket"),
        ("BUCKET", ""),
        ("JOB_DEFINITION", ""),
        ("QUEUE_SPOT", ""),
        ("SLICE_S", "0"),
        ("SETTLE_TIME_S", "x"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    right = {"BUCKET": "media", "JOB_DEFINITION": "upscale", "QUEUE_SPOT": "spot"}
    for name, each in {**right, variable: value}.items():
        monkeypatch.setenv(f"MEDIABROKER_UPSCALE_{name}", each)
    with pytest.raises(ValueError, match=r"MEDIABROKER_UPSCALE_") as caught:
        load_settings()
    named = "queue" if variable == "QUEUE_SPOT" else variable.lower()
    assert named in str(caught.value)
