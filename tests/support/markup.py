"""HTML read back: what a browser would make of it."""

from __future__ import annotations

from html.parser import HTMLParser

_EMPTY = {"br", "hr", "img"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read_html(html: str) -> tuple[list[tuple[str, dict[str, str | None]]], list[str]]:
    """The tags with their attributes, and the texts; every tag must be closed in its turn."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open, f"not closed: {reader.open}"
    return reader.tags, reader.texts


def cells(html: str) -> list[str]:
    """The texts of an HTML fragment, without the empty ones."""
    return [text.strip() for text in read_html(html)[1] if text.strip()]
