from __future__ import annotations

import os
import pickle
import string
import traceback
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mediabroker.absent import Absent
from mediabroker.errors import InvalidJobError
from mediabroker.refs import JobRef, MediaURI, MemberRef, token_for
from tests.unit.core.names import CONTROL_NAMES, HOSTILE_NAMES

PRINTABLE = st.characters(exclude_categories=("Cc", "Cs"))
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9\-]{1,20}[a-z0-9]", fullmatch=True)
KEYS = st.text(PRINTABLE, min_size=1, max_size=200)
WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40)


class Holder(BaseModel):
    uri: MediaURI


@given(st.sampled_from(["s3", "oss"]), BUCKETS, KEYS)
def test_object_uris_keep_bucket_and_key_literally(scheme: str, bucket: str, key: str) -> None:
    uri = MediaURI(f"{scheme}://{bucket}/{key}")
    assert (uri.scheme, uri.bucket, uri.key) == (scheme, bucket, key)
    assert str(uri) == f"{scheme}://{bucket}/{key}"


@given(st.sampled_from(["s3", "oss"]), BUCKETS, KEYS)
def test_object_uris_read_back_as_themselves(scheme: str, bucket: str, key: str) -> None:
    uri = MediaURI(f"{scheme}://{bucket}/{key}")
    again = MediaURI(str(uri))
    assert (again, again.scheme, again.bucket, again.key, again.region) == (uri, scheme, bucket, key, None)


@given(st.text(PRINTABLE, min_size=1, max_size=100).filter(lambda text: "://" not in text and text.strip()))
def test_plain_paths_become_file_uris_that_read_back_as_the_same_path(text: str) -> None:
    uri = MediaURI(text if not text.startswith("~") else "./" + text)
    assert uri.scheme == "file"
    assert uri.path.is_absolute()
    assert MediaURI(str(uri)).key == uri.key


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_the_paths_that_the_system_would_take_them_for(name: str, tmp_path: Path) -> None:
    text = f"{tmp_path}/{name}"
    uri = MediaURI(text)
    assert uri.path == Path(os.path.normpath(text))
    assert MediaURI(str(uri)).path == uri.path


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_literal_keys(name: str) -> None:
    uri = MediaURI(f"s3://bucket/{name}")
    assert uri.key == name
    assert Holder.model_validate_json(Holder(uri=uri).model_dump_json()).uri.key == name


@pytest.mark.parametrize("name", CONTROL_NAMES)
@pytest.mark.parametrize("prefix", ["", "s3://bucket/", "oss://bucket/", "file:///", "https://h/"])
def test_control_characters_are_refused_everywhere(name: str, prefix: str) -> None:
    with pytest.raises(InvalidJobError, match="control character"):
        MediaURI(prefix + name)


@pytest.mark.parametrize("encoded", ["%00", "%0a", "%1b"])
def test_encoded_control_characters_are_refused_in_file_uris(encoded: str) -> None:
    with pytest.raises(InvalidJobError):
        MediaURI(f"file:///a{encoded}b")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("ftp://h/a", "scheme 'ftp'"),
        ("http://h/a", "scheme 'http'"),
        ("S3://bucket/key", "scheme 'S3'"),
        ("s3://bucket", "key"),
        ("s3://bucket/", "key"),
        ("s3:///key", "bucket name"),
        ("s3://b/key", "'b' is not a bucket name; those have 3 to 63 characters: lower-case letters, digits, hyphens"),
        ("s3://UPPER/key", "bucket name"),
        ("s3://a/key", "bucket name"),
        ("oss://-ab/key", "bucket name"),
        ("s3://bucket/" + "é" * 513, "1024 bytes"),
        ("file://host/a", "three slashes"),
        ("file://", "three slashes"),
        ("https://", "host"),
        ("https:///a", "host"),
    ],
)
def test_malformed_uris_are_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(InvalidJobError, match=complaint):
        MediaURI(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@h/a",
        "https://user@h/a",
        "ftp://user:hunter2@h/a",
        "https://user:hunter2@/a",
        "https://user:hunter2@h/a\nb",
        "https://user:hunter2@h/a%0ab",
        "https://user:hunter2/more@h/a",
        "https://user:more/hunter2@h/a",
        "https://user:more@hunter2@h/a",
        "https://user:hunter2@h:port/a",
        "https://user:hunter2@℀/a",
        "ftp://user:more/hunter2@h/a",
        "ftp://user:more@hunter2@h/a",
        "file://user:hunter2@h/a",
        "s3://user:hunter2@bucket/a",
        "oss://user:more/hunter2@bucket/a",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        MediaURI(text)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_an_https_uri_stays_as_it_was_written() -> None:
    uri = MediaURI("https://H.example:8443/a/../b%20c.mp4?sign=1#x")
    assert str(uri) == "https://H.example:8443/a/../b%20c.mp4?sign=1#x"
    assert (uri.bucket, uri.key, uri.name) == ("h.example", "a/../b c.mp4", "b c.mp4")


@pytest.mark.parametrize("text", ["https://h:notaport/a", "https://[::1/a", "https://[x]/a"])
def test_unreadable_hosts_are_refused_as_invalid_jobs(text: str) -> None:
    with pytest.raises(InvalidJobError):
        MediaURI(text)


def test_alibaba_endpoint_form_keeps_its_region() -> None:
    uri = MediaURI("oss://media.oss-cn-shanghai.aliyuncs.com/a/b.mp4")
    assert (uri.bucket, uri.key, uri.region) == ("media", "a/b.mp4", "cn-shanghai")
    assert MediaURI("oss://media.oss-cn-shanghai-internal.aliyuncs.com/a").region == "cn-shanghai"
    assert MediaURI(str(uri)).region == "cn-shanghai"


def test_relative_paths_stand_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert MediaURI("a.mp4").path == tmp_path / "a.mp4"
    assert MediaURI("sub/../a.mp4") == MediaURI("a.mp4")


@pytest.mark.parametrize("text", ["folder/", "s3://bucket/folder/", "file:///folder/"])
def test_a_trailing_slash_means_folder(text: str) -> None:
    assert MediaURI(text).is_folder
    assert MediaURI(text).name == "folder"
    assert not MediaURI(text.rstrip("/")).is_folder


def test_only_file_uris_have_a_path() -> None:
    with pytest.raises(InvalidJobError, match="not a local file"):
        _ = MediaURI("s3://bucket/key").path


@pytest.mark.parametrize("value", [None, 3, b"a", ["a"]])
def test_only_text_and_paths_are_read_as_uris(value: object) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"uri": value})


