# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a checkpoint was made for: robot, dimensions, gripper, cameras, step time, preprocessing.

Also the only place where a gripper's number changes its meaning between the data a model learnt
from and the messages, in which 1 is always open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lapa_core.errors import CheckpointError, unknown
from lapa_core.model.action_tokenizer import is_gripper
from lapa_core.model.vocabulary import KINDS
from lapa_core.robot import POLARITIES, Robot
from lapa_core.types import FloatArray

FORMAT = 3
READABLE = {2: {"state": [], "aim": []}, FORMAT: {}}  # older formats and what they did not know
UNSTATED = "unstated"  # the released files say nothing of a robot, nor of its gripper
NUM_LATENT_CODES = 4  # an image pair has 2x2 codes in the reference's quantiser


@dataclass(frozen=True)
class Interface:
    """Stands in `interface.json` of a checkpoint.

    Attributes:
        kind: "action" or "latent", what the model generates.
        robot: name of the robot, or `UNSTATED`.
        dimensions: names of the action's dimensions in the order of their tokens; none if latent.
        cameras: names of the cameras it looks through.
        step_time_s: time between two steps.
        chunk_length: steps that one inference gives.
        num_tokens: codes that one inference generates.
        center_crop: whether images lose their upper and lower tenth first.
        trained: False for random weights, which must not move a robot.
        origin: one line for people: where the weights come from.
        gripper: what the model's number for a gripper means, one of `robot.POLARITIES`;
            `UNSTATED` where nobody knows, and for a latent model, which has none.
        state: names of `Observation.state` that it reads, in the order of their tokens.
        aim: what it says before the actions, such as where each arm's tool acts next,
            `<arm>/aim_x` (`data.spoken`), in the arm's base; none where it says nothing.
    """

    kind: str
    robot: str
    dimensions: tuple[str, ...]
    cameras: tuple[str, ...]
    step_time_s: float
    chunk_length: int
    num_tokens: int
    center_crop: bool
    trained: bool
    origin: str
    gripper: str
    state: tuple[str, ...] = ()
    aim: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.kind not in KINDS:
            raise CheckpointError(unknown("kind", self.kind, KINDS, "interface.json"))
        polarities = (*POLARITIES, UNSTATED)
        if self.gripper not in polarities:
            raise CheckpointError(unknown("gripper", self.gripper, polarities, "interface.json"))
        needed = len(self.dimensions) * self.chunk_length + len(self.aim)
        if self.kind == "action" and self.num_tokens != needed:
            before = f" after {len(self.aim)} of the aim" if self.aim else ""
            raise CheckpointError(
                f"{self.num_tokens} tokens are not {self.chunk_length} steps "
                f"of {len(self.dimensions)} dimensions{before}"
            )
        if self.num_tokens < 1 or self.chunk_length < 1 or not self.step_time_s > 0:
            raise CheckpointError(
                f"num_tokens {self.num_tokens}, chunk_length {self.chunk_length} and "
                f"step_time_s {self.step_time_s} must all be above 0"
            )

    def to_json(self) -> str:
        """Content of the file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> Interface:
        """Read the content of the file `source`; keys must be exactly the known ones."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise CheckpointError(f"{source} is not JSON: {error}") from None
        if not isinstance(content, Mapping) or not isinstance(content.get("format"), int):
            raise CheckpointError(f"{source} must be a mapping with a whole number `format`")
        if content["format"] not in READABLE:
            by = "a newer" if content["format"] > FORMAT else "an older"
            raise CheckpointError(
                f"{source}: format {content['format']}, made by {by} lapa_ros, not readable here; "
                f"valid: {', '.join(map(str, READABLE))}"
            )
        return cls(**_typed({**READABLE[content["format"]], **content}, source))

    def exchange_gripper(self, deltas: FloatArray) -> FloatArray:
        """Actions as the model has them -> as messages have them (1 open), or the other way.

        Both ways are the same, as the other polarity of a number x is 1 - x. Where the polarity
        is `UNSTATED` the numbers stay what they are: such a checkpoint fits no robot anyway.

        Args:
            deltas: (..., d) in the order of `dimensions`.

        Returns:
            The same array where nothing changes, else a new one.
        """
        if self.gripper != "open_is_zero":
            return deltas
        columns = [i for i, name in enumerate(self.dimensions) if is_gripper(name)]
        exchanged = deltas.copy()
        exchanged[..., columns] = 1.0 - exchanged[..., columns]
        return exchanged

    def check_robot(self, robot: Robot) -> None:
        """Refuse a robot that this checkpoint was not made for.

        Raises:
            CheckpointError: naming every difference.
        """
        pairs = {
            "robot": (self.robot, robot.name),
            "dimensions": (self.dimensions, robot.dimensions),
            "cameras": (self.cameras, tuple(c.name for c in robot.cameras)),
            "step_time_s": (self.step_time_s, robot.step_time_s),
            "gripper": (self.gripper, polarity(robot)),
        }
        wrong = [
            f"{what}: checkpoint {_show(mine)}, robot {_show(theirs)}"
            for what, (mine, theirs) in pairs.items()
            if (not set(mine) <= set(theirs) if what == "cameras" else mine != theirs)
        ]
        if wrong:
            raise CheckpointError(
                f"this checkpoint was not made for {robot.source}: " + "; ".join(wrong)
            )


