"""How far the work is: a bar on a terminal, else a line now and then, or JSON lines; always on stderr."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from softclass.cli.layout import duration, jsonable, plain_figure
from softclass.cli.output import Screen

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

# Nothing is shown for work that is done before a person has read it.
PATIENCE_S = 0.5
# Facts that are objects with files of their own, not progress.
HEAVY_FACTS = ("schema", "preprocessing", "evaluation")
BARS = "▁▂▃▄▅▆▇█"
CURVE_CELLS = 16
LINE_EVERY_S = {"iteration": 2.0, "phase": 5.0, "epoch": 0.5}


class Progress:
    """Shows the events of a piece of work.

    Parameters
    ----------
    screen : Screen
        Where to show them.
    mode : {"auto", "bar", "lines", "json", "none"}
        How; "auto" is a bar on a terminal, else lines.
    """

    def __init__(self, screen: Screen, mode: str = "auto") -> None:
        self.screen = screen
        if mode == "auto":
            mode = "bar" if screen.err.is_terminal and screen.err.is_capable else "lines"
        self.mode = "none" if screen.quiet else mode
        self.begin = time.monotonic()
        self.last_line: dict[str, float] = {}
        self.losses: list[float] = []  # of the epochs so far
        self._bar: _Bar | None = None
        if self.mode == "json":
            screen.emit = self.emit
        if self.mode == "bar":
            self._bar = _Bar(screen)
            screen.before_write = self._bar.hide

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        """Show an event; those that are no progress pass by."""
        if event == "steps":  # many a second: for a bar only
            if self._bar is not None:
                done, total = facts["done"], facts["total"]
                self._bar.update("fitting   ", f"{sparkline(self.losses)} step {_counted(done, total)}", done, total)
        elif self.mode == "json":
            self.emit(event, facts)
        elif event == "phase":
            done, total = facts.get("done", 0), facts.get("total")
            self._show(event, f"{facts['name']:<10}", _counted(done, total), done, total)
        elif event == "iteration":
            loss, gradient = plain_figure(facts["loss"]), f"{facts['gradient_norm']:.1e}"
            text = f"iteration {facts['iteration']} · loss {loss} · gradient {gradient}"
            self._show(event, "fitting   ", text, None, None)
        elif event == "epoch":
            loss = facts["validation_log_loss_scaled"]
            self.losses = [*(self.losses if facts["epoch"] > 1 else []), facts["train_loss"] if loss is None else loss]
            curve = f"{sparkline(self.losses)} " if self._bar is not None else ""
            self._show(event, "fitting   ", curve + epoch_words(facts), facts["epoch"], facts["epochs"])

    def emit(self, event: str, facts: Mapping[str, Any]) -> None:
        """Write an event as one line of JSON."""
        if self.mode == "json":
            plain = {key: jsonable(value) for key, value in facts.items() if key not in HEAVY_FACTS}
            line = {"event": event, "t": round(time.monotonic() - self.begin, 3), **plain}
            self.screen.err.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
        self.screen.before_write = lambda: None

    def _show(self, event: str, name: str, text: str, done: int | None, total: int | None) -> None:
        if self._bar is not None:
            self._bar.update(name, text, done, total)
        elif self.mode == "lines":
            now = time.monotonic()
            if self.screen.verbose > 1:
                self.screen.remark(f"{name} {text} · {duration(now - self.begin)}")
            elif now - self.last_line.setdefault(event, now) >= LINE_EVERY_S[event]:
                self.last_line[event] = now
                self.screen.remark(f"{name} {text} · {duration(now - self.begin)}")


class _Bar:
    """The bar of rich, shown after a short wait and hidden while something else is written."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.lock = threading.RLock()
        self.state: tuple[str, str, int | None, int | None] = ("", "", None, None)
        self.rich: RichProgress | None = None
        self.closed = False
        self.timer = threading.Timer(PATIENCE_S, self._appear)
        self.timer.daemon = True
        self.timer.start()

    def update(self, name: str, text: str, done: int | None, total: int | None) -> None:
        with self.lock:
            self.state = (name, text, done, total)
            if self.rich is not None:
                self.rich.update(self.task, description=name, text=text, completed=done or 0, total=total)
                if not self.rich.live.is_started and not self.closed:
                    self.rich.start()

    def hide(self) -> None:
        with self.lock:
            if self.rich is not None and self.rich.live.is_started:
                self.rich.stop()

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self.timer.cancel()
            self.hide()

    def _appear(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with self.lock:
            if self.closed:
                return
            stream = self.screen.err
            console = Console(
                file=stream.file, force_terminal=True, no_color=not stream.coloured, width=stream.width, markup=False
            )
            self.rich = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None if stream.width < 70 else 30),
                TextColumn("{task.fields[text]}", markup=False),
                TimeElapsedColumn(),
                console=console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            name, text, done, total = self.state
            self.task = self.rich.add_task(name, text=text, completed=done or 0, total=total)
            self.rich.start()


def epoch_words(facts: Mapping[str, Any]) -> str:
    """
    Return what an epoch brought, and how long the rest will take.

    Examples
    --------
    >>> epoch_words({"epoch": 2, "epochs": 6, "train_loss": 0.5, "validation_log_loss_scaled": 0.4,
    ...              "validation_accuracy": 0.85, "is_best": True, "seconds": 1.5})
    'epoch 2 of 6 · loss 0.5 · validation 0.4, accuracy 0.85, best so far · 6.0 s left'
    """
    words = f"epoch {facts['epoch']} of {facts['epochs']} · loss {plain_figure(facts['train_loss'])}"
    if facts["validation_log_loss_scaled"] is not None:
        best = ", best so far" if facts["is_best"] else ""
        words += f" · validation {plain_figure(facts['validation_log_loss_scaled'])}"
        words += f", accuracy {plain_figure(facts['validation_accuracy'])}{best}"
    left = (facts["epochs"] - facts["epoch"]) * facts["seconds"]
    return f"{words} · {duration(left)} left" if left else words


def sparkline(losses: Sequence[float]) -> str:
    """
    Return a curve of losses that fits into a line: the last of them, high ones high.

    Examples
    --------
    >>> sparkline([2.0, 1.2, 0.9, 0.8, 0.8])
    '█▃▂▁▁'
    """
    shown = list(losses[-CURVE_CELLS:])
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if not high > low:
        return BARS[0] * len(shown)
    return "".join(BARS[round((len(BARS) - 1) * (loss - low) / (high - low))] for loss in shown)


def _counted(done: int, total: int | None) -> str:
    if total:
        return f"{done:,} of {total:,}"
    return f"{done:,}" if done else ""
