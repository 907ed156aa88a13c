"""Check the words of names, docstrings, comments and documents, and the style of prose that users read.

    python tools/check_words.py             # everything that git tracks
    python tools/check_words.py zoo/layers  # one folder

The words, what to write instead, and the exceptions with their reasons are in ``tools/words.toml``. Each
finding is one line, ``file:line: word: write "..."``. The program exits with 1 if there is one.

Style (the tables ``style`` and ``semicolons``) is checked in the text that users read: documents, public
docstrings, and the strings of messages, help texts and cards.
"""

from __future__ import annotations

import argparse
import ast
import functools
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
WORDS = Path(__file__).with_name("words.toml")
_PART_OF_NAME = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_INLINE_CODE = re.compile(r"``.*?``|`[^`]*`", re.DOTALL)
_CODE_BLOCK = re.compile(r"^( *)(`{3,}).*?^\1\2", re.DOTALL | re.MULTILINE)
_HEADING_OR_COMMENT = re.compile(r"^#+ .*$|<!--.*?-->", re.MULTILINE)
_LINK_TARGET = re.compile(r"\]\([^)]*\)|https?://[^\s)>]*")
_USER_VISIBLE = ("zoo/", "plugins/")  # folders whose public docstrings and strings users read
_WORDS_OF_MESSAGE = 3  # shorter strings are names, formats and labels
_GENERATED = ("docs/reference/",)  # from docstrings, which are checked themselves
_SCRIPTS = (".js", ".css")
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
_SCRIPT_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|(?<!:)//[^\n]*)"""
    r"""|(?P<pattern>(?<=[(=,:])\s*/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/)"""
    r"""|(?P<text>"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)"""
    r"""|(?P<name>[A-Za-z_][\w-]*)""",
    re.DOTALL,
)
"""Comments, regular expressions, strings and names of JavaScript and CSS."""
_PYTHON_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<quotes>\"{3}|'{3}).*?(?<!\\)(?:\\\\)*(?P=quotes)"""
    r"""|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""",
    re.DOTALL,
)
"""Comments and strings of Python. ``tokenize`` took a third of the time of this program."""
_GENERATED_PART = re.compile(r"<!-- [^\n]*made by: .*?<!-- end of what was made -->", re.DOTALL)

# Shorthands of the table ``style``. A code block is a run of line breaks here. With `\n\s*\n` in place of
# `\n[^\S\n]*\n`, which matches the same, they took 23 s in docs/cli.md and docs/results-tables.md.
_SHORTHANDS = {
    "<start>": r"(?:\A\s*|[.!?:]\s+|\n[^\S\n]*\n\s*|\n\s*[-*]\s+|\|\s*)",
    "<rest>": r"(?:(?!\n[^\S\n]*\n)[^.?!|])*",
    " ": r"\s+",
}


@functools.lru_cache(maxsize=1)
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


class Finding(NamedTuple):
    """A word that should not be there."""

    file: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.word}: write {self.instead!r}"


