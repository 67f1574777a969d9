# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The reference's fine-tuning files: reproduced to the byte, read as demonstrations, guarded."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from recorded import small_robot

from lapa_core import cli
from lapa_core.commands import convert_json
from lapa_core.data import reference_json
from lapa_core.data.reference_demos import by_episode, demo_set, parse_id, read_image, read_steps
from lapa_core.errors import DataError

BINS = {"a": 256, "b": 16, "c": 256}


def convert(source: Path, folder: Path, *more: object) -> tuple[int, Path, Path]:
    jsonl, csv = folder / "out.jsonl", folder / "out.csv"
    argv = [source, "--output", jsonl, "--csv", csv, *more]
    parser = argparse.ArgumentParser(prog="lapa convert")
    return convert_json.run(parser, [str(a) for a in argv]), jsonl, csv


def steps_of(golden: Path, name: str = "b") -> list[dict[str, Any]]:
    return list(reference_json.records(golden / f"preprocess/{name}.json"))


@pytest.mark.parametrize("name", list(BINS))
def test_jsonl_and_csv_are_the_references_to_the_byte(
    golden: Path, name: str, tmp_path: Path
) -> None:
    source = golden / f"preprocess/{name}.json"
    code, jsonl, csv = convert(source, tmp_path, "--bins", BINS[name])
    assert code == 0
    assert jsonl.read_bytes() == (golden / f"preprocess/{name}.jsonl").read_bytes()
    assert csv.read_bytes() == (golden / f"bins/{name}.csv").read_bytes()


@pytest.mark.torch  # the other formats of `lapa convert` need it
def test_the_command_finds_it(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(
            ["convert", "finetune-json", str(tmp_path / "no.json"), "--output", "a", "--csv", "b"]
        )
        == 2
    )
    assert capsys.readouterr().err.startswith("lapa convert: no file of steps at")
    with pytest.raises(SystemExit):
        cli.main(["convert", "--help"])
    assert "lapa convert finetune-json --help" in capsys.readouterr().out


def test_a_wrong_step_leaves_what_was_there(golden: Path, tmp_path: Path) -> None:
    steps = steps_of(golden)
    steps[3]["conversations"][1]["raw_actions"][6] = 0.99
    (tmp_path / "in.json").write_text(json.dumps(steps))
    (tmp_path / "out.jsonl").write_text("old")
    with pytest.raises(DataError, match=r"step 3: gripper 0.99 is neither 0 nor 1, and would be"):
        convert(tmp_path / "in.json", tmp_path)
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert not (tmp_path / "out.csv").exists()
    code, jsonl, _ = convert(tmp_path / "in.json", tmp_path, "--round-gripper")
    assert code == 0 and json.loads(jsonl.read_text().splitlines()[3])["action"][6] == 1


def constant(steps: list[dict[str, Any]]) -> None:
    """The reference answers -1 for all of them."""
    for step in steps:
        step["conversations"][1]["raw_actions"][4] = 0.25


