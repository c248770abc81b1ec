"""Names and texts as Prometheus's formats write them: byte for byte as prometheus_client 0.26.0 does. Pure.

Sources: its `openmetrics/exposition.py`; prometheus.io/docs/instrumenting/escaping_schemes.
"""

import re
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

ALLOW_UTF_8, UNDERSCORES, DOTS, VALUES = "allow-utf-8", "underscores", "dots", "values"
ESCAPINGS = ALLOW_UTF_8, UNDERSCORES, DOTS, VALUES
"""How a name is written that has other characters than Prometheus knew before its version 3."""

_METRIC = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile("(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


def quote(text: str) -> str:
    """A label value, or what else stands between quotation marks."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def help_text(text: str, *, openmetrics: bool) -> str:
    """What a HELP line says."""
    return quote(text) if openmetrics else text.replace("\\", "\\\\").replace("\n", "\\n")


def metric_name(name: str, escaping: str) -> str:
    """A metric's name; in quotation marks where it has other characters and `escaping` leaves them."""
    return _escaped(name, escaping, ":") if escaping == DOTS or not _METRIC.fullmatch(name) else name


def label_name(name: str, escaping: str) -> str:
    """A label's name, as `metric_name` writes a metric's. Empty names are not allowed."""
    name = name or "_"
    return _escaped(name, escaping, "") if escaping == DOTS or not _LABEL.fullmatch(name) else name


def label_names(names: Iterable[str], escaping: str, taken: Iterable[str] = ()) -> list[str]:
    """The label names of one series, each different: where two would be written alike, or like a `taken` one, the later
    one gets another underscore.
    """
    texts = list(taken)
    first = len(texts)
    for name in names:
        while (text := label_name(name, escaping)) in texts:
            name += "_"
        texts.append(text)
    return texts[first:]


def labels_text(labels: Mapping[str, str], escaping: str) -> str:
    """All labels of a series with their values, sorted: what is between the braces."""
    values = sorted(labels.items())
    names = label_names([name for name, _ in values], escaping)
    return ",".join([f'{name}="{quote(value)}"' for name, (_, value) in zip(names, values, strict=True)])


def _escaped(name: str, escaping: str, more: str) -> str:
    if escaping == ALLOW_UTF_8:
        return f'"{quote(name)}"'
    start = "U__" if escaping == VALUES else ""
    return start + "".join(_character(one, index, escaping, more) for index, one in enumerate(name))


def _character(one: str, index: int, escaping: str, more: str) -> str:
    """`more` has further characters that need no escaping, beside letters, digits and the underscore."""
    if one == "_":
        return "_" if escaping == UNDERSCORES else "__"
    if one == "." and escaping == DOTS:
        return "_dot_"
    if (one.isascii() and one.isalpha()) or ("0" <= one <= "9" and index) or one in more:
        return one
    if escaping == VALUES:
        return "_FFFD_" if "\ud800" <= one <= "\udfff" else f"_{ord(one):x}_"
    return "__" if escaping == DOTS else "_"


class SeriesName(NamedTuple):
    """A sample's name: how its line begins with labels after it, and up to the value without any."""

    labelled: str
    alone: str

    def line_start(self, labels: str) -> str:
        """A line up to the space before the value; `labels` is what comes between the braces."""
        return f"{self.labelled}{labels}}}" if labels else self.alone


def series_name(name: str, escaping: str) -> SeriesName:
    """How lines of a metric begin. A name in quotation marks is inside the braces."""
    text = metric_name(name, escaping)
    if text.startswith('"'):
        return SeriesName(f"{{{text},", f"{{{text}}}")
    return SeriesName(f"{text}{{", text)


_LINE_NAME = re.compile(r"^(# (?:HELP|TYPE|UNIT) )?([a-z]\w*)")
_LINE_END = re.compile("[{ ]")
_LINE_LABEL = re.compile(r'([{,])(\w+)="((?:[^"\\]|\\.)*)"')


def in_dots(text: str) -> str:
    """A family's text of plain names, with these as the scheme of dots has them."""
    return "\n".join(map(_line_in_dots, text.split("\n")))


def _line_in_dots(line: str) -> str:
    line = _LINE_NAME.sub(lambda match: (match[1] or "") + match[2].replace("_", "__"), line)
    if line.startswith("# "):
        return line
    return _LINE_LABEL.sub(lambda match: f'{match[1]}{match[2].replace("_", "__")}="{match[3]}"', line)


def only_named(text: str, names: Container[str]) -> str:
    """A family's text of plain names, without samples of other names; nothing where no sample is left."""
    lines = [line for line in text.split("\n") if line.startswith("# ") or _LINE_END.split(line, 1)[0] in names]
    return "\n".join((*lines, "")) if any(not line.startswith("# ") for line in lines) else ""
