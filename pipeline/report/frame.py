"""One picture of the live board, as a pure function of what is known: no terminal, no clock."""

from __future__ import annotations

__all__ = ["Counts", "Running", "frame"]

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

from pipeline.model import TaskState
from pipeline.report.text import Glyphs, clean, fits, pad, seconds_text, shorten

_WIDE = 80
_BAR = 12
_LATE = 0.8
_ID_MIN = 16
_ID_MAX = 40
_LIMIT = 400
# The order in which counts are kept when a narrow terminal has no room for all of them.
_SHOWN = (TaskState.FAILED, TaskState.DONE, TaskState.CACHED, TaskState.BLOCKED, TaskState.CANCELLED)
_STYLES = {TaskState.FAILED: "bold red", TaskState.BLOCKED: "yellow", TaskState.CANCELLED: "yellow"}


@dataclass(kw_only=True, slots=True)
class Running:
    """A task at work; ``notable`` is the last line that looked like a step of a build."""

    task: str
    began: float
    deadline: float | None = None
    last: str = ""
    notable: str = ""


@dataclass(kw_only=True, slots=True)
class Counts:
    """How many tasks ended in which way; ``total`` is None where nobody said."""

    total: int | None = None
    ended: dict[TaskState, int] = field(default_factory=dict)

    def add(self, state: TaskState) -> None:
        """Count one more."""
        self.ended[state] = self.ended.get(state, 0) + 1


def frame(  # noqa: PLR0913 - a pure function has to be told everything
    running: Sequence[Running],
    counts: Counts,
    *,
    now: float,
    width: int,
    height: int,
    glyphs: Glyphs,
    encoding: str = "utf-8",
) -> Text:
    """Draw the header and as many running tasks as fit, the longest running first; no line ever wraps."""
    width = max(width - 1, 1)  # some terminals wrap as soon as the last column is written
    per_task = 1 if width >= _WIDE else 2
    order = sorted(running, key=lambda task: task.began)
    room = max(1, (height - 2) // per_task)
    shown = order if len(order) <= room else order[: max(1, room - 1)]
    lines = [_header(counts, len(order), width, glyphs)]
    ids = max((cell_len(clean(task.task, _LIMIT)) for task in shown), default=0)
    column = min(max(ids, _ID_MIN), _ID_MAX, width // 3)
    for task in shown:
        lines += [_wide(task, column, now, width, glyphs)] if per_task == 1 else _narrow(task, now, width, glyphs)
    if len(shown) < len(order):
        lines.append(Text(shorten(f"  {glyphs.ellipsis} and {len(order) - len(shown)} more", width), style="dim"))
    whole = Text("\n", no_wrap=True, overflow="crop", end="").join(lines)
    return whole if fits(whole.plain, encoding) == whole.plain else _recoded(lines, encoding, width)


def _recoded(lines: list[Text], encoding: str, width: int) -> Text:
    """Escape what the terminal cannot show; a build may print any script."""
    plain = [Text(shorten(fits(line.plain, encoding), width, ellipsis=".."), style=line.style) for line in lines]
    return Text("\n", no_wrap=True, overflow="crop", end="").join(plain)


def _header(counts: Counts, running: int, width: int, glyphs: Glyphs) -> Text:
    over = sum(counts.ended.values())
    parts: list[tuple[str, str]] = [(f"{running} running", "bold")]
    for state in _SHOWN:
        number = counts.ended.get(state, 0)
        if number or state in {TaskState.DONE, TaskState.FAILED}:
            parts.append((f"{number} {state.value}", _STYLES.get(state, "") if number else "dim"))
    if counts.total is not None:
        parts.insert(0, (f"{over}/{counts.total}", "bold"))
    line = Text(no_wrap=True)
    for at, (text, style) in enumerate(parts):
        gap = f" {glyphs.dot} " if at else ""
        if cell_len(line.plain) + cell_len(gap + text) > width:
            break  # the rest matters less
        line.append(gap, style="dim").append(text, style=style)
    return line


def _share(task: Running, now: float) -> float | None:
    return (now - task.began) / task.deadline if task.deadline else None


def _colour(share: float | None) -> str:
    if share is None or share <= _LATE:
        return "cyan"
    return "yellow" if share <= 1 else "red"


def _bar(share: float | None, glyphs: Glyphs) -> str:
    if share is None:
        return glyphs.empty * _BAR
    filled = min(_BAR, max(0, int(share * _BAR)))
    return glyphs.full * filled + glyphs.empty * (_BAR - filled)


def _times(task: Running, now: float) -> str:
    spent = seconds_text(now - task.began)
    return f"{spent} / {seconds_text(task.deadline)}" if task.deadline is not None else spent


def _saying(task: Running, width: int, glyphs: Glyphs) -> str:
    """The step where there is one, and the last line after it where there is room."""
    step = clean(task.notable, _LIMIT)
    last = clean(task.last, _LIMIT)
    text = step or last
    if step and last and last != step and cell_len(step) + 3 < width // 2:
        text = f"{step} {glyphs.dot} {last}"
    return shorten(text, width, ellipsis=glyphs.ellipsis)


def _wide(task: Running, column: int, now: float, width: int, glyphs: Glyphs) -> Text:
    share = _share(task, now)
    name = shorten(clean(task.task, _LIMIT), column, ellipsis=glyphs.ellipsis, middle=True)
    line = Text(no_wrap=True)
    line.append(pad(name, column)).append(" ").append(pad(_times(task, now), 15, right=True), style=_colour(share))
    line.append(" ").append(_bar(share, glyphs), style=_colour(share)).append("  ")
    line.append(_saying(task, width - cell_len(line.plain), glyphs), style="dim")
    return line


def _narrow(task: Running, now: float, width: int, glyphs: Glyphs) -> list[Text]:
    share = _share(task, now)
    times = shorten(_times(task, now), width)
    room = width - cell_len(times) - 1
    name = shorten(clean(task.task, _LIMIT), max(room, 0), ellipsis=glyphs.ellipsis, middle=True)
    head = Text(no_wrap=True)
    if room > 0:
        head.append(pad(name, room)).append(" ")
    head.append(times, style=_colour(share))
    return [head, Text(shorten(f"  {_saying(task, max(width - 2, 1), glyphs)}", width), style="dim", no_wrap=True)]
