"""What changed from the minute before to the last one, and workers that differ from the others, in sentences. Pure."""

from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.top.badge import is_stale
from hvd.cli.top.forms import cut_middle
from hvd.cli.top.frame import Frame
from hvd.cli.top.model import Model


def change_lines(model: Model, frame: Frame) -> list[Text]:
    """The biggest changes first, then the workers that differ; as many as leave room for the rest of the screen."""
    stale = is_stale(model, frame)
    lines = [("changed", one, "dim" if stale else _style(one)) for one in model.changes]
    lines += [("differs", one, "dim" if stale else "yellow") for one in model.skew]
    if frame.height is not None:
        most = max(0, frame.height // 12)
        if len(lines) > most and len(model.changes) >= most > 1 and model.skew:
            lines = [*lines[: most - 1], lines[len(model.changes)]]  # one of each kind
        lines = lines[:most]
    return [_line(label, one, style, frame) for label, one, style in lines]


def _style(change: Json) -> str:
    if not change.get("is_bad"):
        return ""
    return "bold red" if change.get("what") == "server_error_rate" else "yellow"


def _line(label: str, one: Json, style: str, frame: Frame) -> Text:
    text = cut_middle(frame.glyphs.said(one.get("text")), frame.width - len(label) - 2, frame.glyphs.more)
    return Text(f"{label}  ", "dim", end="").append(text, f"not dim {style}")
