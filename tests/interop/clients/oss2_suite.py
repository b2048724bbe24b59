"""oss2's own integration suite, from its source distribution, aimed at the simulator; one line a test.

Run in the suite's folder. What is left out needs something that no simulator here has; the reason stands beside it.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
import unittest
from collections.abc import Iterator
from typing import Any

sys.path.insert(0, ".")
import oss2

from tests import common

BUDGET_S = 45
MODULES = ("test_object", "test_multipart", "test_iterator", "test_chinese", "test_put_object_chunked")
LEFT_OUT = {
    "a feature that is not simulated": ("tagging", "restore", "process", "callback", "live_channel"),
    "unpacking and packing on the way": ("gzip_get", "url_to_file_chunked"),
    "a picture that is not in the source distribution": ("put_object_with_sign_url", "get_object_with_sign_url"),
    "an endpoint too slow to answer in a millisecond": ("timeout",),
    "the vendor's own host, written into the test": ("test_list_objects", "sequential", "sequenial"),
    "XML that is not well-formed": ("test_batch_delete_objects",),
}


def without_kms(choices: Any, choose: Any = random.choice) -> Any:
    """The tests draw a kind of bucket; one of them needs the vendor's key service."""
    kept = [each for each in choices if not isinstance(getattr(each, "crypto_provider", None), oss2.AliKMSProvider)]
    return choose(kept or choices)


def tests(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from tests(each)
        else:
            yield each


def main() -> None:
    logging.disable(logging.CRITICAL)
    random.choice = without_kms
    common.wait_meta_sync = lambda: None  # the simulator has nothing to synchronise
    loaded = unittest.defaultTestLoader.loadTestsFromNames([f"tests.{each}" for each in MODULES])
    words = [word for group in LEFT_OUT.values() for word in group]
    wanted = [each for each in tests(loaded) if not any(word in each.id() for word in words)]
    ends_s = time.monotonic() + BUDGET_S
    for test in wanted:
        name = test.id().removeprefix("tests.")
        if time.monotonic() > ends_s:
            sys.stdout.write(json.dumps({"check": name, "outcome": f"not begun within {BUDGET_S} s"}) + "\n")
            continue
        result = unittest.TestResult()
        test.run(result)
        trouble = [text.strip().splitlines()[-1] for _, text in (*result.failures, *result.errors)]
        sys.stdout.write(json.dumps({"check": name, "outcome": trouble[0][:300] if trouble else "ok"}) + "\n")
        sys.stdout.flush()


main()
