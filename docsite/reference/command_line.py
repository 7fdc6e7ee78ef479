"""Writes the page of the command line from its parser, with the help texts of `tarantkv COMMAND --help`.

It reads the texts from the parser, because argparse prints them differently in each version of Python.
"""

from __future__ import annotations

import argparse

from tarantkv.cli.parser import COMMANDS, parser

from docsite.reference.tables import cell, table

_HEAD = """\
# Commands and their flags

The texts of `tarantkv COMMAND --help`. [The command line](../cli.md) explains the commands with examples. `make docs`
writes this page.

"""
_COMMON = "which api"


def page() -> str:
    """The text of the page."""
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 - there is no other way to ask
    shared = {action.dest for action in _actions(commands.choices["whoami"])}
    parts = [
        _HEAD,
        table(["command", "does"], [[f"[`{name}`](#{name})", text] for name, (text, _) in COMMANDS.items()]),
    ]
    parts += ["\nEvery command takes:\n\n", _table(_actions(commands.choices["whoami"]))]
    for name in COMMANDS:
        one = commands.choices[name]
        parts.append(f"\n## {name}\n\n{cell(one.description or '')[:1].upper()}{cell(one.description or '')[1:]}.\n")
        own = [action for action in _actions(one) if action.dest not in shared]
        if own:
            parts += ["\n", _table(own)]
    return "".join(parts)


def _actions(one: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in one._actions if action.dest != "help"]  # noqa: SLF001 - there is no other way to ask


def _table(actions: list[argparse.Action]) -> str:
    return table(["argument", "means"], [[_name(action), _help(action)] for action in actions])


def _name(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else None
    if not action.option_strings:
        return f"`{metavar or action.dest}{'…' if action.nargs == '+' else ''}`"
    value = ""
    if action.nargs != 0:
        value = f" {metavar or ('|'.join(map(str, action.choices)) if action.choices else action.dest.upper())}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def _help(action: argparse.Action) -> str:
    text = action.help or ""
    if not text and action.choices:
        text = "one of " + ", ".join(f"`{choice}`" for choice in action.choices)
    return text
