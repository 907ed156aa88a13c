"""What turns scores into text in C: the draw, and the table of symbols."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.data import Vocabulary
from zoo.export.c.text import string

# C99 promises 4,095 characters, and a byte may take four.
_LONGEST = 1000

# The random numbers of zoo.kernels.random, and the draw of zoo.kernels.stream, in float64.
_SAMPLE = """\
static uint64_t scramble(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* from zero to less than one */
static double uniform(uint64_t seed, uint64_t draw)
{
    const uint64_t gamma = UINT64_C(0x9E3779B97F4A7C15);
    const uint64_t start = scramble(seed + gamma);
    return (double)(scramble(start + draw * gamma + gamma) >> 11) / 9007199254740992.0;
}

int PREFIX_sample(const REAL scores[UPPER_OUTPUTS], double temperature, PREFIX_random *random)
{
    const double u = uniform(random->seed, random->draws++);
    int best = 0, found = -1;
    for (int token = 0; token < UPPER_OUTPUTS; token++) {
        if (!(scores[token] < INFINITY))
            return -1;
        best = scores[token] > scores[best] ? token : best;
    }
    if (!(scores[best] > -INFINITY))
        return -1;
    if (temperature <= 0)
        return best;
    double total = 0, below = 0;
    for (int token = 0; token < UPPER_OUTPUTS; token++)
        total += exp(((double)scores[token] - (double)scores[best]) / temperature);
    for (int token = 0; token < UPPER_OUTPUTS && below <= u * total; token++) {
        const double weight = exp(((double)scores[token] - (double)scores[best]) / temperature);
        below += weight;
        found = weight > 0 ? token : found;
    }
    return found;
}
"""

_TOKEN = """\
int PREFIX_token(const char *text, size_t length)
{
    int found = -1;
    for (int token = 0; token < UPPER_OUTPUTS; token++) {
        const PREFIX_symbol symbol = PREFIX_symbols[token];
        if (symbol.length <= length && memcmp(symbol.text, text, symbol.length) == 0
            && (found < 0 || symbol.length > PREFIX_symbols[found].length))
            found = token;
    }
    return found;
}
"""


def sampling_lines(prefix: str, kind: str) -> str:
    """The functions that draw a token and look one up."""
    text = f"{_SAMPLE}\n{_TOKEN}"
    return text.replace("PREFIX", prefix).replace("UPPER", prefix.upper()).replace("REAL", kind)


def symbol_lines(vocabulary: Vocabulary, prefix: str) -> Iterator[str]:
    """The table of symbols, every byte that is not plainly itself written as its number."""
    yield f"const {prefix}_symbol {prefix}_symbols[{prefix.upper()}_OUTPUTS] = {{"
    for symbol in vocabulary:
        data = bytes([symbol]) if isinstance(symbol, int) else symbol.encode("utf-8")
        yield f"    {{{_text(data)}, {len(data)}}},"
    yield "};"


def _text(data: bytes) -> str:
    """The bytes of a symbol: a string, unless it would be longer than every compiler must take."""
    if len(data) <= _LONGEST:
        return string(data)
    return f"(const char[]){{{', '.join(str(byte - 256 * (byte > 127)) for byte in data)}}}"
