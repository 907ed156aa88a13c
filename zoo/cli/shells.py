"""Completion scripts for bash, zsh and fish, and their protocol.

A script passes the command line up to the cursor in ``COMP_LINE`` and reads lines ``kind, value, help`` with
tabs between them. The scripts of click fail at names with a comma (fish), at ``--cell=NAME`` (zsh, fish), and
at names with a colon or an equals sign (bash, where these end a word).
"""

from __future__ import annotations

import os

from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string

_LINE, _WORD_BREAKS = "COMP_LINE", "COMP_WORDBREAKS"  # set by the scripts, not by users


class _Shell(ShellComplete):
    def get_completion_args(self) -> tuple[list[str], str]:
        """The complete words after the name of the program, and the word to complete."""
        line = os.environ.get(_LINE, "")
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1].isspace() else ""
        return words[1:], incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """The completions of a whole word, also of ``--cell=NAME``."""
        items = super().get_completions(args, incomplete)
        flag, equals, _ = incomplete.partition("=")
        if not (equals and flag.startswith("--")):
            return items
        return [CompletionItem(f"{flag}={item.value}", type=item.type, help=item.help) for item in items]

    def format_completion(self, item: CompletionItem) -> str:
        """One line of output."""
        return f"{item.type}\t{item.value}\t{item.help or ''}"


class Bash(_Shell):
    """Completion in bash 4.4 or newer."""

    name = "bash"
    source_template = """\
_zoo_completion() {
    local kind value help
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == *= ]] && compopt -o nospace ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        _ZOO_COMPLETE=bash_complete "$1")
}
complete -o nosort -F _zoo_completion zoo
"""

    def format_completion(self, item: CompletionItem) -> str:
        """One line of output, without the part of the word that bash takes for words of their own."""
        _, word = self.get_completion_args()
        breaks = [mark for mark in ":=" if mark in os.environ.get(_WORD_BREAKS, "")]
        start = max((word.rfind(mark) + 1 for mark in breaks), default=0)
        return super().format_completion(CompletionItem(item.value[start:], type=item.type))


class Zsh(_Shell):
    """Completion in zsh, after ``compinit``."""

    name = "zsh"
    source_template = """\
#compdef zoo
_zoo_completion() {
    local kind value help
    local -a names described unfinished
    (( $+commands[zoo] )) || return 1
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain)
                if [[ $value == *= ]]; then
                    unfinished+=("$value")
                elif [[ -n $help ]]; then
                    described+=("${value//:/\\\\:}:$help")
                else
                    names+=("$value")
                fi ;;
        esac
    done < <(env COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" _ZOO_COMPLETE=zsh_complete zoo)
    (( $#described )) && _describe -V unsorted described -U
    (( $#names )) && compadd -U -V unsorted -a names
    (( $#unfinished )) && compadd -U -V unsorted -S '' -a unfinished
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _zoo_completion "$@"
else
    compdef _zoo_completion zoo
fi
"""


class Fish(_Shell):
    """Completion in fish."""

    name = "fish"
    source_template = """\
function _zoo_completion
    set -l line (commandline -cp | string collect)
    env _ZOO_COMPLETE=fish_complete COMP_LINE=$line zoo | while read -d \\t -l kind value help
        switch $kind
            case dir
                __fish_complete_directories $value
            case file
                __fish_complete_path $value
            case plain
                printf '%s\\t%s\\n' $value $help
        end
    end
end
complete --no-files --command zoo --arguments "(_zoo_completion)"
"""


SHELLS: dict[str, type[ShellComplete]] = {shell.name: shell for shell in (Bash, Zsh, Fish)}


for _shell in SHELLS.values():
    add_completion_class(_shell)
