# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Parameters of a node from a dataclass: declared with type, range and text, read once.

A field's `metadata` carries `doc`, and for numbers `low` and `high`; rclpy itself then refuses
a value outside, so that 0 Hz or a negative timeout cannot be set. All are read-only: a node
is configured when it starts.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node

from lapa_core.errors import ConfigError

T = TypeVar("T")


def param(default: Any, doc: str, *, low: float | None = None, high: float | None = None) -> Any:
    """A dataclass field that becomes a parameter; `doc` states its meaning and unit."""
    return dataclasses.field(default=default, metadata={"doc": doc, "low": low, "high": high})


def declare(node: Node, params_type: type[T]) -> T:
    """Declare every field of the dataclass on the node and return it filled.

    Raises:
        ConfigError: a value of another type or outside its range.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(params_type):  # type: ignore[arg-type]
        descriptor = _descriptor(field)
        try:
            parameter = node.declare_parameter(field.name, field.default, descriptor)
        except (
            InvalidParameterTypeException,
            InvalidParameterValueException,
            ParameterUninitializedException,
        ) as error:
            limits = f", valid: {_limits(field)}" if _limits(field) else ""
            raise ConfigError(
                f"parameter {field.name} of {node.get_name()}: {error}{limits}"
            ) from None
        values[field.name] = parameter.value
    return params_type(**values)


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    meta = field.metadata
    descriptor = ParameterDescriptor(description=meta["doc"], read_only=True)
    if meta["low"] is not None and isinstance(field.default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(meta["low"]), to_value=float(meta["high"]))
        ]
    elif meta["low"] is not None:
        descriptor.integer_range = [
            IntegerRange(from_value=int(meta["low"]), to_value=int(meta["high"]), step=1)
        ]
    return descriptor


def _limits(field: dataclasses.Field[Any]) -> str:
    low, high = field.metadata["low"], field.metadata["high"]
    return f"{low} to {high}" if low is not None else ""
