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
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lapa_core.errors import RecordingError
from lapa_core.recording import disk, folders
from lapa_core.recording import episode as episodes
from lapa_core.recording.bag import BagSummary, BagWriter
from lapa_core.recording.episode import AuthorityChange, Episode, Finding, Outcome, Stream
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


Verdict = tuple[tuple[episodes.Stream, ...], tuple[Finding, ...]]


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
        judge: Callable[[Take], Verdict],
        missing: Callable[[], list[str]],
        begin: Callable[[], None],
        opened: Callable[[Take], None],
    ) -> None:
        """Start in `starting`.

        Args:
            make_take: makes the writer of one episode.
            facts: what is known of the running episode.
            judge: streams and findings of the running episode, complete.
            missing: streams that must be there and are not.
            begin: called when an episode begins, before anything of it is written.
            opened: given the take then, for the messages that come first.
        """
        self.wishes = wishes
        self.message = ""
        self.findings: tuple[Finding, ...] = ()
        self.take: Take | None = None
        self._make_take, self._facts, self._judge = make_take, facts, judge
        self._missing, self._begin, self._opened = missing, begin, opened
        self._state: RecorderState = "starting"
        self._folder = wishes.root
        self._number = 0
        self._began_s = 0.0
        self._started = ""
        self._next_at_s: float | None = None
        self._closed: BagSummary | None = None
        self._verdict: Verdict | None = None
        self._stopped = False
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
        if self.take is not None:
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
        self._begin()
        take = self._open(existed=self._folder.exists())
        self.take, self._closed, self._verdict = take, None, None
        self._began_s, self._next_at_s, self._stopped = now_s, None, False
        self._opened(take)
        return self._now("recording", f"recording episode {self._number}")

    def _open(self, existed: bool) -> Take:
        """A new bag with a draft of its episode.yaml, which a crash leaves to `recover`."""
        bag: BagWriter | None = None
        try:
            bag = BagWriter(self._folder)
            episodes.write(self._episode("recovered", None), self._folder)
        except RecordingError:
            if bag is not None:
                bag.abort()
            if not existed:  # it is ours, and holds no message yet
                shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self._make_take(bag)

    def save(self, now_s: float, outcome: Outcome = "success") -> str:
        """End the episode and keep it; when this returns it is complete and on disk.

        Raises:
            RecordingError: none runs, it is flagged and that is refused, or it cannot be written.
        """
        self._require_episode()
        assert self.take is not None
        _, findings = self._verdict or self._judge(self.take)
        flagged = [f"{f.stream} {f.text}".strip() for f in findings if f.serious]
        if flagged and self.wishes.refuse_flagged and outcome == "success":
            raise RecordingError(
                f"episode {self._number} is flagged ({'; '.join(flagged[:3])}): "
                "save it as a failure, or discard it"
            )
        kept = self._finished(outcome, self._end())
        try:
            episodes.write(kept, self._folder)
            folders.complete(self._folder)
        except RecordingError as error:
            self._now("full", f"episode {self._number} is not saved: {error}; try again")
            raise
        self.findings = kept.findings
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
            kept = self._finished("discarded", self._end())
        except RecordingError:  # the disk refused, and nothing of it is wanted
            kept = self._episode("discarded", None)
        try:
            episodes.write(kept, self._folder)
            folders.discard(self._folder)
        except RecordingError as error:
            self._now("full", f"episode {number} is not discarded: {error}; try again")
            raise
        self._forget()
        self.findings = ()
        if then_again and self.wishes.reset_s == 0.0:
            self._state = "idle"
            return f"discarded episode {number}; {self.start(now_s)}"
        return self._next(now_s, f"discarded episode {number}")

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
        """Begin no further episode by itself until the next `start`; a running one goes on."""
        self._stopped, self._next_at_s = True, None
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
        if self.take is None:
            return
        try:
            episodes.write(self._finished("recovered", self._end()), self._folder)
        except RecordingError as error:
            self.message = str(error)

    # Inside --------------------------------------------------------------------------------

    def _require_episode(self) -> None:
        if self.take is None:
            raise RecordingError(f"no episode runs ({self._state}): call start first")

    def _check_room(self) -> None:
        try:
            free = folders.free_bytes(self.wishes.root)
        except OSError as error:
            raise disk.named(error, f"{self.wishes.root} cannot be reached") from error
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
        """Complete the bag and judge it, once."""
        assert self.take is not None
        if self._closed is None:
            self._state = "saving"
            try:
                self._closed = self.take.close()
            except RecordingError as error:
                self._state = "full"
                raise RecordingError(
                    f"episode {self._number} could not be completed: {error}. Discard it, or end "
                    f"the recorder: `lapa recover {self.wishes.root}` gets back what was written"
                ) from None
            self._verdict = self._judge(self.take)  # the writer knows its own losses now
        return self._closed

    def _finished(self, outcome: Outcome, summary: BagSummary) -> Episode:
        """All that episode.yaml says; its streams are those of the bag, as many as are there."""
        assert self.take is not None and self._verdict is not None
        judged, findings = self._verdict
        by_topic = {s.topic: s for s in judged}
        streams = tuple(
            replace(
                by_topic.get(topic, Stream(topic, "", 0, 0.0, 0.0, 0.0, 0, 0, 0)),
                type=self.take.types.get(topic, ""),
                messages=count,
            )
            for topic, count in summary.counts.items()
        )
        return replace(self._episode(outcome, summary), streams=streams, findings=findings)

    def _forget(self) -> None:
        self.take, self._closed, self._verdict = None, None, None

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

    def _next(self, now_s: float, message: str) -> str:
        """After an episode: wait for the scene to be put back, or for a person."""
        wanted = self.wishes.episodes
        if wanted and self._saved >= wanted:
            return self._now("done", f"{message}; all {wanted} are recorded")
        if self.wishes.reset_s > 0.0 and not self._stopped:
            self._next_at_s = now_s + self.wishes.reset_s
            return self._now("reset", message)
        return self._now("idle", message)

    def _now(self, state: RecorderState, message: str) -> str:
        self._state, self.message = state, message
        return message