class WordList:
    """The words to look for.

    Args:
        names: Word in a name -> what to write instead.
        prose: Regular expression in prose -> what to write instead.
        docstrings: Regular expression at the start of a docstring -> what to write instead.
        exceptions: Words that some files may use: ``files`` (patterns), ``words`` and ``reason``.
        style: Regular expression in prose that users read -> what to write instead. A space matches any white
            space, ``<start>`` the place before a sentence, ``<rest>`` its words up to the full stop.
        semicolons: ``per_1000_words``: how many semicolons a document may have.

    Raises:
        ValueError: if an exception has no reason.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        prose: Mapping[str, str],
        docstrings: Mapping[str, str],
        exceptions: Sequence[Mapping[str, Any]] = (),
        style: Mapping[str, str] | None = None,
        semicolons: Mapping[str, float] | None = None,
    ) -> None:
        for exception in exceptions:
            if not exception.get("reason"):
                raise ValueError(f"an exception has no reason: {dict(exception)}")
        self.names = names
        self.prose = {re.compile(key, re.IGNORECASE): value for key, value in prose.items()}
        self.docstrings = {re.compile(key): value for key, value in docstrings.items()}
        self.exceptions = exceptions
        self.style = {_style_pattern(key): value for key, value in (style or {}).items()}
        self.semicolons = (semicolons or {}).get("per_1000_words")

    def check(self, file: str, text: str) -> Iterator[Finding]:
        """Find everything to change in one file, given its path from the root of the project."""
        if file.endswith(".py"):
            findings = self._check_python(file, text)
        elif file.endswith(_SCRIPTS):
            findings = self._check_script(file, text)
        else:
            findings = self._check_document(file, text)
        for finding in findings:
            if not self._is_excepted(finding):
                yield finding

    def check_style(self, file: str, text: str) -> Iterator[Finding]:
        """Find the sentences to rewrite in the text of one file that users read."""
        texts: list[tuple[int, str]] = []
        messages: list[tuple[int, str]] = []
        if file.endswith(".py"):
            if file.startswith(_USER_VISIBLE):
                tree = _parse(text)
                messages = sorted(_messages(tree))
                texts = [*_public_docstrings(tree), *messages]
        elif file.endswith(_SCRIPTS):
            messages = [(line, each) for kind, line, each in _script_tokens(text) if kind == "text"]
            comments = [(line, each) for kind, line, each in _script_tokens(text) if kind == "comment"]
            texts = [*messages, *comments]
        else:
            text = _GENERATED_PART.sub(lambda part: "\n" * part[0].count("\n"), _without_code_blocks(text))
            texts = [] if file.startswith(_GENERATED) else [(1, text)]
        findings = itertools.chain(
            *(self._check_sentences(file, line, prose) for line, prose in texts),
            *(self._check_prose(file, line, prose) for line, prose in messages),  # others: see `check`
        )
        yield from (finding for finding in findings if not self._is_excepted(finding))

    def _check_sentences(self, file: str, line: int, text: str) -> Iterator[Finding]:
        text = _INLINE_CODE.sub(lambda code: "CODE" + "\n" * code[0].count("\n"), text)
        text = _LINK_TARGET.sub("]", _HEADING_OR_COMMENT.sub("", text) if file.endswith(".md") else text)
        for pattern, instead in self.style.items():
            for match in pattern.finditer(text):
                start = match.start() + len(match[0]) - len(match[0].lstrip(" .!?:|*-\n"))
                words = " ".join(match[0].strip(" .!?:|*-\n").split()[:6])
                yield Finding(file, line + text.count("\n", 0, start), words, instead)
        if self.semicolons is not None and file.endswith(".md"):
            allowed = int(len(text.split()) * self.semicolons / 1000)
            for match in list(re.finditer(r"(?<!&\w\w);(?=\s)", text))[allowed:]:
                yield Finding(file, line + text.count("\n", 0, match.start()), ";", "two sentences")

    def _is_excepted(self, finding: Finding) -> bool:
        return any(
            finding.word.lower() in exception["words"]
            and any(fnmatch(finding.file, p) for p in exception["files"])
            for exception in self.exceptions
        )

    def _check_python(self, file: str, text: str) -> Iterator[Finding]:
        yield from self._check_name(file, 1, Path(file).stem)
        for node in ast.walk(_parse(text)):
            for name in _defined_names(node):
                yield from self._check_name(file, getattr(node, "lineno", 1), name)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                constant = node.body[0].value  # type: ignore[attr-defined]
                yield from self._check_prose(file, constant.lineno, constant.value)
                for pattern, instead in self.docstrings.items():
                    if match := pattern.match(constant.value):
                        yield Finding(file, constant.lineno, match[0], instead)
        line, start = 1, 0
        for match in _PYTHON_TOKEN.finditer(text):
            if match["comment"]:
                line, start = line + text.count("\n", start, match.start()), match.start()
                yield from self._check_prose(file, line, match["comment"])

    def _check_script(self, file: str, text: str) -> Iterator[Finding]:
        names = set()
        for kind, line, token in _script_tokens(text):
            if kind == "comment":
                yield from self._check_prose(file, line, token)
            elif kind == "name" and token not in names:  # definitions come before most uses
                names.add(token)
                yield from self._check_name(file, line, token)

    def _check_document(self, file: str, text: str) -> Iterator[Finding]:
        return self._check_prose(file, 1, _without_code_blocks(text))

    def _check_name(self, file: str, line: int, name: str) -> Iterator[Finding]:
        for part in _PART_OF_NAME.findall(name):
            if part.lower() in self.names:
                yield Finding(file, line, part, self.names[part.lower()])

    def _check_prose(self, file: str, line: int, text: str) -> Iterator[Finding]:
        text = _INLINE_CODE.sub(lambda code: "\n" * code[0].count("\n"), text)
        for pattern, instead in self.prose.items():
            for match in pattern.finditer(text):
                yield Finding(file, line + text.count("\n", 0, match.start()), match[0], instead)


def _defined_names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node defines. Uses do not count: a word is reported once, where it is chosen."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.id if isinstance(node, ast.Name) else node.attr
    elif isinstance(node, ast.alias) and node.asname:
        yield node.asname


def _script_tokens(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield kind, line and text of the tokens of a script or style sheet; a string of one word is a name."""
    for match in _SCRIPT_TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match[0]
        is_word = kind == "text" and len(token.split()) < _WORDS_OF_MESSAGE
        yield "name" if is_word else kind, text.count("\n", 0, match.start()) + 1, token


