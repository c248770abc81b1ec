"""The token that a command presents: of a file or of a variable, and never of its arguments."""

import argparse
from pathlib import Path

import pytest

from hvd.cli.credentials import ca_file, explicit_token
from hvd.errors import SettingsError
from tests.support.certificates import Authority


def given(path: object = None) -> argparse.Namespace:
    return argparse.Namespace(token_file=None if path is None else str(path))


def test_the_file_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without both there is none; blanks and line ends around it are not part of it."""
    monkeypatch.delenv("HVD_TOKEN", raising=False)
    assert explicit_token(given()) == explicit_token(argparse.Namespace()) == ""
    monkeypatch.setenv("HVD_TOKEN", " of-the-environment ")
    assert explicit_token(given()) == "of-the-environment"
    (tmp_path / "token").write_text("of-the-file-0123456789\n")
    assert explicit_token(given(tmp_path / "token")) == "of-the-file-0123456789"


@pytest.mark.parametrize("text", ["", "short", "a header: 0123456789\r\nX: y", "schlüssel" * 4])
def test_what_can_be_no_token_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """It could not be sent."""
    (tmp_path / "token").write_text(text)
    with pytest.raises(SettingsError, match="has no token") as caught:
        explicit_token(given(tmp_path / "token"))
    assert not text or text not in str(caught.value)
    if text:
        monkeypatch.setenv("HVD_TOKEN", text)
        with pytest.raises(SettingsError, match="HVD_TOKEN has no token"):
            explicit_token(given())
    with pytest.raises(SettingsError, match="which can't be read: No such file"):
        explicit_token(given(tmp_path / "none"))


def test_the_ca_file_is_read_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option goes before the variable; a file without a certificate is named."""
    authority = str(Authority(tmp_path).file)
    assert ca_file(argparse.Namespace()) == ""
    monkeypatch.setenv("HVD_CA_FILE", authority)
    assert ca_file(argparse.Namespace(ca_file=None)) == authority
    (tmp_path / "empty").write_text("no certificate")
    for name, words in (("empty", "it has no certificate in PEM"), ("none", "No such file or directory")):
        with pytest.raises(SettingsError, match=f"--ca-file is .*{name}.* can't be used: {words}"):
            ca_file(argparse.Namespace(ca_file=str(tmp_path / name)))
