"""Live progress on a terminal; elsewhere a line an event, as a log wants it."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn

from dferc_platform.cli.durations import duration
from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc_platform.extract.job import Progress as ExtractionProgress
    from dferc_platform.sweep import SweepProgress


class LiveBars:
    """Bars by name on a terminal; elsewhere nothing, so that a line can be printed instead."""

    def __init__(self, *columns: ProgressColumn) -> None:
        console = Console()
        self.live = console.is_terminal
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            *columns,
            console=console,
            disable=not self.live,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def _show(self, name: str, done: int, total: int | None, **fields: Any) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, **fields)
        self._progress.update(self._tasks[name], completed=done, total=total, **fields)


class Bars(LiveBars):
    """Bars that each count something and say how it stands."""

    def __init__(self) -> None:
        super().__init__(MofNCompleteColumn(), TextColumn("{task.fields[state]}", markup=False), TimeElapsedColumn())
        self._said: dict[str, int] = {}

    def move(self, name: str, done: int, total: int | None, state: str) -> None:
        """Show that so many of all are done, and how it stands."""
        if self.live:
            self._show(name, done, total, state=state)
        elif self._said.get(name) != done:
            say(f"{name}: {done}{f' of {total}' if total else ''}, {state}")
            self._said[name] = done


class EpochBars(Bars):
    """A bar a training run; it counts epochs."""

    def epoch(self, name: str, epochs: int, metrics: dict[str, float]) -> None:
        """An epoch is done."""
        done = int(metrics["epoch"])
        left = duration((epochs - done) * metrics["epoch_seconds"])
        self.move(name, done, epochs, f"validation w-F1 {metrics['validation/weighted_f1']:.2f}, at most {left} left")


class SweepBar(Bars):
    """One bar for a sweep; it counts trials."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def show(self, progress: "SweepProgress") -> None:
        """A trial began or ended."""
        parts = [f"{progress.running} running"]
        if progress.best is not None:
            parts.append(f"best {progress.best:.2f}")
        if progress.seconds_left is not None:
            parts.append(f"about {duration(progress.seconds_left)} left")
        self.move(self._name, progress.done, progress.total, ", ".join(parts))


class ExtractionBars(Bars):
    """A bar a modality; it counts dialogues."""

    def __init__(self) -> None:
        super().__init__()
        self._begun: dict[str, tuple[float, int]] = {}

    def show(self, progress: "ExtractionProgress") -> None:
        """A dialogue is finished; a log gets no more than a line for every twentieth part."""
        if not self.live and progress.done % max(progress.total // 20, 1) and progress.done != progress.total:
            return
        begun, earlier = self._begun.setdefault(progress.name, (time.monotonic(), progress.done))
        extracted = progress.done - earlier
        state = f"{progress.utterances} utterances, {progress.present} with a vector"
        if extracted and progress.done < progress.total:
            left = (time.monotonic() - begun) / extracted * (progress.total - progress.done)
            state += f", about {duration(left)} left"
        self.move(progress.name, progress.done, progress.total, state)