def _style_pattern(pattern: str) -> re.Pattern[str]:
    for name, expression in _SHORTHANDS.items():
        pattern = pattern.replace(name, expression)
    return re.compile(pattern, re.IGNORECASE)


def _without_code_blocks(text: str) -> str:
    return _CODE_BLOCK.sub(_only_line_breaks, text)


def _only_line_breaks(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _public_docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each public docstring."""
    for node in _public_nodes(tree):
        if ast.get_docstring(node, clean=False):
            constant = node.body[0].value  # type: ignore[attr-defined]
            yield constant.lineno, constant.value


def _messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each string of several words; a value in an f-string reads ``CODE``.

    All of them are searched, whether or not a call raises or prints them there: messages are often assigned
    first, or belong to a table.
    """
    nodes: list[ast.AST] = [tree]
    for node in nodes:  # which grows
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        text = ""
        if isinstance(node, ast.JoinedStr):
            parts = node.values
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "CODE" for part in parts)
            nodes += [part for part in parts if not isinstance(part, ast.Constant)]
        elif isinstance(node, ast.Constant):
            text = node.value if isinstance(node.value, str) else ""
        else:
            nodes += ast.iter_child_nodes(node)
        if len(text.split()) >= _WORDS_OF_MESSAGE:
            yield node.lineno, text  # type: ignore[attr-defined]


def _public_nodes(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> Iterator[Any]:
    yield node
    for child in [] if isinstance(node, ast.FunctionDef) else node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
            yield from _public_nodes(child)


def read_words(path: Path = WORDS) -> WordList:
    """Read a word list from a TOML file."""
    return WordList(**tomllib.loads(path.read_text(encoding="utf-8")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check files, print what to change, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("paths", nargs="*", help="files and folders; everything by default")
    options = parser.parse_args(arguments)
    paths = options.paths or ["zoo", "plugins", "tests", "tools", "docs", "README.md"]
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    words, lines = read_words(), []
    for file in tracked:
        if file.endswith((".py", ".md", ".html", ".template", *_SCRIPTS)) and (ROOT / file).is_file():
            text = (ROOT / file).read_text(encoding="utf-8")
            text = _TAG.sub(_only_line_breaks, text) if file.endswith(".html") else text
            lines += [*map(str, words.check(file, text)), *map(str, words.check_style(file, text))]
    print(*lines, sep="\n", end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
