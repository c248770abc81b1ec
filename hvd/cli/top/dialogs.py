"""What comes over the screen: the details of a row, the keys, and a question before something is done."""

import re
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen

from hvd.cli.top.widgets import Body, Lines

_NAME = re.compile(r"\S+(?: \S+)* {2,}")  # as lists of keys and figures have them
_INDENT = 24  # cells


class Panel(ModalScreen[str]):
    """Lines under a title, which `content` makes anew at each `update`; Esc goes back. Its result is one of `keys` that
    was pressed, or "".
    """

    BINDINGS = [Binding("escape,q,enter,left,backspace", "dismiss('')", show=False)]

    def __init__(self, content: Callable[[], tuple[str, Sequence[Text]]], foot: str, keys: str = "") -> None:
        super().__init__()
        self._content, self._words = content, foot
        for key in keys:
            self._bindings.bind(key, f"dismiss('{key}')", show=False)
        self._title, self._body, self._foot = Lines("title"), Lines("body"), Lines("foot")

    def compose(self) -> ComposeResult:
        """Title, body, and what the keys do."""
        yield from (self._title, Body(self._body), self._foot)

    def on_mount(self) -> None:
        """Fill them."""
        self.update()

    def on_resize(self) -> None:
        """Fill them in the new width."""
        self.update()

    def update(self) -> None:
        """Show what is known now."""
        width = self.app.size.width
        title, lines = self._content()
        self._title.show([Text(f" {title}".ljust(width), "reverse bold", end="")])
        self._body.show([part for line in lines for part in _wrapped(line, width)])
        self._foot.show([Text(self._words[:width], "dim", end="")])


class Question(ModalScreen[bool]):
    """A question that is answered by y; n and Esc are the way back."""

    BINDINGS = [
        Binding("y", "dismiss(True)", show=False),
        Binding("n,escape,q", "dismiss(False)", show=False),
    ]

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__()
        self._lines, self._question = lines, Lines("question")

    def compose(self) -> ComposeResult:
        """The question, and its answers to click on."""
        yield self._question

    def on_mount(self) -> None:
        """Write it."""
        self._write()

    def on_resize(self) -> None:
        """Write it in the new width."""
        self._write()

    def _write(self) -> None:
        width = self.app.size.width
        lines = [part for line in self._lines for part in _wrapped(Text(line, end=""), width - 2)]
        answers = Text.assemble((" y yes ", _answer("y")), "   ", (" n no ", _answer("n")), end="")
        texts = [Text(" ", end="").append_text(line) for line in (*lines, Text(end=""), answers)]
        for text in texts:
            text.append(" " * (width - text.cell_len))
        texts[0].stylize("reverse bold")
        blank = Text(" " * width, end="")
        self._question.show([blank, *texts, blank])

    def on_lines_picked(self, message: Lines.Picked) -> None:
        """An answer was clicked."""
        self.dismiss(message.meta.get("answer") == "y")


def _answer(key: str) -> Style:
    return Style(reverse=True, bold=True, meta={"answer": key})


def _wrapped(line: Text, width: int) -> list[Text]:
    """The line in as many as the width needs; what follows stands under what stands beside a name."""
    if line.cell_len <= width or width < 1:
        return [line]
    name = _NAME.match(line.plain)
    indent = name.end() if name and name.end() <= min(_INDENT, width // 2) else 0
    first, *others = line[indent:].wrap(Console(width=width), width - indent)
    return [line[:indent].append_text(first), *(Text(" " * indent, end="").append_text(other) for other in others)]
