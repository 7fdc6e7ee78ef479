"""`completion`: scripts for bash, zsh and fish, made from the grammar. They complete commands and their options."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable

from tarantkv.cli.exits import DONE
from tarantkv.cli.parser import COMMANDS as GRAMMAR
from tarantkv.cli.parser import parser


def run(asked: Namespace) -> int:
    """Print a script."""
    sys.stdout.write(_SHELLS[asked.shell](options()))
    return DONE


def options() -> dict[str, list[str]]:
    """The options and choices of each command."""
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 - argparse tells its commands in no other way
    found = {}
    for name, one in commands.choices.items():
        words: list[str] = []
        for action in one._actions:  # noqa: SLF001 - nor its options
            words += [flag for flag in action.option_strings if flag.startswith("--")]
            if not action.option_strings and action.choices:
                words += [str(choice) for choice in action.choices]
        found[name] = words
    return found


def bash(every: dict[str, list[str]]) -> str:
    """Put it into `~/.local/share/bash-completion/completions/tarantkv`."""
    cases = "\n".join(f"        {name}) words='{' '.join(words)}' ;;" for name, words in every.items())
    return f"""\
_tarantkv() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} words
    case ${{COMP_WORDS[1]}} in
{cases}
        *) words='' ;;
    esac
    if [ "$COMP_CWORD" = 1 ]; then words='{" ".join(every)}'; fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}}
complete -o default -F _tarantkv tarantkv
"""


def zsh(every: dict[str, list[str]]) -> str:
    """Put it into a folder of `$fpath`, as `_tarantkv`."""
    commands = "\n".join(f"        '{name}:{_quoted(GRAMMAR[name][0])}'" for name in every)
    cases = "\n".join(f"        {name}) compadd -- {' '.join(words)} ;;" for name, words in every.items())
    return f"""\
#compdef tarantkv
_tarantkv() {{
    local -a commands
    commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    case $words[2] in
{cases}
    esac
    _files
}}
_tarantkv "$@"
"""


def fish(every: dict[str, list[str]]) -> str:
    """Put it into `~/.config/fish/completions/tarantkv.fish`."""
    lines = []
    for name, words in every.items():
        text = _quoted(GRAMMAR[name][0])
        lines.append(f"complete -c tarantkv -n __fish_use_subcommand -f -a {name} -d '{text}'")
        seen = f"'__fish_seen_subcommand_from {name}'"
        for word in words:
            form = f"-l {word[2:]}" if word.startswith("--") else f"-f -a {word}"
            lines.append(f"complete -c tarantkv -n {seen} {form}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("'", "").replace(":", "")


_SHELLS: dict[str, Callable[[dict[str, list[str]]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}

COMMANDS: dict[str, Callable[[Namespace], int]] = {"completion": run}
