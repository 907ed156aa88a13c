"""Look for words that the project does not use, in names, docstrings, comments and documents.

    python tools/check_words.py             # everything that git tracks
    python tools/check_words.py zoo/layers  # one folder

The words, what to write instead, and the exceptions with their reasons are in ``tools/words.toml``. Each
finding is one line, ``file:line: word: write "..."``. The program exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
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

    Raises:
        ValueError: if an exception has no reason.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        prose: Mapping[str, str],
        docstrings: Mapping[str, str],
        exceptions: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        for exception in exceptions:
            if not exception.get("reason"):
                raise ValueError(f"an exception has no reason: {dict(exception)}")
        self.names = names
        self.prose = {re.compile(key, re.IGNORECASE): value for key, value in prose.items()}
        self.docstrings = {re.compile(key): value for key, value in docstrings.items()}
        self.exceptions = exceptions

    def check(self, file: str, text: str) -> Iterator[Finding]:
        """Find everything to change in one file, given its path from the root of the project."""
        findings = (
            self._check_python(file, text) if file.endswith(".py") else self._check_document(file, text)
        )
        for finding in findings:
            if not self._is_excepted(finding):
                yield finding

    def _is_excepted(self, finding: Finding) -> bool:
        return any(
            finding.word.lower() in exception["words"]
            and any(fnmatch(finding.file, p) for p in exception["files"])
            for exception in self.exceptions
        )

    def _check_python(self, file: str, text: str) -> Iterator[Finding]:
        yield from self._check_name(file, 1, Path(file).stem)
        tree = ast.parse(text)
        for node in ast.walk(tree):
            for name in _defined_names(node):
                yield from self._check_name(file, getattr(node, "lineno", 1), name)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                constant = node.body[0].value  # type: ignore[attr-defined]
                yield from self._check_prose(file, constant.lineno, constant.value)
                for pattern, instead in self.docstrings.items():
                    if match := pattern.match(constant.value):
                        yield Finding(file, constant.lineno, match[0], instead)
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield from self._check_prose(file, token.start[0], token.string)

    def _check_document(self, file: str, text: str) -> Iterator[Finding]:
        return self._check_prose(file, 1, _CODE_BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text))

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


def read_words(path: Path = WORDS) -> WordList:
    """Read a word list from a TOML file."""
    return WordList(**tomllib.loads(path.read_text(encoding="utf-8")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check files, print what to change, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("paths", nargs="*", default=["zoo", "plugins", "tests", "tools", "docs", "README.md"])
    paths = parser.parse_args(arguments).paths
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    words = read_words()
    findings = [
        finding
        for file in tracked
        if file.endswith((".py", ".md")) and (ROOT / file).is_file()
        for finding in words.check(file, (ROOT / file).read_text(encoding="utf-8"))
    ]
    print(*findings, sep="\n", end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
