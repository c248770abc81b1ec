"""The command line of `hvd run`: gunicorn's part is passed on."""

from typing import Any

import pytest

from hvd.cli.main import main
from hvd.daemon.run import application


class Seen(Exception):  # noqa: N818
    pass


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def see(*arguments: Any) -> None:
        raise Seen(*arguments)

    monkeypatch.setattr(application, "RunApplication", see)


@pytest.mark.parametrize(
    ("command", "gunicorns", "admin_bind"),
    [
        ("run shop:app", "shop:app", ""),
        ("run", "", ""),
        ("run -w 4 -k=gevent -b :8000 shop:app", "--bind :8000 --workers 4 --worker-class gevent shop:app", ""),
        ("run --workers 4 shop:app --admin-bind :9 -- --timeout 5", "--workers 4 --timeout 5 shop:app", None),
        (
            "run shop:app --bind unix:a.sock --threads 2 --admin-bind 127.0.0.1:9 -- -k gthread --reload",
            "--bind unix:a.sock --threads 2 -k gthread --reload shop:app",
            "127.0.0.1:9",
        ),
    ],
)
@pytest.mark.usefixtures("seen")
def test_what_is_gunicorns_is_passed_on(command: str, gunicorns: str, admin_bind: str | None) -> None:
    """The usual options, and whatever stands behind --; an address that can't be is refused here."""
    if admin_bind is None:
        with pytest.raises(SystemExit):
            main(command.split())
        return
    with pytest.raises(Seen) as told:
        main(command.split())
    assert told.value.args == (gunicorns.split(), admin_bind)


def test_an_option_of_gunicorns_before_the_dashes_is_told_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Who knows gunicorn's command line writes it so. Of other commands it is nothing but unknown."""
    for command, hint in (
        ("run shop:app --timeout 90", "; options of gunicorn's go after --\n"),
        ("check --x", ": --x\n"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(command.split())
        assert capsys.readouterr().err.endswith(hint)


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """As text, within a terminal's width."""
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = capsys.readouterr().out
    assert 'hvd run "shop:create_app()" --workers 4' in text
    assert max(map(len, text.splitlines())) <= 120
