"""Tokens become text one at a time."""

from __future__ import annotations

import codecs

from zoo.arguments import as_integer
from zoo.data.symbols import Symbols, unknown_token

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class Decoder:
    """Decodes a stream of tokens; made by `Vocabulary.decoder`.

    Bytes are held back until their UTF-8 character is complete, so that what is printed is never half a
    character. All pieces joined, the last being `flush`'s, equal `Vocabulary.decode` of all tokens.
    """

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._utf8 = _Utf8Decoder(errors="replace")

    def push(self, token: int) -> str:
        """Take one token.

        Args:
            token: An integer in 0..V-1.

        Returns:
            The text that is now complete; empty in the middle of a character.

        Raises:
            DataError: If the token is out of range.
        """
        if not 0 <= as_integer(token, "token") < len(self._symbols):
            raise unknown_token(token, len(self._symbols))
        symbol = self._symbols[token]
        return symbol if isinstance(symbol, str) else self._utf8.decode(bytes((symbol,)))

    def flush(self) -> str:
        """End the stream: U+FFFD for a character that stayed incomplete, else nothing."""
        return self._utf8.decode(b"", final=True)
