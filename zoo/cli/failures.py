"""How a command fails: one sentence on stderr and an exit code, never a traceback, except for bugs."""

from __future__ import annotations

import errno
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from zoo.errors import ZooError, ZooWarning
from zoo.ranks.launch import rank_of_launch

PATIENCE = 2.0
"""Seconds that a rank gives the first one to say what is wrong."""


@contextmanager
def plain_failures() -> Iterator[None]:
    """Within the block errors and warnings of zoo become sentences for people.

    Raises:
        click.ClickException: for a ``ZooError``, or what the system does not grant; exit code 1.
        OSError: if nobody reads what is written; click ends silently then.
        click.exceptions.Exit: with code 130 after Ctrl-C.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", ZooWarning)
        warnings.showwarning = _shower(warnings.showwarning)
        try:
            yield
        except ZooError as error:
            _let_the_first_speak()
            raise click.ClickException(str(error)) from error
        except MemoryError as error:
            raise click.ClickException(f"not enough memory: {error}; choose smaller sizes.") from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise click.ClickException(f"the operating system refuses: {error}.") from error
        except KeyboardInterrupt:
            say("Interrupted.")
            raise click.exceptions.Exit(130) from None
        finally:
            sys.stdout.flush()  # here click keeps a closed pipe silent; at exit nobody would


def say(sentence: str) -> None:
    """One line on stderr; ``print`` and not ``click.echo``, since a live display catches only the former."""
    print(sentence, file=sys.stderr, flush=True)


def _let_the_first_speak() -> None:
    """What one rank of a job refuses, all do as a rule: the first says it, and ends the others."""
    if rank_of_launch() > 0:
        time.sleep(PATIENCE)


def _shower(otherwise: Callable[..., Any]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ZooWarning):
            say(f"Warning: {message}")
        else:
            otherwise(message, category, *where, **more)

    return show
