"""The manual page: groff takes it, and it has each command and option."""

import subprocess

from hvd.cli.completion import actions
from hvd.cli.main import parser_of_all
from hvd.cli.manual import commands, page


def shown() -> str:
    """The page on a terminal of 200 columns; groff warns of nothing."""
    command = ("groff", "-man", "-Tutf8", "-ww", "-rLL=200n", "-P-c", "-P-bou")
    done = subprocess.run(command, input=page(parser_of_all()), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_page_has_all_that_the_parser_has() -> None:
    """Commands with theirs below, options, examples as they are, and characters that groff would change."""
    text, parser = shown(), parser_of_all()
    for name, help, _ in commands(parser):
        assert f"hvd {name}\n" in text
        assert f"{help[1:]}." in text
    for action in actions(parser):
        for option in action.option_strings:
            assert option in ("-h", "--help", "--version") or option in text
    assert "  hvd check new.toml                       the same with a file\n" in text
    assert 'hvd run "shop:create_app()" --workers 4' in text
    assert "hvd's own daemon" in text
