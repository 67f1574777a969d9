# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Array -> message -> array is the identity, for every message we send."""

from __future__ import annotations

import array
import importlib.util

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from lapa_core.data import messages
from lapa_core.types import ActionChunk
from lapa_ros import convert, decoder, interface

RNG = np.random.default_rng(0)


def over_the_wire(msg, kind):
    return deserialize_message(serialize_message(msg), kind)


def test_a_chunk_survives_the_wire_bit_for_bit() -> None:
    chunk = ActionChunk(
        tuple(f"arm/{i}" for i in range(14)),
        RNG.normal(size=(4, 14)),
        np.array([0.0, 0.2, 0.4, 0.6]),
        1_700_000_000_123_456_789,
        "left/base_link",
    )
    back = messages.action_chunk(over_the_wire(convert.chunk_msg(chunk), JointTrajectory))
    assert (back.names, back.stamp_ns, back.frame_id) == (
        chunk.names,
        chunk.stamp_ns,
        chunk.frame_id,
    )
    np.testing.assert_array_equal(back.deltas, chunk.deltas)
    np.testing.assert_array_equal(back.due_s, chunk.due_s)


def test_an_image_survives_the_wire_and_its_data_is_an_array() -> None:
    rgb = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    msg = convert.image_msg(rgb[:, ::-1], "camera", 42)
    assert isinstance(msg.data, array.array)  # any other type costs 39 ms a frame
    np.testing.assert_array_equal(messages.image(over_the_wire(msg, Image)), rgb[:, ::-1])


def test_a_joint_state_survives_the_wire() -> None:
    position, velocity = RNG.normal(size=9), RNG.normal(size=9)
    names = tuple("abcdefghi")
    msg = over_the_wire(convert.joint_state_msg(names, position, velocity, 7), JointState)
    read_names, read = messages.joint_state(msg)
    assert read_names == names
    np.testing.assert_array_equal(read, position)
    assert messages.stamp_ns(msg.header.stamp) == 7


@pytest.mark.parametrize("state", ["hold", "policy", "teleop", "estop"])
def test_authority_text_round_trips(state: str) -> None:
    reason = "camera front silent: 1.2 s"
    text = interface.authority_text(state, reason)
    assert interface.parse_authority(text) == (state, reason)


def test_the_decoder_names_itself_and_agrees_with_ours() -> None:
    """Where cv_bridge works its pixels are ours; where not, the sentence says why."""
    decode, text = decoder.make()
    if importlib.util.find_spec("cv_bridge") is None:
        assert text.startswith("images: our decoder (cv_bridge: ")
    else:
        assert text.startswith("images: cv_bridge for "), "cv_bridge is here but not trusted"
    for encoding, channels in (("rgb8", 3), ("bgr8", 3), ("mono8", 1), ("rgba8", 4)):
        data = RNG.integers(0, 256, 6 * 8 * channels, dtype=np.uint8).tobytes()
        msg = Image(height=6, width=8, step=8 * channels, encoding=encoding)
        msg.data = array.array("B", data)
        np.testing.assert_array_equal(decode(msg), messages.image(msg))
