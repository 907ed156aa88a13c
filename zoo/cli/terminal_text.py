"""Safe display of text from files and plugins: control characters become escape sequences."""

from __future__ import annotations

# Characters that control a terminal: C0, C1, and bidirectional marks, which change the order in which a line
# is displayed. A model trained on such bytes prints them.
_CONTROLS = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
_ESCAPES = {code: ascii(chr(code))[1:-1] for code in _CONTROLS if chr(code) not in "\n\t"}

MAX_MESSAGE_CHARACTERS = 2000
"""Largest message in characters: an error may quote a whole file."""


def escape_controls(text: str) -> str:
    """Replace control characters by escape sequences of Python, except newlines and tabs."""
    return text.translate(_ESCAPES)


def shorten_middle(text: str, longest: int = MAX_MESSAGE_CHARACTERS) -> str:
    """Shorten a text of more than ``longest`` characters to its start, its length and its end."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 3 // 4]} ... ({len(text):,} characters) ... {text[-(longest // 4) :]}"
