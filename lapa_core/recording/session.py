# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""An afternoon of recording: which episode runs, what became of the last, when the next begins.

    starting --streams there--> idle --start--> recording --save, fail--> reset --time--> recording
                                 ^                 |  ^                     |
                                 |              discard, redo            undo_last
                                 +---- stop, or no reset period, or as many as wanted (done)

It knows no ROS: it is given messages, times and a person's wishes. Times are seconds of a
monotonic clock; stamps are nanoseconds of the robot's clock.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lapa_core.errors import RecordingError
from lapa_core.recording import episode as episodes
from lapa_core.recording import folders
from lapa_core.recording.bag import BagSummary, BagWriter
from lapa_core.recording.episode import AuthorityChange, Episode, Finding, Outcome
from lapa_core.recording.status import RecorderState
from lapa_core.recording.take import Take

NS = 1_000_000_000


@dataclass(frozen=True)
class Wishes:
    """What a person wants of a recording session.

    Attributes:
        root: folder of the data set.
        episodes: how many are wanted; 0: no end.
        reset_s: time to put the scene back before the next episode begins by itself; 0: it
            never does.
        min_free_bytes: of disk; with less no episode begins, and a running one is ended.
        refuse_flagged: whether an episode with a serious finding cannot be saved as a success.
    """

    root: Path
    episodes: int = 0
    reset_s: float = 0.0
    min_free_bytes: int = 2 << 30
    refuse_flagged: bool = False


@dataclass(frozen=True)
class Facts:
    """What the recorder knows about the running episode, beside its messages."""

    instruction: str
    operator: str
    robot: str
    robot_yaml: str
    checkpoint: str
    device: str
    software: str
    authority: tuple[AuthorityChange, ...] = ()
    interventions: int = 0


