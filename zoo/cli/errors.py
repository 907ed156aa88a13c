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

from zoo.cli.standard_streams import discard_unwritten_output
from zoo.cli.terminal_text import escape_controls, shorten_middle
from zoo.distributed.launch import rank_of_launch
from zoo.errors import ZooError, ZooWarning

RANK_ERROR_WAIT_S = 2.0
"""Seconds that a rank gives the first one to say what is wrong."""


@contextmanager
def report_errors() -> Iterator[None]:
    """Within the block errors and warnings of zoo become sentences for people.

    Raises:
        click.ClickException: for a ``ZooError``, or what the system does not grant; exit code 1.
        OSError: if nobody reads what is written; click ends silently then.
        click.exceptions.Exit: with code 130 after Ctrl-C.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", ZooWarning)
        warnings.showwarning = _warning_printer(warnings.showwarning)
        try:
            try:
                yield
            finally:
                sys.stdout.flush()  # a full or broken stream is an error here; at exit it would be noise
        except click.ClickException as error:
            error.message = shorten_middle(escape_controls(error.message))  # type: ignore[misc]  # and keep its usage
            raise
        except ZooError as error:
            _wait_for_rank0()
            raise _click_error(str(error)) from error
        except MemoryError as error:
            raise _click_error(f"not enough memory: {error or 'none left'}; choose smaller sizes.") from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise _click_error(f"system error: {error}.") from error
        except KeyboardInterrupt:
            echo_err("Interrupted.")
            raise click.exceptions.Exit(130) from None
        finally:
            discard_unwritten_output()


def _click_error(sentence: str) -> click.ClickException:
    return click.ClickException(shorten_middle(escape_controls(sentence)))


def echo_err(sentence: str) -> None:
    """Print one line on standard error. ``print`` works with a live display, ``click.echo`` does not."""
    print(shorten_middle(escape_controls(sentence)), file=sys.stderr, flush=True)


def _wait_for_rank0() -> None:
    """What one rank of a job refuses, all do as a rule: the first says it, and ends the others."""
    if rank_of_launch() > 0:
        time.sleep(RANK_ERROR_WAIT_S)


def _warning_printer(otherwise: Callable[..., Any]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ZooWarning):
            echo_err(f"Warning: {message}")
        else:
            otherwise(message, category, *where, **more)

    return show
