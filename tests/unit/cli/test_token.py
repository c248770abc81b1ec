"""`hvd token`: a token is shown once, and the file has its hash."""

import subprocess
import sys
from pathlib import Path

import pytest

from hvd.settings.tokens import digest_of
from hvd.settings.tokens_file import read_tokens


def token(path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command, *rest = words
    environ = {"HVD_TOKENS_FILE": str(path), "HVD_INSTANCE": "none-of-this-name"}
    return subprocess.run(
        [sys.executable, "-m", "hvd", "token", command, *rest], env=environ, capture_output=True, text=True, timeout=60
    )


def test_a_token_is_made_listed_and_revoked(tmp_path: Path) -> None:
    """On standard output stands the token alone, once; what to do next is on standard error."""
    path = tmp_path / "tokens"
    made = token(path, "new", "ci", "--scope", "jobs")
    secret = made.stdout.strip()
    assert (made.returncode, len(secret)) == (0, 43)
    assert str(path) in made.stderr
    assert "reads it when it starts" in made.stderr
    (stored,) = read_tokens(path)
    assert (stored.name, stored.scope.word, stored.digest) == ("ci", "jobs", digest_of(secret))
    assert secret not in made.stderr + path.read_text()
    assert token(path, "new", "prometheus").stdout != made.stdout
    listed = [line.split() for line in token(path, "list").stdout.splitlines()]
    assert listed == [["NAME", "SCOPE", "MADE"], ["ci", "jobs", stored.made], ["prometheus", "read", listed[2][2]]]
    done = token(path, "revoke", "ci")
    assert (done.returncode, "no token is left" in done.stderr) == (0, False)
    assert [one.name for one in read_tokens(path)] == ["prometheus"]
    done = token(path, "revoke", "prometheus", "--reload")
    assert (done.returncode, "no token is left" in done.stderr) == (0, True)
    assert "no token is in" in token(path, "list").stdout


@pytest.mark.parametrize("words", [("new", "a b"), ("new", "a", "--scope", "all"), ("revoke", "nobody"), ("new",)])
def test_a_mistake_is_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Exit status 2, and no file."""
    done = token(tmp_path / "tokens", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "tokens").exists()
