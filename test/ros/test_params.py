# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Parameters: the shipped YAML files say what the code's defaults are; bad values are refused."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.node import Node

from lapa_core.errors import ConfigError
from lapa_ros.arm_node import ArmParams
from lapa_ros.params import declare

# Set by launch arguments, so they are not repeated in the file.
DEPLOYMENT = {"robot", "checkpoint", "instruction", "device", "autostart"}
CLASSES = [
    ("arm_node", "ArmParams"),
    ("policy_node", "PolicyParams"),
    ("recorder_node", "RecorderParams"),
    ("sim_node", "SimParams"),
    ("teleop_node", "TeleopParams"),
    ("viz_node", "VizParams"),
    ("dashboard_node", "DashboardParams"),
    ("evaluate_node", "EvaluateParams"),
]


@pytest.mark.parametrize(("name", "cls"), CLASSES)
def test_the_parameter_file_states_the_defaults(name: str, cls: str, repository: Path) -> None:
    kind = getattr(importlib.import_module(f"lapa_ros.{name}"), cls)
    path = repository / "config" / "params" / f"{name}.yaml"
    stated = yaml.safe_load(path.read_text())[f"/**/{name}"]["ros__parameters"]
    defaults = {f.name: f.default for f in dataclasses.fields(kind)}
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}
    assert stated == {k: v for k, v in lists.items() if k not in DEPLOYMENT}


def test_a_declared_dataclass_comes_back_with_the_given_values(ros_context: None) -> None:
    arguments = ["--ros-args", "-p", "rate_hz:=100.0", "-p", "robot:=mine"]
    node = Node("some_node", cli_args=arguments, use_global_arguments=False)
    try:
        params = declare(node, ArmParams)
    finally:
        node.destroy_node()
    assert params.rate_hz == 100.0
    assert params.robot == "mine"
    assert params.silence_s == ArmParams().silence_s


@pytest.mark.parametrize("argument", ["rate_hz:=0.0", "silence_s:=-1.0", "rate_hz:=fast"])
def test_a_bad_value_is_named_with_the_valid_range(argument: str, ros_context: None) -> None:
    arguments = ["--ros-args", "-p", argument]
    node = Node("some_node", cli_args=arguments, use_global_arguments=False)
    try:
        with pytest.raises(ConfigError, match=argument.partition(":")[0] + r".*valid: 0?\.?\d+"):
            declare(node, ArmParams)
    finally:
        node.destroy_node()


def test_parameters_are_read_only(ros_context: None) -> None:
    node = Node("some_node", use_global_arguments=False)
    try:
        declare(node, ArmParams)
        result = node.set_parameters([rclpy.Parameter("rate_hz", value=60.0)])[0]
    finally:
        node.destroy_node()
    assert not result.successful
