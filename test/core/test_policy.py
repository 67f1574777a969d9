# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The policy: from an observation to a chunk, or a named refusal."""

import dataclasses
import shutil

import numpy as np
import pytest

from lapa_core import robot
from lapa_core.errors import CheckpointError, ConfigError, DecodeError, StaleInput
from lapa_core.model import fresh
from lapa_core.model.action_tokenizer import GRIPPER_EDGES, ActionTokenizer
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.interface import for_robot
from lapa_core.policy import Policy
from lapa_core.types import Observation, dimension_names

pytestmark = pytest.mark.torch

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def observation(**changes) -> Observation:
    return Observation(
        **{"stamp_ns": 5, "images": {"front": IMAGE}, "instruction": "open the drawer", **changes}
    )


@pytest.fixture(scope="module")
def policy(debug_checkpoint) -> Policy:
    loaded = Policy.from_checkpoint(debug_checkpoint)
    loaded.warm_up()
    return loaded


def test_it_knows_what_it_was_made_for(policy):
    assert (policy.kind, policy.robot, policy.cameras) == ("action", "wx250s", ("front",))
    assert policy.dimensions == dimension_names(("wx250s",))
    assert (policy.step_time_s, policy.chunk_length, policy.trained) == (0.2, 1, False)


def test_an_observation_becomes_a_chunk(policy):
    decision = policy.infer(observation())
    chunk = decision.chunk
    assert chunk.names == policy.dimensions and chunk.deltas.shape == (1, 7)
    assert chunk.due_s.tolist() == [0.0] and chunk.stamp_ns == 5
    assert list(decision.timings_ms) == ["preprocess", "vqgan", "prefill", "decode", "total"]
    assert all(ms > 0 for ms in decision.timings_ms.values())
    bins = policy.checkpoint.actions
    np.testing.assert_array_equal(chunk.deltas[0], bins.decode(decision.tokens))
    np.testing.assert_array_equal(policy.infer(observation()).tokens, decision.tokens)


def test_a_missing_camera_is_stale_input(policy):
    with pytest.raises(StaleInput, match=r"camera 'front' in the observation; valid: 'wrist'"):
        policy.infer(observation(images={"wrist": IMAGE}))


def test_two_arms_and_chunks_of_three_steps():
    """42 tokens, in order of steps and then of dimensions."""
    wx250s = robot.load("wx250s")
    arm = wx250s.arms[0]
    two = dataclasses.replace(
        wx250s,
        arms=(dataclasses.replace(arm, name="left"), dataclasses.replace(arm, name="right")),
    )
    made = fresh.checkpoint("debug", two, seed=4)
    made.interface = dataclasses.replace(made.interface, chunk_length=3, num_tokens=42)
    decision = Policy(made).infer(observation())
    assert decision.tokens.shape == (42,)
    assert decision.chunk.deltas.shape == (3, 14)
    assert decision.chunk.names == dimension_names(("left", "right"))
    np.testing.assert_allclose(decision.chunk.due_s, [0.0, 0.2, 0.4])
    np.testing.assert_array_equal(
        decision.chunk.deltas[2], made.actions.decode(decision.tokens[28:])
    )


def with_polarity(made: robot.Robot, *polarities: str) -> robot.Robot:
    """The robot with another gripper polarity an arm; the last one for the rest."""
    arms = []
    for index, arm in enumerate(made.arms):
        polarity = polarities[min(index, len(polarities) - 1)]
        gripper = dataclasses.replace(arm.gripper, polarity=polarity)
        arms.append(dataclasses.replace(arm, gripper=gripper))
    return dataclasses.replace(made, arms=tuple(arms))


def test_a_gripper_learnt_upside_down_is_turned_in_the_chunk_alone():
    """The same weights and bins: 0 for open in the data becomes 1 for open in the message."""
    two = robot.load("bimanual_wx250s")
    seen = observation(images={"cam_high": IMAGE})
    plain = Policy(fresh.checkpoint("debug", two, seed=4)).infer(seen)
    turned = Policy(fresh.checkpoint("debug", with_polarity(two, "open_is_zero"), seed=4))
    decision = turned.infer(seen)
    np.testing.assert_array_equal(decision.tokens, plain.tokens)
    gripper = [6, 13]
    assert not np.allclose(plain.chunk.deltas[0, gripper], 0.5)
    np.testing.assert_allclose(
        decision.chunk.deltas[0, gripper], 1.0 - plain.chunk.deltas[0, gripper]
    )
    others = [i for i in range(14) if i not in gripper]
    np.testing.assert_array_equal(decision.chunk.deltas[0, others], plain.chunk.deltas[0, others])
    bins = turned.checkpoint.actions.decode(decision.tokens)  # untouched below the interface
    np.testing.assert_array_equal(bins, plain.chunk.deltas[0])


def test_exchanging_the_gripper_twice_changes_nothing():
    made = with_polarity(robot.load("wx250s"), "open_is_zero")
    interface = for_robot(made, center_crop=False, trained=True, origin="test")
    deltas = np.random.default_rng(0).uniform(size=(5, 7))
    there = interface.exchange_gripper(deltas)
    assert not np.array_equal(there, deltas)
    np.testing.assert_allclose(interface.exchange_gripper(there), deltas)


