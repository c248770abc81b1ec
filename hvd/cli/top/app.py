"""The full screen on Textual: what comes from the feed, what the user does, and the pictures of both."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import ClassVar, TypeVar

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widgets import Input

from hvd.cli.client import Address
from hvd.cli.top.ask import JobsWanted, cancel_job, reason_of
from hvd.cli.top.badge import badge, is_stale
from hvd.cli.top.choice import Choice
from hvd.cli.top.deeds import Details, in_thread
from hvd.cli.top.dialogs import Panel, Question
from hvd.cli.top.driver import Terminal, ask, is_behind
from hvd.cli.top.feed import Feed
from hvd.cli.top.frame import Frame
from hvd.cli.top.help import ACTIONS, DEEDS, help_lines, keys_line
from hvd.cli.top.layout import Picture, empty_text, lay_out, listing_of
from hvd.cli.top.lists import JOBS
from hvd.cli.top.model import Model
from hvd.cli.top.widgets import Lines, Rows
from hvd.jobs.submission import LIST_MAX

_PAUSE = 0.1  # s between news and their picture: a message seldom comes alone
_TICK = 1.0  # s after which ages have changed
T = TypeVar("T")

_JOBS = 100  # that are asked for beyond the cursor
_OUTCOME_TIME = 5.0  # s for which the outcome of a deed stays on the last line


class Top(App[None]):
    """The screen, and the user's choices. `feed` brings the numbers; the app starts and stops it."""

    CSS = """
    Screen { layout: vertical; background: ansi_default; color: ansi_default; overflow: hidden hidden; }
    Question { align: center middle; background: transparent; }
    Panel { layout: vertical; background: ansi_default; }
    Lines { background: ansi_default; color: ansi_default; }
    #search { height: 1; border: none; padding: 0; background: ansi_default; color: ansi_default; display: none; }
    """
    ENABLE_COMMAND_PALETTE = False
    # with priority they are done in the order of the keys, however fast those come
    BINDINGS: ClassVar = [Binding(keys, action, show=False, priority=True) for keys, action in ACTIONS]

    def __init__(self, feed: Feed, address: Address, timeout: float, frame: Frame, choice: Choice) -> None:
        super().__init__(ansi_color=True, driver_class=Terminal)
        self.animation_level = "none"
        self.feed, self.choice = feed, choice
        self._address, self._timeout, self._frame = address, timeout, frame
        self._paused: tuple[Model, float] | None = None
        self._drawn, self._due = 0.0, False
        self._outcome, self._outcome_at = "", 0.0
        self._head, self._charts, self._tabs, self._foot = (Lines(name) for name in ("head", "charts", "tabs", "foot"))
        self._rows = Rows("rows")
        self._input = Input(id="search", placeholder="words that a row must have", select_on_focus=False)
        self._input.cursor_blink = False

    # what is shown

    @property
    def model(self) -> Model:
        """What the screen shows: the last numbers, or those of the pause."""
        return self._paused[0] if self._paused else self.feed.model

    @property
    def frame(self) -> Frame:
        """What the picture depends on now."""
        now = time.monotonic()
        frame = dataclasses.replace(self._frame, width=self.size.width, height=self.size.height, now=now)
        if self._paused:
            state = badge(self.feed.model, frame)
            frame = dataclasses.replace(frame, paused_for=now - self._paused[1], state=state)
        return frame

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield from (self._head, self._charts, self._tabs, self._rows, self._input, self._foot)

    def on_mount(self) -> None:
        """Listen, and look at the clock."""
        self._rows.focus()
        self.feed.changed = lambda: self._from_thread(self._news)
        self._news()
        self.set_interval(_TICK, self._tick)

    def _from_thread(self, work: Callable[[], None]) -> None:
        """Have the app do that, whichever thread asks; nothing, once it has ended."""
        if self.is_running:
            self.call_later(work)

    def on_resize(self) -> None:
        """Draw in the new size, once it is known."""
        self.call_later(self.draw)

    def _news(self) -> None:
        if self.feed.failure:
            self.exit(return_code=1)
        elif not self._due:
            self._due = True
            self.set_timer(_PAUSE, self.draw)

    def _tick(self) -> None:
        """Only what has no news shows ages that grow by themselves."""
        now, model = time.monotonic(), self.feed.model
        is_old = now - self._drawn > model.interval + _TICK / 2
        if is_old or model.trouble or model.unreachable or self._paused or self._outcome or is_stale(model, self.frame):
            self.draw()

    def draw(self) -> None:
        """Draw what changed; nothing, while the terminal has not shown what was drawn before."""
        self._due = False
        if not self.is_running:
            return
        if is_behind(self):
            self._news()  # of what is new by then
            return
        self._drawn = time.monotonic()
        model, frame = self.model, self.frame
        picture = lay_out(model, self.choice, frame)
        if not model.received:
            picture.head[1:] = [Text(f"waiting for the first answer, up to {self._timeout:g} s", "dim", end="")]
        self._show(picture, model)
        if isinstance(self.screen, Panel):
            self.screen.update()
        row = self._rows.row
        self.feed.list_jobs(self._jobs_wanted)
        self._watch(str(row["key"]) if row and self.choice.tab == "metrics" else "")

    def post_display_hook(self) -> None:
        """After each picture."""
        ask(self)

    def _show(self, picture: Picture, model: Model) -> None:
        self._head.show(picture.head)
        self._charts.show(picture.charts)
        self._tabs.show([picture.tabs])
        self._rows.show_list(picture.listing, empty_text(picture.listing, model, self.choice))
        if self._outcome and time.monotonic() - self._outcome_at > _OUTCOME_TIME:
            self._outcome = ""
        outcome = Text(self._frame.glyphs.said(self._outcome)[: self.size.width], "bold yellow", end="")
        self._foot.show([outcome if self._outcome else keys_line(self.size.width, self.choice.tab)])

    @property
    def _jobs_wanted(self) -> JobsWanted | None:
        """Jobs while they are in view; in an order of another column than the states', of as many as may be."""
        if self.choice.tab != "jobs":
            return None
        least = _JOBS if self.choice.orders.get("jobs", JOBS.order) == JOBS.order else LIST_MAX
        return JobsWanted(self.choice.search, max(least, _JOBS * (self._rows.place // _JOBS + 2)))

    def _watch(self, key: str) -> None:
        if key != self.choice.selected:
            self.choice = dataclasses.replace(self.choice, selected=key)
            self.feed.watch(key)

    def tell(self, text: str) -> None:
        """Say on the last line what became of a deed."""
        self._outcome, self._outcome_at = text, time.monotonic()
        self.draw()

    def _choose(self, choice: Choice) -> None:
        self.choice = choice
        self.draw()

    # what keys and clicks do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of the screen are not those of a dialog, and letters while something is typed."""
        if action not in DEEDS or action == "redraw":
            return True
        is_typing = self._input.display and action != "forget_search"
        return len(self.screen_stack) == 1 and not is_typing

    async def action_quit(self) -> None:
        """End."""
        self.exit(return_code=0)

    def action_tab(self, step: int) -> None:
        """Another list."""
        self._choose(self.choice.with_next_tab(step))

    def action_show_tab(self, tab: str) -> None:
        """That list."""
        self._choose(self.choice.with_tab(tab))

    def action_sort(self, step: int) -> None:
        """Sort by the next column, or the one before."""
        listing = listing_of(self.model, self.choice, self.frame)
        orders = listing.table.orders
        place = (orders.index(listing.lines.order) + step) % len(orders)
        self._choose(self.choice.with_order(listing.table.name, orders[place]))

    def action_reverse(self) -> None:
        """The other way round."""
        self._choose(self.choice.with_turn(self.choice.tab))

    def action_span(self) -> None:
        """Routes of the last minute, or since the start."""
        self._choose(dataclasses.replace(self.choice, tab="routes", since_start=not self.choice.since_start))

    def action_window(self) -> None:
        """Charts of another time."""
        self._choose(self.choice.with_next_window())

    def action_pause(self) -> None:
        """The numbers stand still, or go on."""
        self._paused = None if self._paused else (self.feed.model, time.monotonic())
        self.draw()

    def action_redraw(self) -> None:
        """Draw all of it anew."""
        self.refresh(layout=True)

    def action_pin(self) -> None:
        """Pin the own metric under the cursor, or pin it no more."""
        if self.choice.tab == "metrics" and self.choice.selected:
            self.feed.toggle_pin(self.choice.selected)

    def action_search(self) -> None:
        """Type what the rows must have."""
        self._input.value = self.choice.search
        self._input.cursor_position = len(self._input.value)
        self._input.display = True
        self._foot.display = False
        self.screen.set_focus(self._input)  # at once: the next key is for it

    def action_forget_search(self) -> None:
        """All rows again."""
        self._end_search()
        self._choose(self.choice.with_search(""))

    def _end_search(self) -> None:
        self._input.display = False
        self._foot.display = True
        self.screen.set_focus(self._rows)

    @on(Input.Changed)
    def _searched(self, message: Input.Changed) -> None:
        if message.input.display:
            self._choose(self.choice.with_search(message.value))

    @on(Input.Submitted)
    def _search_ended(self) -> None:
        self._end_search()
        self.draw()

    def on_rows_moved(self) -> None:
        """Another row's charts."""
        self.draw()

    def on_lines_picked(self, message: Lines.Picked) -> None:
        """A head, a tab or a key was clicked."""
        meta = message.meta
        if "order" in meta:
            self._choose(self.choice.with_order(self.choice.tab, meta["order"]))
        elif "tab" in meta:
            self.action_show_tab(meta["tab"])
        elif "key" in meta:
            self.simulate_key(meta["key"])

    # what is told in dialogs

    def action_help(self) -> None:
        """What the keys do."""
        self.push_screen(Panel(lambda: ("hvd top: keys", help_lines()), "Esc back"), self._returned)

    def _returned(self, key: str | None) -> None:
        """From a panel, behind which the size may have changed."""
        self.draw()
        if key == "c":
            self.action_cancel()

    def on_rows_opened(self) -> None:
        """All of the row under the cursor."""
        listing, row = self._rows.listing, self._rows.row
        if listing is None or row is None:
            return
        details = Details(listing.table, row, lambda: (self.model, listing_of(self.model, self._all, self.frame).rows))
        is_job = listing.table is JOBS
        words = f"Esc back   j k scroll{'   c cancels it' if is_job else ''}"
        panel = Panel(lambda: details.content(self._frame.glyphs), words, "c" if is_job else "")
        self.push_screen(panel, self._returned)
        if question := details.question(self._address, self._timeout):

            def answered(lines: list[str]) -> None:
                details.more = lines
                if panel.is_current:
                    panel.update()

            self._in_thread(question, answered, lambda error: answered([error]))

    @property
    def _all(self) -> Choice:
        """The choice without its search: a row that is looked at may not have the words any more."""
        return self.choice.with_search("")

    def action_cancel(self) -> None:
        """Ask whether the job under the cursor is to be cancelled."""
        row = self._rows.row
        if self.choice.tab != "jobs" or row is None:
            return
        name, job_id, state = (self._frame.glyphs.said(row.get(field), 100) for field in ("name", "id", "status"))
        if state not in ("running", "pending"):
            self.tell(f"job {name} is {state} already: there is nothing to cancel")
            return
        question = [
            f"Cancel job {name} ({job_id})?",
            "It is told to end." if state == "running" else "It will not run.",
        ]

        def answered(is_wanted: bool | None) -> None:
            if is_wanted:
                self.tell(f"asking to cancel job {name}")
                self._in_thread(
                    lambda: cancel_job(self._address, str(row["id"]), self._timeout),
                    lambda outcome: self.tell(f"job {name} {outcome}"),
                    lambda error: self.tell(f"job {name} is not cancelled: {error}"),
                )

        self.push_screen(Question(question), answered)

    def _in_thread(self, work: Callable[[], T], done: Callable[[T], None], failed: Callable[[str], None]) -> None:
        """Do what may take a while; what becomes of it is done by the app."""
        in_thread(
            work,
            lambda result: self._from_thread(partial(done, result)),
            lambda error: self._from_thread(partial(failed, reason_of(error, self._address))),
        )

    # how it ends

    def _print_error_renderables(self) -> None:
        """A traceback is no message: `show` tells in a line what went wrong."""
        self._exit_renderables.clear()


def show(feed: Feed, address: Address, timeout: float, frame: Frame, choice: Choice) -> int:
    """Show what the feed brings until the user quits; gives the exit code. The terminal is then as it was before.

    Raises what ended the feed, if that is an error of our own.
    """
    Terminal.encoding = frame.glyphs.encoding
    app = Top(feed, address, timeout, frame, choice)
    try:
        app.run()
    finally:
        feed.changed = lambda: None
        feed.stop()
    if feed.failure:
        raise feed.failure
    if app._exception:  # Textual has no public name for it
        raise app._exception
    return app.return_code or 0
