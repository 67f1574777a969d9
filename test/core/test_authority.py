# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The state machine of authority."""

from __future__ import annotations

import pytest

from lapa_core.control.authority import Authority
from lapa_core.errors import ConfigError, UnsafeAction


def enabled() -> Authority:
    authority = Authority()
    authority.enable(1.0)
    return authority


def test_it_starts_in_hold_disabled() -> None:
    authority = Authority()
    assert (authority.state, authority.reason) == ("hold", "disabled: call enable")
    for source in ("policy", "teleop"):
        with pytest.raises(UnsafeAction, match="disabled"):
            authority.take(source, 0.0)


def test_the_first_cause_wins_until_the_state_changes() -> None:
    authority = enabled()
    authority.take("policy", 2.0)
    authority.hold("camera lost", 3.0)
    authority.hold("policy silent", 4.0)
    assert authority.reason == "camera lost"
    authority.take("policy", 5.0)
    authority.hold("policy silent", 6.0)
    assert authority.reason == "policy silent"


def test_waiting_is_no_cause() -> None:
    """Enabled with nothing but bad chunks: the operator must read why, not that it waits."""
    authority = enabled()
    authority.hold("two publishers", 2.0)
    assert authority.reason == "two publishers"
    disabled = Authority()
    disabled.hold("two publishers", 2.0)
    assert disabled.reason == "disabled: call enable"


def test_teleop_outranks_the_policy_until_it_hands_back() -> None:
    authority = enabled()
    authority.take("policy", 2.0)
    authority.take("teleop", 3.0)
    assert authority.refusal("policy") == "outranked"
    authority.hold("teleop silent", 4.0)
    with pytest.raises(UnsafeAction, match="outranked"):
        authority.take("policy", 5.0)
    authority.take("teleop", 6.0)
    authority.hand_back(7.0)
    assert (authority.state, authority.refusal("policy")) == ("hold", "")
    authority.take("policy", 8.0)
    authority.hand_back(9.0)  # of a teleop that has nothing: no change
    assert authority.state == "policy"


def test_estop_latches_and_reset_leaves_it_disabled() -> None:
    authority = enabled()
    authority.take("policy", 2.0)
    authority.estop("red button", 3.0)
    authority.estop("again", 4.0)
    authority.hold("silent", 5.0)
    authority.explain("moving", 5.0)
    authority.disable("operator", 5.0)
    assert (authority.state, authority.reason) == ("estop", "red button")
    with pytest.raises(UnsafeAction, match=r"red button.*reset"):
        authority.enable(6.0)
    authority.reset(7.0)
    assert (authority.state, authority.reason) == ("hold", "disabled: call enable")
    assert not authority.enabled
    authority.enable(8.0)
    authority.take("policy", 9.0)


def test_reset_without_an_estop_and_enable_while_active_change_nothing() -> None:
    authority = enabled()
    authority.take("policy", 2.0)
    authority.reset(3.0)
    authority.enable(4.0)
    assert authority.state == "policy"


def test_disable_forgets_what_teleop_had() -> None:
    authority = enabled()
    authority.take("teleop", 2.0)
    authority.disable("operator", 3.0)
    assert authority.reason == "disabled: operator"
    authority.enable(4.0)
    authority.take("policy", 5.0)


def test_history_has_every_change_once() -> None:
    authority = enabled()
    authority.take("policy", 2.0)
    authority.take("policy", 2.2)
    authority.hold("silent", 3.0)
    assert [(e.time_s, e.state, e.reason) for e in authority.history] == [
        (1.0, "hold", "enabled: waiting for a chunk"),
        (2.0, "policy", "following policy"),
        (3.0, "hold", "silent"),
    ]


def test_an_unknown_source_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ConfigError, match="unknown source 'joystick'"):
        enabled().take("joystick", 1.0)  # type: ignore[arg-type]