def polarity(robot: Robot) -> str:
    """The gripper polarity of the data this robot's policies learn from.

    Raises:
        CheckpointError: its arms disagree; one model has one polarity.
    """
    found = {arm.gripper.polarity for arm in robot.arms}
    if len(found) > 1:
        each = ", ".join(f"{arm.name} {arm.gripper.polarity}" for arm in robot.arms)
        raise CheckpointError(
            f"{robot.source}: gripper polarity must be the same for all arms, got {each}"
        )
    return found.pop()


def latent(num_tokens: int, origin: str, *, trained: bool, center_crop: bool = False) -> Interface:
    """The interface of a model of latent codes, which is made for no robot.

    Args:
        num_tokens: codes of an action.
        origin, trained, center_crop: as of `Interface`.
    """
    return Interface(
        kind="latent", robot=UNSTATED, dimensions=(), cameras=("video",), step_time_s=1.0,
        chunk_length=1, num_tokens=num_tokens, center_crop=center_crop, trained=trained,
        origin=origin, gripper=UNSTATED,
    )  # fmt: skip


def for_robot(robot: Robot, **others: Any) -> Interface:
    """The interface of a one-step action model of this robot, with its first camera."""
    return Interface(
        **{
            "kind": "action",
            "robot": robot.name,
            "dimensions": robot.dimensions,
            "cameras": (robot.cameras[0].name,),
            "step_time_s": robot.step_time_s,
            "chunk_length": 1,
            "num_tokens": len(robot.dimensions),
            "gripper": polarity(robot),
            **others,
        }
    )


def _show(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else repr(value)


_TYPES: dict[str, type | tuple[type, ...]] = {
    "kind": str, "robot": str, "dimensions": list, "cameras": list, "step_time_s": (int, float),
    "chunk_length": int, "num_tokens": int, "center_crop": bool, "trained": bool, "origin": str,
    "gripper": str, "state": list, "aim": list,
}  # fmt: skip


def _typed(content: Mapping[str, Any], source: str) -> dict[str, Any]:
    for key in content:
        if key not in _TYPES and key != "format":
            raise CheckpointError(unknown("key", key, _TYPES, source))
    for key, kind in _TYPES.items():
        value = content.get(key)
        is_flag = isinstance(value, bool) and kind is not bool
        if not isinstance(value, kind) or is_flag:
            raise CheckpointError(f"{source}: {key} is missing or wrong: {value!r}")
        if isinstance(value, list) and not all(isinstance(v, str) for v in value):
            raise CheckpointError(f"{source}: {key} must list names, got {value!r}")
    values = {k: content[k] for k in _TYPES}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
