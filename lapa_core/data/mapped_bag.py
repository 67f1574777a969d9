# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A foreign bag whose streams have the names and shapes of ours, translated as they are read.

`executed/ee_delta` carries the commanded openings and no motion, as nobody knows the steps.
Knows no YAML; see `mapping`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lapa_core.data import messages, streams, translate
from lapa_core.data.bags import Bag, Record, Topic
from lapa_core.data.episodes import EXECUTED, INSTRUCTION
from lapa_core.data.streams import IMAGE_TYPES
from lapa_core.data.translate import LEAST_NS, ArmMap, Finger, ForwardKinematics, Openings
from lapa_core.errors import DataError, unknown
from lapa_core.robot import Arm, Robot

_EXECUTED, _INSTRUCTION = f"/{EXECUTED}", f"/{INSTRUCTION}"
_STEP = "openings"  # type of the messages made here
_LOOK = 500  # messages in which a joint must be named: seconds of any joint states


@dataclass(frozen=True)
class _Shown:
    """A foreign topic under one of our names.

    Attributes:
        name: ours.
        type: told to `decode`.
        translate: the message, where it is not of the type that ours has.
        words: that a message must hold.
    """

    name: str
    type: str
    translate: Callable[[Any], Any] | None = None
    words: tuple[str, ...] = ()


class MappedBag(Bag):
    """See the module. The streams it shows are those of one robot, without a namespace."""

    def __init__(
        self,
        bag: Bag,
        robot: Robot,
        cameras: Mapping[str, str],
        arms: Mapping[str, ArmMap],
        instruction: str,
    ) -> None:
        """Show `bag` as a recording of the robot.

        Args:
            bag: the foreign one.
            robot: with a topic of its own for each arm's joints.
            cameras: camera -> topic.
            arms: arm -> its streams.
            instruction: topic of the words, or "".

        Raises:
            DataError: a topic is not there, has no message, or is of another type.
            ConfigError: an arm's URDF is wrong.
        """
        self._foreign = bag
        self._robot = robot
        self._shown: dict[str, list[_Shown]] = {}  # by foreign topic
        self._commands = {i: arms[a.name].command or arms[a.name].gripper
                          for i, a in enumerate(robot.arms)}  # fmt: skip
        self._targets = {(m.target or m.measured).topic for m in arms.values()}
        for name, topic in cameras.items():
            self._show(topic, IMAGE_TYPES, streams.absolute(robot.camera(name).topic, ""))
        for arm in robot.arms:
            self._show_arm(arm, arms[arm.name])
        for command in self._commands.values():
            self._check(command.topic, command.types, (command.joint,))
        if instruction:
            self._show(instruction, (translate.STRING,), _INSTRUCTION)
        self._translations = {
            s.type: s.translate for shown in self._shown.values() for s in shown if s.translate
        }
        super().__init__(
            bag.path, bag.files, bag.storage, self._topics(), bag.begins_ns, bag.ends_ns, bag.types
        )

    def records(
        self,
        topics: Iterable[str] | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[Record]:
        """As `messages`."""
        for topic, type_, log_ns, raw in self.messages(topics, start_ns, end_ns):
            yield Record(topic, type_, log_ns, raw)

    def messages(
        self,
        topics: Iterable[str] | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[tuple[str, str, int, bytes]]:
        """Topic, type, log time [ns] and bytes for `decode`, in log order."""
        wanted = {t.name for t in self.topics} if topics is None else set(topics)
        for name in wanted:
            self.topic(name)
        asked = {f for f, shown in self._shown.items() if wanted & {s.name for s in shown}}
        openings = Openings(self._commands, self._targets) if _EXECUTED in wanted else None
        asked |= openings.topics if openings else set()
        last: dict[str, int] = {}
        for topic, type_, log_ns, raw in self._foreign.messages(asked, start_ns, end_ns):
            for shown in self._shown.get(topic, ()):
                often = shown.translate and log_ns - last.get(shown.name, -LEAST_NS) < LEAST_NS
                if shown.name in wanted and not often and translate.names(raw, shown.words):
                    last[shown.name] = log_ns
                    yield shown.name, shown.type, log_ns, raw
            if openings and topic in openings.topics:
                made = openings.on(self._foreign, topic, type_, log_ns, raw)
                if made is not None:
                    yield _EXECUTED, _STEP, log_ns, made

    def decode(self, type: str, raw: bytes) -> Any:
        """The message, translated where it is not of the type that we have."""
        if type == _STEP:
            return translate.step(raw, self._robot.dimensions)
        if type not in self._translations:
            return self._foreign.decode(type, raw)
        return self._translations[type](self._foreign.decode(type.partition(" as ")[0], raw))

    def header_stamp_ns(self, type: str, raw: bytes) -> int | None:
        """As of the foreign message."""
        return self._foreign.header_stamp_ns(type.partition(" as ")[0], raw)

    def first_instruction(self) -> str:
        """The first words on the bag's own topic; "" if there are none."""
        if _INSTRUCTION not in {t.name for t in self.topics}:
            return ""
        found = next(self.messages((_INSTRUCTION,)), None)
        return "" if found is None else str(self.decode(found[1], found[3]).data)

    def _show(
        self,
        topic: str,
        types: tuple[str, ...],
        name: str,
        translate: Callable[[Any], Any] | None = None,
        words: tuple[str, ...] = (),
    ) -> None:
        """Show a foreign topic, which must be of one of the types, under our name."""
        self._check(topic, types, words)
        type_ = self._foreign.topic(topic).type
        as_type = f"{type_} as {name}" if translate else type_
        shown = _Shown(name, as_type, translate, words)
        self._shown.setdefault(topic, []).append(shown)

    def _show_arm(self, arm: Arm, where: ArmMap) -> None:
        for name, source in (
            ("ee_pose", where.measured),
            ("ee_target", where.target or where.measured),
        ):
            kinds = (translate.POSE, translate.JOINTS)
            if self._foreign.topic(source.topic).type == translate.JOINTS:
                forward = ForwardKinematics(source, arm)
                self._show(source.topic, kinds, f"/{arm.name}/{name}", forward, forward.joints)
            else:
                self._show(source.topic, kinds, f"/{arm.name}/{name}")
        gripper = where.gripper
        joints = streams.absolute(arm.joint_states, "")
        self._show(gripper.topic, gripper.types, joints, Finger(gripper, arm), (gripper.joint,))

    def _check(self, topic: str, types: tuple[str, ...], words: tuple[str, ...]) -> None:
        found = self._foreign.topic(topic)
        where = f"{self._foreign.path}: {topic}"
        if found.type not in types:
            raise DataError(f"{where} holds {found.type}; valid: {', '.join(types)}")
        if not found.messages:
            raise DataError(f"{where} has no message")
        if not any(words):
            return
        seen: dict[str, None] = {}
        for _, type_, _, raw in islice(self._foreign.messages((topic,)), _LOOK):
            if translate.names(raw, words):
                return
            seen |= dict.fromkeys(messages.joint_state(self._foreign.decode(type_, raw))[0])
        missing = [w for w in words if w not in seen] or list(words)
        raise DataError(unknown("joint", missing[0], seen, where))

    def _topics(self) -> tuple[Topic, ...]:
        """What is shown; how many messages it will be is not known without reading them."""
        counts = {t.name: t.messages for t in self._foreign.topics}
        shown = {s.name: counts[f] for f, each in self._shown.items() for s in each}
        shown[_EXECUTED] = max(counts[c.topic] for c in self._commands.values())
        return tuple(Topic(n, "", count) for n, count in shown.items())
