# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Observation -> ActionChunk: `policy` is the door, `generate` the loop behind it."""

from lapa_core.policy.policy import Decision, Policy

__all__ = ["Decision", "Policy"]
