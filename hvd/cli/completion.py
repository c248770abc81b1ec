"""`hvd completion`: what has a shell complete the command, made from its parser."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from hvd.cli.arguments import Exit

SHELLS = {
    "bash": "hvd completion bash > ~/.local/share/bash-completion/completions/hvd",
    "zsh": "hvd completion zsh > ~/.zfunc/_hvd     (with fpath+=~/.zfunc before compinit in ~/.zshrc)",
    "fish": "hvd completion fish > ~/.config/fish/completions/hvd.fish",
}
"""Each shell that there is one for, and how it gets there."""

_EPILOG = "\n".join(("install it for yourself:", *(f"  {line}" for line in SHELLS.values())))


def add_arguments(command: argparse.ArgumentParser, parser: argparse.ArgumentParser) -> None:
    """Those of this command; `parser` is the one that is completed."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = _EPILOG
    command.add_argument("shell", choices=tuple(SHELLS), metavar="SHELL", help=", ".join(SHELLS))
    command.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> int:
    """Print it."""
    import shtab  # which no other command needs

    for action in actions(args.parser):
        if action.type is Path:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # as shtab has it
    print(shtab.complete(args.parser, args.shell))
    return Exit.OK


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All of a parser, and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from actions(command)
