"""Text of files and plugins on a terminal: what would steer the terminal is made visible."""

from __future__ import annotations

# What a terminal obeys instead of showing it: controls (C0 and C1), and marks and overrides of direction, by
# which a line reads otherwise than it is written. A model that is trained on such bytes writes them.
_CONTROLS = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
_ESCAPES = {code: ascii(chr(code))[1:-1] for code in _CONTROLS if chr(code) not in "\n\t"}

LONGEST = 2000
"""Characters of a sentence: an error may quote a whole file."""


def harmless(text: str) -> str:
    """The text with its controls as escape sequences of Python; newlines and tabs stay."""
    return text.translate(_ESCAPES)


def cut(text: str, longest: int = LONGEST) -> str:
    """A text of about so many characters: of a longer one the start, its length, and the end."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 3 // 4]} ... ({len(text):,} characters) ... {text[-(longest // 4) :]}"
