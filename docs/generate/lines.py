"""Write into pages how many lines of code a file has: `python -m docs.generate.lines PAGE...`.

The number stands between `<!--lines PATH PATH-->` and `<!--/lines-->`, paths from the repository's root.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COUNT = re.compile(r"(<!--lines ([^>]+)-->)\d*(<!--/lines-->)")


def counted(page: str) -> str:
    """Return the page with the counts of today."""
    return _COUNT.sub(lambda found: f"{found[1]}{sum(map(code_lines, found[2].split()))}{found[3]}", page)


def code_lines(path: str) -> int:
    """Return the number of lines of a Python file that are neither blank nor comment nor docstring nor import."""
    text = (ROOT / path).read_text(encoding="utf-8")
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
        away = node.body[0] if documented else node if isinstance(node, ast.Import | ast.ImportFrom) else None
        if away is not None:
            left_out.update(range(away.lineno, (away.end_lineno or away.lineno) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(1 for at, line in lines if line.strip() and not line.strip().startswith("#") and at not in left_out)


def main() -> None:
    for name in sys.argv[1:]:
        page = ROOT / name
        page.write_text(counted(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
