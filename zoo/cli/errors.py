"""Error reports: one sentence on stderr and an exit code; a traceback only for bugs."""

from __future__ import annotations

import errno
import os
import re
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from zoo.arguments import short_repr
from zoo.cli.standard_streams import discard_unwritten_output
from zoo.cli.terminal import escape_controls, shorten_middle
from zoo.distributed import rank_of_launch
from zoo.errors import UnknownNameError, UsageError, ZooError, ZooWarning

if TYPE_CHECKING:
    from zoo.training.run import Interrupted

RANK_ERROR_WAIT_S = 2.0
"""Seconds that a rank above 0 waits for rank 0 to report the error."""


def name_flags(sentence: str, flags: Mapping[str, str]) -> str:
    """Replace the names of settings in an error by flags.

    Messages begin with the name of the setting that is wrong, other settings are in backticks, also with a
    value, and changes have an arrow: "lr is -1.0; expected a number of at least 0.", "`steps` and `epochs`
    are both given.", "give `level='byte'`.", "another configuration (hidden: 8 -> 9; lr: 0.1 -> 0.2)". The
    value of a switch may have a flag of its own: "`carry=False` is given with a table".

    Args:
        sentence: The message.
        flags: The flags by their names in Python, and those for one value by name and value.
    """

    def flag(match: re.Match[str]) -> str:
        return flags.get(match["name"], match["name"])

    def marked(match: re.Match[str]) -> str:
        if (setting := match[0].strip("`")) in flags:
            return flags[setting]
        word = re.fullmatch(r"='(\w+)'", match["value"] or "")
        value = f" {word[1]}" if word else (match["value"] or "").replace("=", " ", 1)
        return f"{flags[match['name']]}{value}" if match["name"] in flags else match[0]

    sentence = re.sub(r"`(?P<name>\w+)(?P<value>=[^`\s]*)?`", marked, sentence)
    sentence = re.sub(r"(?<=[(; ])(?P<name>\w+)(?=: [^;]* -> )", flag, sentence)
    first = re.match(r"(?:[\w ]+: )??(?P<name>\w+) (?:is|are|has) ", sentence)
    return sentence if first is None else sentence[: first.start(1)] + flag(first) + sentence[first.end(1) :]


@contextmanager
def report_errors(flags: Callable[[], Mapping[str, str]] = dict) -> Iterator[None]:
    """Convert errors of zoo to click errors, and print warnings of zoo as one line.

    Args:
        flags: Returns the flags of the command by their names in Python.

    Raises:
        click.ClickException: for ``ZooError``, ``MemoryError``, ``OSError`` and exceptions of plugins; exit
            code 2 for an invalid argument or an unknown name, otherwise 1.
        OSError: if the reader of standard output is gone; click then ends silently.
        click.exceptions.Exit: with code 130 after Ctrl-C.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", ZooWarning)
        warnings.showwarning = _warning_printer(warnings.showwarning, flags)
        try:
            try:
                yield
            finally:
                sys.stdout.flush()  # report a full or broken stream here, not at exit
        except click.ClickException as error:
            error.message = shorten_middle(escape_controls(error.message))  # type: ignore[misc]  # and keep its usage
            raise
        except (click.exceptions.Exit, click.exceptions.Abort):
            raise
        except ZooError as error:
            _wait_for_rank0()
            failure = _click_error(name_flags(str(error), flags()))
            is_usage = isinstance(error, (UsageError, UnknownNameError))
            failure.exit_code = 2 if is_usage else 1  # type: ignore[misc]  # click reads it of the instance
            raise failure from error
        except MemoryError as error:
            raise _click_error(f"not enough memory: {error or 'none left'}; choose smaller sizes.") from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            if error.errno == errno.ENAMETOOLONG:
                name = short_repr(os.fsdecode(error.filename))
                raise _click_error(f"{name}: the name is too long for a file; check the path.") from error
            if error.errno == errno.ENOENT and error.filename is None:  # of `os.getcwd`
                from zoo.storage.safe_read import DELETED_WORKING_DIRECTORY  # which imports NumPy

                raise _click_error(DELETED_WORKING_DIRECTORY) from error
            raise _click_error(f"system error: {error}.") from error
        except KeyboardInterrupt:
            echo_err("Interrupted.")
            raise click.exceptions.Exit(130) from None
        except Exception as error:
            from zoo.registry import foreign_failure

            sentence = foreign_failure(error)
            if not sentence:
                raise
            _wait_for_rank0()
            raise _click_error(sentence) from error
        finally:
            discard_unwritten_output()


def _click_error(sentence: str) -> click.ClickException:
    return click.ClickException(shorten_middle(escape_controls(sentence)))


def echo_err(sentence: str) -> None:
    """Print one line on standard error. ``print`` works with a live display, ``click.echo`` does not."""
    print(shorten_middle(escape_controls(sentence)), file=sys.stderr, flush=True)


def exit_interrupted(stopped: Interrupted, command: Sequence[str]) -> NoReturn:
    """End a command after a signal. Rank 0 prints how to resume.

    Args:
        stopped: The signal.
        command: The words of the command that resumes.

    Raises:
        click.exceptions.Exit: with 128 and the number of the signal.
    """
    if rank_of_launch() == 0:
        name = signal.Signals(stopped.signal).name
        echo_err(f"Interrupted by {name}; all is saved. Resume with: {shlex.join(command)}")
    raise click.exceptions.Exit(128 + stopped.signal) from None


def _wait_for_rank0() -> None:
    # All ranks usually fail alike: rank 0 reports the error and ends the others.
    if rank_of_launch() > 0:
        time.sleep(RANK_ERROR_WAIT_S)


def _warning_printer(
    default: Callable[..., Any], flags: Callable[[], Mapping[str, str]]
) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ZooWarning):
            echo_err(f"Warning: {name_flags(str(message), flags())}")
        else:
            default(message, category, *where, **more)

    return show