def set_action(value: object) -> Callable[[list[dict[str, Any]]], None]:
    def change(steps: list[dict[str, Any]]) -> None:
        steps[5]["conversations"][1]["raw_actions"] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (constant, r"here: pitch has the same value 0.25 in all 30 samples, so .* no bins"),
        (set_action([0.0] * 6), r"step 5: raw_actions must be 7 numbers"),
        (set_action([0.0] * 8), r"step 5: raw_actions must be 7 numbers"),
        (set_action([float("nan"), *[0.0] * 6]), r"step 5: .* not finite"),
        (set_action(["x", *[0.0] * 6]), r"step 5: raw_actions hold no number"),
        (set_action(None), r"step 5: raw_actions must be 7 numbers .*, got nothing"),
        (lambda s: s.clear(), r"here holds no step"),
        (lambda s: s[2].pop("id"), r"step 2: id is missing"),
        (lambda s: s[2]["conversations"].pop(), r"step 2: conversations must be a question and"),
        (lambda s: s[2]["conversations"][0].clear(), r"step 2: the question has no text"),
    ],
)
def test_what_the_reference_gets_wrong_in_silence_is_refused(
    golden: Path, change: Callable[[list[dict[str, Any]]], None], message: str
) -> None:
    steps = steps_of(golden)
    change(steps)
    with pytest.raises(DataError, match=message):
        reference_json.preprocess(steps, 16, "here")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{}", "must hold a list"),
        ("a.json", "[", "is not JSON"),
        ("a.json", "[]", "holds no step"),
        ("a.jsonl", "\n\n", "holds no step"),
        ("a.jsonl", "[1]\n", "step 0 is no mapping"),
        ("a.txt", "[]", "valid: one ending in .json or .jsonl"),
    ],
)
def test_files_without_steps_are_refused(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        list(reference_json.records(tmp_path / name))
    with pytest.raises(DataError, match="no file of steps at"):
        list(reference_json.records(tmp_path / "none.json"))


def test_the_words_are_those_of_the_prompt(golden: Path) -> None:
    """What the reference trains on is what our vocabulary asks, less bos and `<vision>`."""
    vocabulary = pytest.importorskip("lapa_core.model.vocabulary")
    steps = steps_of(golden)
    line = reference_json.preprocess(steps, 16, "here")[0][0]
    words = reference_json.instruction(line, "here")
    assert words == reference_json.instruction(steps[0], "here") == _words(steps[0])
    prompt = vocabulary._BEFORE + words + vocabulary._AFTER
    assert f"<s> {line['instruction']} <vision>" == prompt


def _words(step: dict[str, Any]) -> str:
    text: str = step["conversations"][0]["value"]
    return text.split("`")[1]


def test_numbers_of_a_step_stay_as_they_were_written(golden: Path) -> None:
    """Whole numbers, text and keys of one's own pass through, as they do in the reference."""
    steps = steps_of(golden)
    raw = steps[0]["conversations"][1]["raw_actions"]
    steps[0]["conversations"][1]["raw_actions"] = [1, *map(str, raw[1:])]
    steps[0]["site"] = "lab"
    line = reference_json.preprocess(steps, 16, "here")[0][0]
    assert line["raw_actions"] == [1, *map(str, raw[1:])] and line["site"] == "lab"
    assert list(line) == ["id", "image", "site", "raw_actions", "action", "fields", "instruction"]


# --- as demonstrations ------------------------------------------------------------------------


@pytest.fixture
def pictures(golden: Path, tmp_path: Path) -> Path:
    """The golden steps with pictures beside them, in both forms; steps shuffled."""
    steps = steps_of(golden)
    for number, step in enumerate(steps):
        step["id"] = f"data/episode_{number % 2}/step_{number // 2}"
        step["image"] = f"{step['id']}.png"
        path = tmp_path / step["image"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((4, 6, 3), number, dtype=np.uint8))
    lines = reference_json.preprocess(steps, 16, "here")[0]
    order = np.random.default_rng(0).permutation(len(steps))
    (tmp_path / "a.json").write_text(json.dumps([steps[i] for i in order]))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(lines[i]) + "\n" for i in order))
    return tmp_path


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_both_forms_are_the_same_demonstrations(
    pictures: Path, golden: Path, suffix: str, tmp_path: Path
) -> None:
    robot, _ = small_robot("wx250s")

    def encode(episode: str, files: Any) -> Any:
        seen = np.array([read_image(f)[0, 0, 0] for f in files], dtype=np.uint32)
        return np.stack([seen, seen + 100])[:, :, np.newaxis]  # two variants, one code

    found = demo_set(pictures / f"a{suffix}", robot, encode)
    raw = np.array([s["conversations"][1]["raw_actions"] for s in steps_of(golden)])
    assert {d.name for d in found.demos} == {"data/episode_0", "data/episode_1"}
    for demo in found.demos:
        first = int(demo.name[-1])
        np.testing.assert_array_equal(demo.actions, raw[first::2])
        np.testing.assert_array_equal(demo.codes[0, :, 0, 0], np.arange(first, 30, 2))
        np.testing.assert_array_equal(demo.codes[1, :, 0, 0], np.arange(first, 30, 2) + 100)
        np.testing.assert_array_equal(demo.index, np.arange(15))
        assert list(demo.instructions) == [_words(s) for s in steps_of(golden)[first::2]]
    assert found.num_steps == 30 and found.cameras == ("front",) and found.state_names == ()
    assert found.dimensions == robot.dimensions and found.gripper == "open_is_one"


def test_another_polarity_is_exchanged(pictures: Path, golden: Path) -> None:
    """The set has 1 for open whatever the file's numbers mean."""
    import yaml

    from lapa_core import robot as robots

    _, text = small_robot("wx250s")
    turned = yaml.safe_load(text.replace("polarity: open_is_one", "polarity: open_is_zero"))
    encode = lambda episode, files: np.zeros((1, len(files), 1), dtype=np.uint32)  # noqa: E731
    found = demo_set(pictures / "a.json", robots.parse(turned, "turned"), encode)
    raw = np.array([s["conversations"][1]["raw_actions"] for s in steps_of(golden)])
    actions = {d.name[-1]: d.actions for d in found.demos}["0"]
    np.testing.assert_array_equal(actions[:, 6], 1 - raw[::2, 6])
    np.testing.assert_array_equal(actions[:, :6], raw[::2, :6])
    with pytest.raises(DataError, match="of one arm; bimanual_wx250s has 2 arms"):
        demo_set(pictures / "a.json", small_robot("bimanual_wx250s")[0], encode)


def test_what_is_no_demonstration_is_refused(pictures: Path) -> None:
    path = pictures / "a.json"
    with pytest.raises(DataError, match=r"step 0: no picture at .*elsewhere"):
        list(read_steps(path, pictures / "elsewhere"))
    steps = list(read_steps(path))
    with pytest.raises(DataError, match="is there twice"):
        by_episode([*steps, steps[0]])
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    with pytest.raises(DataError, match=r"picture .*broken.png"):
        read_image(pictures / "broken.png")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "no number"}, "does not end in the number of a step"),
        ({"instruction": "take the cup"}, "the words must be What action should"),
        ({"instruction": None}, "instruction is missing"),
        ({"raw_actions": [0.0] * 6 + [1.5]}, "gripper 1.5 is not between 0 and 1"),
        ({"states": {"eef_pos": [1, 2]}}, "states must be eef_pos and eef_euler"),
    ],
)
def test_a_wrong_step_is_named(pictures: Path, change: dict[str, Any], message: str) -> None:
    lines = [json.loads(x) for x in (pictures / "a.jsonl").read_text().splitlines()]
    lines[7] |= change
    (pictures / "b.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    with pytest.raises(DataError, match=rf"b.jsonl: step 7: .*{message}"):
        list(read_steps(pictures / "b.jsonl"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data/finetune_data/episode_0/step_12", ("data/finetune_data/episode_0", 12)),
        ("ep3_step012", ("ep3", 12)),
        ("run-2/frame-7", ("run-2", 7)),
        ("a/b/0007", ("a/b", 7)),
        ("12", ("episode", 12)),
    ],
)
def test_ids_name_episode_and_step(text: str, expected: tuple[str, int]) -> None:
    assert parse_id(text, "here") == expected
