"""Generated pages are what the code says today."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate import fields
from docs.generate.lines import counted

ROOT = Path(__file__).parents[3]


def test_the_page_of_fields_is_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    fields.main()
    page = (ROOT / "docs/reference/fields.md").read_text()
    assert capsys.readouterr().out == page, "run `make docs`"


@pytest.mark.parametrize("page", ["README.md", "docs/howto/add-a-provider.md"])
def test_counted_lines_of_code_are_those_of_today(page: str) -> None:
    text = (ROOT / page).read_text()
    assert "<!--lines" in text
    assert counted(text) == text, "run `make docs`"
