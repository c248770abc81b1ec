"""Files of variables, as systemd reads them."""

import pytest

from hvd.settings.env_file import read_variables

TEXT = r"""# a comment
; another \
HVD_A=1
  HVD_B = two words  
HVD_C="quoted # \" \\ \$ \n"'and'more
HVD_D='as it is \'
HVD_E=back\ slash\\
HVD_F=first \
second
HVD_G="over
two"
HVD_H=
HVD_A=last wins
export HVD_I=1
not an assignment
9=x
HVD_J="no end
"""  # noqa: W291


def test_a_file_is_read_as_systemd_does() -> None:
    """Quotes, backslashes, lines that go on; what is no assignment is passed over, and its line's number told."""
    variables, wrong = read_variables(TEXT)
    assert variables == {
        "HVD_A": "last wins",
        "HVD_B": "two words",
        "HVD_C": 'quoted # " \\ $ \\nandmore',
        "HVD_D": "as it is \\",
        "HVD_E": "back slash\\",
        "HVD_F": "first second",
        "HVD_G": "over\ntwo",
        "HVD_H": "",
    }
    assert wrong == [14, 15, 16, 17]


@pytest.mark.parametrize("text", ["\0" * 9, "=", '"', "A='", "A=\\", "\\", 'A="\\', "\n\\\n", "A=é\x7f"])
def test_garbage_is_no_trouble(text: str) -> None:
    """Whatever is in the file."""
    read_variables(text)