@pytest.mark.parametrize(
    "text", ["a.mp4", "s3://bucket/key", "oss://bkt.oss-eu-west-1.aliyuncs.com/k", "https://h/a?b"]
)
def test_uris_survive_pickling_with_their_parts(text: str) -> None:
    uri = MediaURI(text)
    twin = pickle.loads(pickle.dumps(uri))
    assert (twin, twin.scheme, twin.bucket, twin.key, twin.region) == (uri, uri.scheme, uri.bucket, uri.key, uri.region)


NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
ROLES = st.text(string.ascii_lowercase + string.digits + "-.[]", min_size=1)
REFS = st.builds(
    JobRef,
    job_id=WORDS,
    provider=WORDS,
    kind=WORDS,
    account=st.none() | WORDS,
    region=st.none() | WORDS,
    members=st.lists(
        st.builds(
            MemberRef,
            role=st.text(string.ascii_lowercase + "-.[]0123456789", min_size=1),
            native_id=WORDS,
            absent=st.none() | st.builds(Absent, source=st.none() | WORDS, since=st.none() | st.just(NOW)),
        ),
        max_size=4,
    ).map(tuple),
)


@given(REFS)
def test_job_references_read_back_as_they_were_printed(ref: JobRef) -> None:
    assert JobRef.parse(str(ref)) == ref


def test_a_reference_of_an_older_release_says_why_a_part_has_no_vendor_job() -> None:
    ref = JobRef.parse(
        "job:1/fn/transcode/j?member=file%3Anot-mp4%3As3%3A%2F%2Fb%2Fa.txt&member=file%3As3%3A%2F%2Fb%2Fw"
    )
    absent, there = ref.members
    assert absent.absent == Absent(reason="rejected", code="not-mp4", source="s3://b/a.txt")
    assert (there.native_id, there.absent) == ("s3://b/w", None)
    assert JobRef.parse(str(ref)) == ref


@given(REFS)
def test_job_references_are_one_line_of_plain_characters(ref: JobRef) -> None:
    assert str(ref).isascii()
    assert len(str(ref).split()) == 1


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, *CONTROL_NAMES[:-1]])
def test_hostile_names_survive_in_a_job_reference(name: str) -> None:
    ref = JobRef(job_id=name, provider=name, kind=name, account=name, members=(MemberRef(role="run", native_id=name),))
    assert JobRef.parse(str(ref)) == ref


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job:1",
        "job:1/",
        "job:1/a/b",
        "job:1/a/b/c/d",
        "job:1//b/c",
        "job:2/a/b/c",
        "JOB:1/a/b/c",
        "job:1/a/b/c?member=run",
        "job:1/a/b/c?member=:id",
        "job:1/a/b/c?colour=red",
        "https://x/y/z",
        "\x00",
    ],
)
def test_what_is_no_job_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidJobError):
        JobRef.parse(text)


@given(st.text(max_size=60))
def test_no_text_makes_the_reference_parser_raise_anything_else(text: str) -> None:
    for candidate in (text, f"job:1/{text}", f"job:1/a/b/c?{text}"):
        with suppress(InvalidJobError):
            JobRef.parse(candidate)


@given(st.text(max_size=60))
def test_no_text_makes_the_uri_reader_raise_anything_else(text: str) -> None:
    for prefix in ("", "s3://", "oss://", "file://", "https://"):
        with suppress(InvalidJobError):
            MediaURI(prefix + text)


def test_tokens_under_a_key_need_the_key_and_say_their_form() -> None:
    old, keyed = token_for("job", 1), token_for("job", 1, key=b"k" * 32)
    assert keyed == token_for("job", 1, key=b"k" * 32)
    assert len({old, keyed, token_for("job", 2, key=b"k" * 32), token_for("job", 1, key=b"j" * 32)}) == 4
    assert (keyed[0], len(old), len(keyed)) == ("v", 26, 27)
    assert old == "z47eknzofuw34aykeyazb2227y", "tokens of attempts that earlier releases have stored"


def test_a_relative_path_in_a_deleted_working_directory_asks_for_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InvalidJobError, match=r"in\.mp4.*absolute path"):
        MediaURI("in.mp4")
    assert MediaURI("/in.mp4").key == "/in.mp4"
