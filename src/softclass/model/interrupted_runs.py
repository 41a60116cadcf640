"""What an interrupted run leaves behind, and how the next goes on from it: byte for byte as if never interrupted."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from softclass.data.files import atomic_write_text, read_bytes
from softclass.data.paths import shown_path
from softclass.errors import UsageError
from softclass.model.network_fitting import NetworkOptions
from softclass.model.run_files import CONFIG_FILE, checkpoints_of

PLAN_FILE = "plan.json"


class InterruptedRun:
    """
    The folder of a run that is not finished: its options, the plan of its network, the states to go on from.

    Parameters
    ----------
    run : Path
        The run directory, which is not there before the end.

    Attributes
    ----------
    folder : Path
        Beside it.

    Examples
    --------
    >>> InterruptedRun(Path("runs/flowers-1")).folder.as_posix()
    'runs/flowers-1.checkpoints'
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.folder = checkpoints_of(run)

    def begin(self, config: str) -> None:
        """Make the folder anew with the options of the run."""
        if self.folder.exists() and not self._is_ours():
            raise UsageError(
                "SC204", "the folder for checkpoints exists and is not ours", where=shown_path(self.folder),
                hint="Choose another --output",
            )  # fmt: skip
        self.remove()
        self.folder.mkdir(parents=True)
        atomic_write_text(self.folder / CONFIG_FILE, config)

    def remove(self) -> None:
        """Remove the folder, if it is one of ours."""
        if self._is_ours():
            shutil.rmtree(self.folder)

    def keep_plan(self, resolved: Mapping[str, Any]) -> None:
        """Write what a plan was resolved to: the clock has a say in it."""
        atomic_write_text(self.folder / PLAN_FILE, json.dumps(dict(resolved), sort_keys=True) + "\n")

    def planned(self, options: NetworkOptions) -> NetworkOptions:
        """
        Return the options with the plan of then.

        Raises
        ------
        UsageError
            SC207, if there is nothing to go on from.
        """
        if not self._is_ours():
            meant = self.run.with_suffix("")
            is_folder = checkpoints_of(meant) == self.run and InterruptedRun(meant)._is_ours()
            raise UsageError(
                "SC207", "--resume must name a run that was interrupted; there are no checkpoints of it",
                where=shown_path(self.run),
                hint=f"Name the run: --resume {shown_path(meant)}" if is_folder else "Train it without --resume",
            )  # fmt: skip
        if not (self.folder / PLAN_FILE).is_file():
            return options  # interrupted before there was a plan
        plan = json.loads(read_bytes(self.folder / PLAN_FILE, limit=2**20))
        lists = {name: None if plan[name] is None else tuple(plan[name]) for name in ("hidden", "augment")}
        return replace(options, budget=None, **{**plan, **lists})

    def _is_ours(self) -> bool:
        return (self.folder / CONFIG_FILE).is_file()


@contextmanager
def held_signals() -> Iterator[Callable[[], bool]]:
    """
    Hold SIGINT and SIGTERM back, so that what is going on can be saved, and let them act at the end.

    Yields
    ------
    callable () -> bool
        Whether one came. A second one acts at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []
    previous: dict[int, Any] = {}

    def hold(number: int, frame: FrameType | None) -> None:
        if came:
            signal.signal(number, previous[number])
            signal.raise_signal(number)
        came.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup: it shall not stop the run
            previous[number] = signal.signal(number, hold)
    try:
        yield lambda: bool(came)
    finally:
        for held, handler in previous.items():
            signal.signal(held, handler)
    if came:
        signal.raise_signal(came[0])
