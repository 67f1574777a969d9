# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The reference's fine-tuning files: its JSON of demonstrations, and the jsonl and csv of it.

    JSON    a list of {"id", "image", "conversations": [{"value": question}, {"raw_actions"}]}
    jsonl   a line a step: {"id", "image", "raw_actions", "action", "fields", "instruction"}
    csv     the bin edges of one dimension a row, see `model.action_tokenizer`

Seven numbers a step: x y z [m], roll pitch yaw [rad] as deltas, and the gripper. Reads files, no
pictures; what a step is to training stands in `reference_demos`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lapa_core.errors import DataError
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.recording import disk
from lapa_core.types import AXES, NUM_AXES, FloatArray

SUFFIXES = (".json", ".jsonl")
GRIPPER = NUM_AXES - 1
FIELDS = "[instruction],[vision],action"
IMAGE_TAG = "<image>\n"
# What the reference puts around the words of a task; the prompt of `model.vocabulary` is these
# with a second bos before them and `<vision>` after them.
_BEFORE, _AFTER = "<s> You are a helpful assistant. USER: ", " ASSISTANT:"
_QUESTION = ("What action should the robot take to `", "`")


def is_reference(path: Path) -> bool:
    """Whether a path names such a file, by its ending."""
    return path.suffix in SUFFIXES


def question(instruction: str) -> str:
    """The sentence in which the reference asks for an instruction's action."""
    return instruction.join(_QUESTION)


def addressed(asked: str) -> str:
    """A question as a line of the reference's jsonl has it."""
    return f"{_BEFORE}{asked}{_AFTER}"


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The steps of a JSON or jsonl file as they stand there.

    Raises:
        DataError: no such file, not JSON, empty, or something else than steps.
    """
    count = 0
    for count, record in enumerate(_parse(path), 1):
        if not isinstance(record, dict):
            raise DataError(f"{path}: step {count - 1} is no mapping but {_brief(record)}")
        yield record
    if not count:
        raise DataError(f"{path} holds no step")


def raw_action(record: Mapping[str, Any], where: str) -> FloatArray:
    """(7,) of a step in either form.

    Raises:
        DataError: missing, or not seven finite numbers.
    """
    values = _answer(record, where).get("raw_actions")
    if not isinstance(values, list) or len(values) != NUM_AXES:
        raise DataError(
            f"{where}: raw_actions must be {NUM_AXES} numbers ({', '.join(AXES)}), "
            f"got {_brief(values)}"
        )
    try:  # text is a number too, to the reference
        numbers = np.array([float(v) for v in values])
    except (TypeError, ValueError):
        raise DataError(f"{where}: raw_actions hold no number: {_brief(values)}") from None
    if not np.all(np.isfinite(numbers)):
        raise DataError(f"{where}: raw_actions hold a number that is not finite: {values}")
    return numbers


def states(record: Mapping[str, Any], where: str) -> FloatArray:
    """(7,) measured tool pose and gripper of a step, (0,) where it has none.

    Raises:
        DataError: there are some, but not of that form.
    """
    given = _answer(record, where).get("states")
    if given is None:
        return np.empty(0)
    try:
        values = np.array(
            [*given["eef_pos"], *given["eef_euler"], given["gripper_state"]], dtype=np.float64
        )
    except (KeyError, TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (NUM_AXES,) or not np.all(np.isfinite(values)):
        raise DataError(
            f"{where}: states must be eef_pos and eef_euler of 3 finite numbers each and "
            f"gripper_state, got {_brief(given)}"
        )
    return values


def instruction(record: Mapping[str, Any], where: str) -> str:
    """The words of the task alone, from a step in either form.

    Raises:
        DataError: they are missing, or not asked as the reference asks.
    """
    asked = _asked(record, where) if "conversations" in record else record.get("instruction")
    if not isinstance(asked, str):
        raise DataError(f"{where}: instruction is missing")
    words = asked.removeprefix(_BEFORE).removesuffix(_AFTER)
    before, after = _QUESTION
    if not (words.startswith(before) and words.endswith(after)):
        raise DataError(f"{where}: the words must be {question('...')}, got {asked!r}")
    words = words[len(before) : -len(after)]
    if not words.strip():
        raise DataError(f"{where}: the instruction is empty")
    return words


def text_of(record: Mapping[str, Any], key: str, where: str) -> str:
    """A text that a step must have, such as its `id` or `image`."""
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: {key} is missing or no text: {_brief(value)}")
    return value


def preprocess(
    steps: Sequence[dict[str, Any]], num_bins: int, where: str, round_gripper: bool = False
) -> tuple[list[dict[str, Any]], ActionTokenizer]:
    """What the reference's `finetune_preprocess.py` makes of the steps of its JSON.

    Where the reference goes wrong without a word, this refuses: a dimension that never changes
    (its tokens are all -1 there), a gripper other than 0 or 1 (cut to whole numbers there, so
    that 0.99 means closed), actions of other than seven numbers (the others are ignored there),
    numbers that are not finite (their token is null there).

    Args:
        steps: of the JSON.
        num_bins: equal-frequency bins a dimension; equal edges are merged.
        where: named in errors.
        round_gripper: take a gripper of 0.5 and more as 1, below as 0, instead of refusing it.

    Returns:
        The lines of the jsonl, and the bins.

    Raises:
        DataError: no step, or one that is wrong.
    """
    if not steps:
        raise DataError(f"{where} holds no step")
    if num_bins < 2:
        raise DataError(f"bins must be 2 or more, got {num_bins}")
    places = [f"{where}: step {i}" for i in range(len(steps))]
    actions = np.array([raw_action(s, p) for s, p in zip(steps, places, strict=True)])
    tokens = np.zeros(actions.shape, dtype=np.int64)
    try:
        bins = ActionTokenizer.from_samples(AXES, actions, num_bins)
    except DataError as error:
        raise DataError(f"{where}: {error}, so that it has no bins") from None
    tokens[:] = bins.encode(actions)
    for i, place in enumerate(places):
        tokens[i, GRIPPER] = _gripper(float(actions[i, GRIPPER]), place, round_gripper)
    return [_line(s, p, t.tolist()) for s, p, t in zip(steps, places, tokens, strict=True)], bins


def preprocess_file(
    source: Path, jsonl: Path, csv: Path, num_bins: int = 256, round_gripper: bool = False
) -> tuple[int, ActionTokenizer]:
    """`preprocess` from file to files; returns the number of steps and the bins.

    Raises:
        DataError: see `preprocess`; or two of the files are one.
        RecordingError: the disk refuses; what was there is as it was.
    """
    if len({p.absolute() for p in (source, jsonl, csv)}) < 3:
        raise DataError(f"input, output and csv must be three files: {source}, {jsonl}, {csv}")
    lines, bins = preprocess(list(records(source)), num_bins, str(source), round_gripper)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    disk.write_durably(jsonl, text.encode("ascii"))
    disk.write_durably(csv, bins.to_csv().encode("ascii"))
    return len(lines), bins


def _line(step: dict[str, Any], where: str, tokens: list[int]) -> dict[str, Any]:
    """A line of the jsonl; the keys in the reference's order, its own keys after them kept."""
    asked = _asked(step, where)
    text_of(step, "id", where), text_of(step, "image", where)
    line = dict(step)
    line["raw_actions"] = _answer(step, where)["raw_actions"]
    line["action"] = tokens
    line["fields"] = FIELDS
    line["instruction"] = addressed(asked)
    line.pop("conversations", None)
    return line


