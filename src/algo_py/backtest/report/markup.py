"""HTML that cannot be broken by its content: text is escaped unless it was made here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any


class Markup(str):
    """HTML as it is to stand in the page. Only functions of this module make it."""

    __slots__ = ()


Content = str | Iterable["Content"] | None


def element(name: str, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """Build an element. Text is escaped, Markup is taken as it is, None is left out.

    Attributes: `_` becomes `-`, a leading or trailing `_` is dropped (`class_`), False and None are left out, True has no value.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False)
    if name in ("meta", "path", "rect", "line", "circle"):
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{together(content)}</{name}>")


def together(content: Content) -> Markup:
    """Join content: nested lists are walked, text is escaped, None is left out."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(escape(content, quote=False))
    return Markup("".join(together(one) for one in content))


def embedded_json(value: Any, *, element_id: str) -> Markup:
    """Build a data block for scripts. No text in it can end the block or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{escape(element_id)}">{text}</script>')


def _attribute(key: str, value: object) -> str:
    name = key.strip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
