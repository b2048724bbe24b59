"""The reference page of smart production is the code's own."""

from __future__ import annotations

from pathlib import Path

from mediabroker_alibaba.catalogue_page import build_page

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "smart-production.md"


def test_the_page_is_what_make_docs_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == build_page(), "run make docs"