def _gripper(value: float, where: str, round_gripper: bool) -> int:
    if value in (0.0, 1.0):
        return int(value)
    between = 0.0 < value < 1.0
    if round_gripper and between:
        return int(value >= 0.5)
    hint = ", and would be cut to 0; --round-gripper rounds it" if between else ""
    raise DataError(f"{where}: gripper {value:g} is neither 0 nor 1{hint}")


def _parse(path: Path) -> Iterator[Any]:
    if path.suffix not in SUFFIXES or not path.is_file():
        raise DataError(
            f"no file of steps at {path}; valid: one ending in {' or '.join(SUFFIXES)}"
        )
    try:
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, list):
                raise DataError(f"{path} must hold a list of steps, not {_brief(content)}")
            yield from content
            return
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.strip())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _turn(record: Mapping[str, Any], number: int, where: str) -> Mapping[str, Any]:
    turns = record.get("conversations")
    if not isinstance(turns, list) or len(turns) < 2 or not isinstance(turns[number], dict):
        raise DataError(f"{where}: conversations must be a question and an answer")
    turn: dict[str, Any] = turns[number]
    return turn


def _answer(record: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    return _turn(record, 1, where) if "conversations" in record else record


def _asked(record: Mapping[str, Any], where: str) -> str:
    value = _turn(record, 0, where).get("value")
    if not isinstance(value, str):
        raise DataError(f"{where}: the question has no text")
    return value.replace(IMAGE_TAG, "")


def _brief(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
