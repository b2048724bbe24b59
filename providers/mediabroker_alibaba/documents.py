"""XML documents built from plain values, as these services write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

__all__ = ["Tree", "build_document"]

Tree = Mapping[str, "str | Tree | Sequence[str | Tree]"]
"""Elements by name; a sequence repeats the element."""


def build_document(root: str, content: Tree, *, namespace: str | None = None) -> bytes:
    """An XML document, in the namespace if there is one.

    Raises:
        ValueError: text holds a character that XML cannot carry.
    """
    inner = "".join(_elements(content))
    if any(char < " " and char not in "\t\n\r" for char in inner) or "\ufffe" in inner or "\uffff" in inner:
        raise ValueError(f"{root}: the text holds a control character, which XML cannot carry; send it in Base64")
    attribute = f' xmlns="{namespace}"' if namespace else ""
    return f'<?xml version="1.0" encoding="utf-8"?><{root}{attribute}>{inner}</{root}>'.encode()


def _elements(content: Tree) -> Iterable[str]:
    for name, value in content.items():
        for each in [value] if isinstance(value, str | Mapping) else value:
            # A bare carriage return would arrive as a line feed: XML 1.0, 2.11.
            text = escape(each, {"\r": "&#13;"}) if isinstance(each, str) else "".join(_elements(each))
            yield f"<{name}>{text}</{name}>"
