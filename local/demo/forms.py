"""Reads a page's form as a browser does: where it goes, and what its fields hold already."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(slots=True, kw_only=True)
class Form:
    """A form of a page; `fields` has what a browser would send if nobody typed anything."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(action=given.get("action", ""), method=given.get("method", "get").lower())
            self.found.append(self._open)
        elif self._open and tag in {"input", "textarea", "select", "button"} and given.get("name"):
            self._open.names.add(given["name"])
            if given.get("type") == "hidden" or "checked" in given:
                self._open.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def post_forms(page: str) -> list[Form]:
    """The page's forms that send something."""
    parser = _Forms()
    parser.feed(page)
    return [form for form in parser.found if form.method == "post"]
