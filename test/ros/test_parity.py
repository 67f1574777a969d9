# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Live equals offline: the same pixels through the node's topics and through `lapa infer` give
the same tokens and the same action.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from harness import Operator, StandInCamera, spinning, started, wait_for

from lapa_core import cli, paths
from lapa_core import robot as robots
from lapa_core.data import messages

pytestmark = pytest.mark.torch
INSTRUCTION = "put the red block in the bin"


def photograph(seed: int) -> np.ndarray:
    """(480, 640, 3) RGB with structure at every scale, so that a wrong resize shows."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.integers(0, 256, (n, n, 3), dtype=np.uint8), (640, 480)).astype(float)
        for n in (4, 16, 64, 256)
    ]
    return np.mean(layers, axis=0).astype(np.uint8)


def convert_golden(released: SimpleNamespace, folder: Path) -> Path:
    """A golden action model, whose tokens depend on the picture, with a bin for every token.

    (Its own last row is the binary gripper, for which random weights give no valid token.)
    """
    bins = folder / "bins.csv"
    edges = np.linspace(-0.05, 0.05, 257)
    rows = [edges] * 6 + [np.linspace(0.0, 1.0, 257)]
    header = ",".join(str(i) for i in range(257))
    lines = [",".join(repr(float(e)) for e in row) for row in rows]
    bins.write_text("\n".join([header, *lines]) + "\n")
    out, model = folder / "golden", "delta_llama_action"
    argv = ["convert", "lapa", str(folder), str(out), "--robot", "wx250s", "--bins", str(bins)]
    argv += ["--params", str(released.params[model]), "--config", str(released.config[model])]
    argv += ["--vqgan", str(released.vqgan), "--vqgan-config", str(released.vqgan_config)]
    assert cli.main([*argv, "--tokenizer", str(released.tokenizer)]) == 0
    return out


@pytest.mark.timeout(180)
@pytest.mark.parametrize("transport", ["raw", pytest.param("compressed", marks=pytest.mark.slow)])
def test_the_node_and_lapa_infer_agree(
    transport: str,
    ros_context: None,
    released: SimpleNamespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = convert_golden(released, tmp_path)
    robot_file = tmp_path / "robot.yaml"
    text = paths.share("config/robots/wx250s.yaml").read_text(encoding="utf-8")
    if transport == "compressed":
        text = text.replace("camera/front/image_raw", "camera/front/image_raw/compressed")
    robot_file.write_text(text)
    parameters = {
        "robot": str(robot_file),
        "checkpoint": str(checkpoint),
        "instruction": INSTRUCTION,
        "autostart": True,
        "num_threads": 1,
    }
    robot = robots.load(str(robot_file))
    camera, operator = StandInCamera(robot, photograph(0)), Operator(robot)
    seen = []
    with (
        started("policy_node", parameters, tmp_path / "log"),
        spinning(camera),
        spinning(operator),
    ):
        for seed in range(3):
            picture = photograph(seed)
            camera.picture = picture
            # Frames of the picture before may still be under way: take a decision on a frame
            # stamped after the change.
            changed = camera.get_clock().now().nanoseconds
            decided = wait_for(lambda at=changed: _after(operator, at), "a decision", 60.0)
            live = list(decided.points[0].positions)
            path = tmp_path / f"{seed}.picture"
            png = cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes()
            path.write_bytes(camera.jpeg() if camera.compressed else png)
            capsys.readouterr()
            arguments = ["infer", str(checkpoint), "--image", str(path), "--json"]
            assert cli.main([*arguments, "--instruction", INSTRUCTION]) == 0
            offline = json.loads(capsys.readouterr().out)
            tokens = str(offline["tokens"])
            wait_for(
                lambda t=tokens: operator.diagnostics["policy_node"][1]["last_tokens"] == t,
                f"tokens {tokens} in diagnostics",
                seen=lambda: operator.diagnostics["policy_node"][1]["last_tokens"],
            )
            np.testing.assert_allclose(live, _values(offline), rtol=0, atol=0)
            seen.append(tokens)
        unread = robot.arms[0].joint_states
        assert operator.count_subscribers(unread) == 0, "heard, though the model reads no state"
    assert len(set(seen)) > 1, "every picture gave the same tokens: this proves nothing"


def _after(operator: Operator, stamp_ns: int):
    decided = operator.decided[-1] if operator.decided else None
    if decided is None or messages.stamp_ns(decided.header.stamp) <= stamp_ns:
        return None
    return decided


def _values(offline: dict[str, Any]) -> list[float]:
    action: list[list[float]] = offline["action"]
    return list(action[0])  # a chunk of one step
