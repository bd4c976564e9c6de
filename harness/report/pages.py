"""Pages: templates filled with escaped texts, and the scripts and styles that are copied into them whole."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = "web"


@cache
def environment() -> Environment:
    """Every text is escaped; a name that a template does not get is an error."""
    found = Environment(
        loader=PackageLoader("harness.report", _FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    found.globals["asset"] = asset
    return found


def page(template: str, **content: object) -> str:
    """The page that a template of `web/` makes of its content."""
    return environment().get_template(template).render(**content)


def asset(name: str) -> Markup:
    """One of our own scripts or style sheets, whole."""
    return Markup(files("harness.report").joinpath(_FOLDER, name).read_text(encoding="utf-8"))


def embedded(content: str) -> Markup:
    """JSON that may stand inside a script element: no character of it can end the element."""
    for character in "<>&":
        content = content.replace(character, f"\\u{ord(character):04x}")
    return Markup(content)