class Session:
    """The state machine around one `Take` after the other.

    Attributes:
        message: the last thing that happened, for a person.
        findings: of the last episode, once it has ended.
        take: the running episode's, None between episodes.
    """

    def __init__(
        self,
        wishes: Wishes,
        *,
        make_take: Callable[[BagWriter], Take],
        facts: Callable[[], Facts],
        judge: Callable[[Take], tuple[tuple[episodes.Stream, ...], tuple[Finding, ...]]],
        missing: Callable[[], list[str]],
        begin: Callable[[], None],
    ) -> None:
        """Start in `starting`.

        Args:
            make_take: makes the writer of one episode.
            facts: what is known of the running episode.
            judge: streams and findings of the running episode, complete.
            missing: streams that must be there and are not.
            begin: called when an episode begins, before its first message.
        """
        self.wishes = wishes
        self.message = ""
        self.findings: tuple[Finding, ...] = ()
        self.take: Take | None = None
        self._make_take, self._facts, self._judge = make_take, facts, judge
        self._missing, self._begin = missing, begin
        self._state: RecorderState = "starting"
        self._folder = wishes.root
        self._number = 0
        self._began_s = 0.0
        self._ended_s = 0.0
        self._started = ""
        self._next_at_s: float | None = None
        self._closed: BagSummary | None = None
        wishes.root.mkdir(parents=True, exist_ok=True)
        self._saved = len(folders.episodes(wishes.root))
        left = folders.partials(wishes.root)
        if left:
            self.message = (
                f"{len(left)} unfinished episodes of an earlier run in {wishes.root}: "
                f"run `lapa recover {wishes.root}`"
            )

    @property
    def state(self) -> RecorderState:
        """As in `RecorderStatus`."""
        return self._state

    @property
    def number(self) -> int:
        """Of the running or next episode."""
        running = self.take is not None or self._closed is not None
        return self._number if running else folders.next_number(self.wishes.root)

    @property
    def saved(self) -> int:
        """Episodes saved in the folder."""
        return self._saved

    def elapsed_s(self, now_s: float) -> float:
        """Of the running episode; 0 when none runs."""
        return now_s - self._began_s if self.take is not None else 0.0

    def reset_left_s(self, now_s: float) -> float:
        """Until the next episode begins by itself; 0 when it does not."""
        return 0.0 if self._next_at_s is None else max(0.0, self._next_at_s - now_s)

    # A person's acts -----------------------------------------------------------------------

    def start(self, now_s: float) -> str:
        """Begin an episode.

        Raises:
            RecordingError: one runs, a stream is missing, the disk is nearly full.
        """
        if self._state in ("recording", "full"):
            raise RecordingError(f"episode {self._number} is not decided: save or discard it")
        if missing := self._missing():
            raise RecordingError(f"no messages on {', '.join(missing)}: nothing is recorded")
        self._check_room()
        root = self.wishes.root
        self._number = folders.next_number(root)
        self._folder = folders.partial(root, self._number)
        self._started = datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec="milliseconds"
        )
        bag = BagWriter(self._folder)
        episodes.write(self._episode("recovered", None), self._folder)
        self.take = self._make_take(bag)
        self._began_s, self._next_at_s = now_s, None
        self._begin()
        return self._now("recording", f"recording episode {self._number}")

    def save(self, now_s: float, outcome: Outcome = "success") -> str:
        """End the episode and keep it; when this returns it is complete and on disk.

        Raises:
            RecordingError: none runs, it is flagged and that is refused, or it cannot be written.
        """
        self._require_episode()
        assert self.take is not None
        streams, findings = self._judge(self.take)
        flagged = [f"{f.stream} {f.text}".strip() for f in findings if f.serious]
        if flagged and self.wishes.refuse_flagged and outcome == "success":
            raise RecordingError(
                f"episode {self._number} is flagged ({'; '.join(flagged[:3])}): "
                "save it as a failure, or discard it"
            )
        summary = self._end()
        # What the writer knows only after it has written all.
        streams, self.findings = self._judge(self.take)
        counted = tuple(replace(s, messages=summary.counts.get(s.topic, 0)) for s in streams)
        kept = replace(self._episode(outcome, summary), streams=counted, findings=self.findings)
        episodes.write(kept, self._folder)
        folders.complete(self._folder)
        self._forget()
        self._saved += 1
        note = f", {len(self.findings)} findings" if self.findings else ""
        return self._next(now_s, f"saved episode {kept.episode} as {outcome}{note}")

    def discard(self, now_s: float, then_again: bool = False) -> str:
        """End the episode and move it to `discarded/`; with `then_again` begin another.

        Raises:
            RecordingError: none runs.
        """
        self._require_episode()
        number = self._number
        try:
            summary: BagSummary | None = self._end()
        except RecordingError:
            summary = None  # nothing of it is wanted
        episodes.write(self._episode("discarded", summary), self._folder)
        folders.discard(self._folder)
        self._forget()
        self.findings = ()
        if then_again and self.wishes.reset_s == 0.0:
            self._state = "idle"
            return f"discarded episode {number}; {self.start(now_s)}"
        return self._next(now_s, f"discarded episode {number}", again=then_again)

    def undo_last(self, now_s: float) -> str:
        """Move the newest saved episode to `discarded/`.

        Raises:
            RecordingError: none is there, or one runs.
        """
        if self.take is not None:
            raise RecordingError(f"episode {self._number} runs: discard it instead")
        folder = folders.undo_last(self.wishes.root)
        self._saved = len(folders.episodes(self.wishes.root))
        if self._state == "done":
            self._state = "idle"
        self.message = f"took {folder.name} back: it is in discarded/"
        return self.message

    def stop(self) -> str:
        """Begin no further episode by itself; a running one goes on."""
        self._next_at_s = None
        if self._state == "reset":
            self._state = "idle"
        self.message = "stopped: the next episode waits for `start`"
        return self.message

    # Time ----------------------------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        """Look at disk and streams, begin the next episode when it is time."""
        if self._state == "starting" and not self._missing():
            self._state = "idle"
            self.message = self.message or "ready"
        if self.take is not None and self._state == "recording":
            self._watch_disk()
        if self._next_at_s is not None and now_s >= self._next_at_s:
            try:
                self.start(now_s)
            except RecordingError as error:
                self._next_at_s = None
                self._now("idle", str(error))

    def close(self) -> None:
        """The recorder ends: what runs becomes complete but undecided, for `lapa recover`."""
        if self.take is not None:
            try:
                self._end()
            except RecordingError as error:
                self.message = str(error)

    # Inside --------------------------------------------------------------------------------

    def _require_episode(self) -> None:
        if self.take is None:
            raise RecordingError(f"no episode runs ({self._state}): call start first")

    def _check_room(self) -> None:
        free = folders.free_bytes(self.wishes.root)
        if free < self.wishes.min_free_bytes:
            raise RecordingError(
                f"{free / 1e9:.1f} GB are free in {self.wishes.root}; "
                f"at least {self.wishes.min_free_bytes / 1e9:.1f} GB are asked for"
            )

    def _watch_disk(self) -> None:
        """End a running episode before the disk is full, so that there is room to complete it."""
        assert self.take is not None
        reason = self.take.error
        try:
            self._check_room()
        except RecordingError as error:
            reason = reason or str(error)
        if reason:
            try:
                self._end()
            except RecordingError as error:
                reason = str(error)
            self._now("full", f"episode {self._number} ended: {reason}; save or discard it")

    def _end(self) -> BagSummary:
        """Complete the bag, once."""
        assert self.take is not None
        if self._closed is None:
            self._state = "saving"
            try:
                self._closed = self.take.close()
            except RecordingError as error:
                self._state = "full"
                raise RecordingError(
                    f"episode {self._number} could not be completed: {error}; "
                    f"`lapa recover {self.wishes.root}` gets back what was written"
                ) from None
        return self._closed

    def _forget(self) -> None:
        self.take, self._closed = None, None

    def _episode(self, outcome: Outcome, summary: BagSummary | None) -> Episode:
        facts = self._facts()
        duration = (summary.last_ns - summary.first_ns) / NS if summary is not None else 0.0
        return Episode(
            episode=self._number,
            instruction=facts.instruction,
            operator=facts.operator,
            outcome=outcome,
            started=self._started,
            duration_s=duration,
            robot=facts.robot,
            robot_yaml=facts.robot_yaml,
            checkpoint=facts.checkpoint,
            device=facts.device,
            software=facts.software,
            authority=facts.authority,
            interventions=facts.interventions,
        )

    def _next(self, now_s: float, message: str, again: bool = False) -> str:
        """After an episode: wait for the scene to be put back, or for a person."""
        wanted = self.wishes.episodes
        if wanted and self._saved >= wanted:
            return self._now("done", f"{message}; all {wanted} are recorded")
        if self.wishes.reset_s > 0.0:
            self._next_at_s = now_s + self.wishes.reset_s
            return self._now("reset", message)
        return self._now("idle", message)

    def _now(self, state: RecorderState, message: str) -> str:
        self._state, self.message = state, message
        return message
