"""``zoo completion``: the script that completes command lines of zoo in a shell."""

from __future__ import annotations

import click

from zoo.cli.flags import Command, argument
from zoo.cli.shells import SHELLS
from zoo.cli.terminal import echo


@click.command(cls=Command)
@argument("shell", type=click.Choice(list(SHELLS)))
def command(shell: str) -> None:
    """Print a script that completes zoo commands in your shell.

    It completes commands, options, cells, tasks, optimizers, samplers, options of components, built-in texts,
    classes in a Python file, runs and comparisons. Add one line to the start-up file of your shell:

    \b
      bash  eval "$(zoo completion bash)"     in ~/.bashrc
      zsh   eval "$(zoo completion zsh)"      in ~/.zshrc
      fish  zoo completion fish | source      in ~/.config/fish/config.fish
    """  # noqa: D301 - click reads the backspace, and prints what a raw string has there
    echo(SHELLS[shell].source_template, nl=False)