def test_a_robot_whose_grippers_disagree_has_no_policy():
    mixed = with_polarity(robot.load("bimanual_wx250s"), "open_is_one", "open_is_zero")
    with pytest.raises(CheckpointError, match=r"left open_is_one, right open_is_zero"):
        fresh.checkpoint("debug", mixed)


def test_another_robot_is_refused_with_every_difference(policy):
    wx250s = robot.load("wx250s")
    policy.check_robot(wx250s)
    other = dataclasses.replace(
        wx250s,
        name="vx300s",
        step_time_s=0.1,
        arms=(dataclasses.replace(wx250s.arms[0], name="vx300s"),),
        cameras=(dataclasses.replace(wx250s.cameras[0], name="top"),),
    )
    other = with_polarity(other, "open_is_zero")
    with pytest.raises(CheckpointError) as caught:
        policy.check_robot(other)
    assert "gripper: checkpoint 'open_is_one', robot 'open_is_zero'" in str(caught.value)
    for part in ("robot:", "dimensions:", "cameras:", "step_time_s:", "vx300s/x", "'top'", "0.1"):
        assert part.strip("'") in str(caught.value), part


def test_an_action_without_a_bin_is_refused(debug_checkpoint):
    made = Checkpoint.from_pretrained(debug_checkpoint)
    edges = (*made.actions.edges[:-1], GRIPPER_EDGES)
    made.actions = ActionTokenizer(made.actions.dimensions, edges)
    policy = Policy(made)
    with pytest.raises(DecodeError, match=r"of wx250s/gripper has no bin; valid: 0 to 1"):
        policy.action(np.full(7, 5))


def test_a_latent_model_gives_codes_but_no_action(converted):
    policy = Policy.from_checkpoint(converted["latent"])
    assert policy.kind == "latent" and policy.dimensions == ()
    assert policy.predict(IMAGE, "open the drawer").tokens.shape == (4,)
    with pytest.raises(CheckpointError, match="fine-tune"):
        policy.infer(observation())


def test_a_folder_without_bins_gives_no_action(debug_checkpoint, tmp_path):
    folder = shutil.copytree(debug_checkpoint, tmp_path / "c")
    (folder / "action_bins.csv").unlink()
    with pytest.raises(CheckpointError, match="--bins"):
        Policy.from_checkpoint(folder).infer(observation())


def test_sampling_starts_over_with_reset(debug_checkpoint):
    policy = Policy.from_checkpoint(debug_checkpoint, sample=True, seed=3)
    first = [policy.infer(observation()).tokens.tolist() for _ in range(3)]
    assert first[0] != first[1]
    policy.reset()
    assert [policy.infer(observation()).tokens.tolist() for _ in range(3)] == first


def test_the_instruction_may_change_at_any_time(policy):
    words = ("open the drawer", "close the drawer", "open the drawer")
    tokens = [policy.predict(IMAGE, w).step_logits for w in words]
    np.testing.assert_array_equal(tokens[0], tokens[2])
    assert not np.array_equal(tokens[0], tokens[1])


def test_an_interface_of_a_robot_names_its_first_camera():
    interface = for_robot(robot.load("wx250s"), center_crop=False, trained=True, origin="test")
    assert interface.cameras == ("front",) and interface.num_tokens == 7


def test_every_camera_of_the_checkpoint_is_asked_for(debug_checkpoint):
    made = Checkpoint.from_pretrained(debug_checkpoint)
    made.interface = dataclasses.replace(made.interface, cameras=("front", "wrist"))
    policy = Policy(made)
    with pytest.raises(StaleInput, match="unknown camera 'wrist'"):
        policy.infer(observation())
    both = policy.infer(observation(images={"front": IMAGE, "wrist": 255 - IMAGE}))
    own, other = (policy.predict([IMAGE, w], "open the drawer") for w in (255 - IMAGE, IMAGE))
    np.testing.assert_array_equal(both.tokens, own.tokens)
    assert not np.array_equal(own.step_logits, other.step_logits)


@pytest.mark.parametrize("device", ["cuda:99", "warp", "cqu"])
def test_a_device_that_is_not_there_is_named(debug_checkpoint, device):
    with pytest.raises(ConfigError, match=f"unknown device '{device}' in this machine; valid: "):
        Policy.from_checkpoint(debug_checkpoint, device=device)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_codes(converted):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    on_cpu = Policy.from_checkpoint(converted["latent"])
    on_gpu = Policy.from_checkpoint(converted["latent"], device="cuda")
    a, b = (p.predict(IMAGE, "open the drawer") for p in (on_cpu, on_gpu))
    np.testing.assert_array_equal(a.tokens, b.tokens)
    np.testing.assert_allclose(a.step_logits, b.step_logits, atol=1e-3, rtol=0)


def test_keeping_memory_is_accepted_or_skipped():
    """glibc takes both settings; another C library answers False and nothing changes."""
    import platform

    from lapa_core.policy.allocator import keep_freed_memory

    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
