"""Anybody's text, a study's name above all, where it would mean something: in a terminal and in Markdown."""

from __future__ import annotations

_LITERAL = str.maketrans({"&": "&amp;", "<": "&lt;", "|": "&#124;"} | {sign: f"\\{sign}" for sign in "\\`*_[]~$#!"})


def printable(value: object) -> str:
    """A text without control characters, so that no name can steer a terminal."""
    return "".join(character if character.isprintable() else "�" for character in str(value))


def markdown(text: str) -> str:
    """A text that Markdown shows literally, on one line of a table."""
    return printable(text).translate(_LITERAL)
