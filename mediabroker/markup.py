"""XML from strangers: bounded in size and depth, without document types, entities or anything that is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mediabroker.errors import MediaBrokerError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element, TreeBuilder

__all__ = ["MARKUP_DEPTH_LIMIT", "MARKUP_LIMIT_BYTES", "MarkupError", "load_markup", "local_name"]

MARKUP_LIMIT_BYTES = 1 << 20
MARKUP_DEPTH_LIMIT = 32


class MarkupError(MediaBrokerError, ValueError):
    """The document cannot be used; the text says why and quotes nothing of it."""


def load_markup(body: bytes, *, limit_bytes: int = MARKUP_LIMIT_BYTES) -> Element:
    """The root element of an XML document.

    Raises:
        MarkupError: over the limit, nested deeper than 32, not well-formed, or with a document type, and thus perhaps
            entities, which could make a small document a large one or fetch another.
    """
    # Loaded when the first document comes: whoever only imports the product does not pay for a parser.
    from xml.etree.ElementTree import ParseError, TreeBuilder  # noqa: PLC0415  only its builder and its error

    from defusedxml import DefusedXmlException  # noqa: PLC0415
    from defusedxml.ElementTree import DefusedXMLParser  # noqa: PLC0415

    if len(body) > limit_bytes:
        raise MarkupError(f"the document has {len(body)} bytes, more than {limit_bytes}")
    parser = DefusedXMLParser(target=_Shallow(TreeBuilder()), forbid_dtd=True)
    try:
        parser.feed(body)
        root: Element = parser.close()
    except DefusedXmlException as error:  # also a ValueError
        raise MarkupError(f"the document is refused: {type(error).__name__}") from None
    except ParseError as error:
        raise MarkupError(f"the document is not XML: {error.msg}") from None
    except MarkupError:
        raise
    except (LookupError, ValueError):
        raise MarkupError("the document is in an encoding that cannot be read") from None
    return root


class _Shallow:
    """Builds a tree, and stops before it gets too deep to be freed again without trouble."""

    def __init__(self, builder: TreeBuilder) -> None:
        self._builder = builder
        self._depth = 0
        self.data = builder.data
        self.close = builder.close

    def start(self, tag: str, attributes: dict[str, str]) -> Element:
        self._depth += 1
        if self._depth > MARKUP_DEPTH_LIMIT:
            raise MarkupError(f"the document is nested deeper than {MARKUP_DEPTH_LIMIT}")
        return self._builder.start(tag, attributes)

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return self._builder.end(tag)


def local_name(element: Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]
