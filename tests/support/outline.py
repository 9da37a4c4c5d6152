"""A page as tests read it: its elements, its form fields, the text a person sees."""

from collections.abc import Mapping
from html.parser import HTMLParser


class Outline(HTMLParser):
    """Elements, their attributes and all visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Mapping[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    def fields(self) -> dict[str, Mapping[str, str | None]]:
        """Form fields by their names."""
        return {
            attrs["name"] or "": attrs
            for tag, attrs in self.elements
            if tag in {"input", "textarea"} and "name" in attrs
        }

    def targets(self) -> list[str]:
        """Where its links, forms and images lead."""
        found = (attrs.get(name) for _, attrs in self.elements for name in ("href", "src", "action"))
        return [target for target in found if target is not None]


def text_of(html: str) -> str:
    """What a person reads, in one line."""
    return Outline(html).text
