"""The manual page of the command, made from its parser: `python -m hvd.cli.manual >hvd.1`. See man(7)."""

import argparse
import re
from collections.abc import Iterable, Iterator

import hvd
from hvd.cli.main import parser_of_all

TITLE = '.TH HVD 1 "" "hvd {version}" "User Commands"'
FILES = """\
.SH FILES
.TP
.I hvd.toml
The settings, named by the variable HVD_CONFIG; each of them has a variable too, which wins. See
.BR "hvd check" .
.SH SEE ALSO
.BR gunicorn (1),
.BR systemctl (1)"""


def page(parser: argparse.ArgumentParser) -> str:
    """The text, for man(1)."""
    lines = [
        TITLE.format(version=hvd.__version__),
        ".SH NAME",
        f"hvd \\- {_text(hvd.__doc__ or '').partition(': ')[2]}",
    ]
    lines += [".SH SYNOPSIS", ".B hvd", ".I COMMAND", "[options]", ".SH DESCRIPTION", _text(parser.description or "")]
    for name, help, command in commands(parser):
        heading = ".SS" if " " in name else ".SH"
        lines += [f'{heading} "{_text(f"hvd {name}")}"', _text(f"{help[:1].upper()}{help[1:]}."), *_synopsis(command)]
        lines += [*_arguments(command), *_as_it_is(command.epilog)]
    return "\n".join((*lines, ".SH NOTES", *_as_it_is(parser.epilog), FILES, ""))


def commands(parser: argparse.ArgumentParser, before: str = "") -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, help and parser of each command, and of the commands below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                name, command = f"{before}{choice.dest}", action.choices[choice.dest]
                yield name, choice.help or "", command
                yield from commands(command, f"{name} ")


def _synopsis(command: argparse.ArgumentParser) -> Iterable[str]:
    usage = re.sub(r"\s+", " ", command.format_usage().removeprefix("usage: ")).strip()
    return ".PP", f"\\fB{_text(usage)}\\fR"


def _arguments(command: argparse.ArgumentParser) -> Iterator[str]:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction) or action.help == argparse.SUPPRESS:
            continue
        value = str(action.metavar or action.dest.upper())
        names = [f"\\fB{_text(name)}\\fR" for name in action.option_strings] or [f"\\fI{_text(value)}\\fR"]
        takes = f" \\fI{_text(value)}\\fR" if action.option_strings and action.nargs != 0 else ""
        yield from (".TP", f"{', '.join(names)}{takes}", _text(action.help or "") or "\\&")


def _as_it_is(text: str | None) -> Iterable[str]:
    return (".PP", ".nf", *(_text(line) for line in text.splitlines()), ".fi") if text else ()


def _text(text: str) -> str:
    """As groff takes it for what it is: a dash is none of its hyphens, a first dot begins no request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("%%", "%")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    print(page(parser_of_all()), end="")
