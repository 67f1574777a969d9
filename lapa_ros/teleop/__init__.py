# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What teleop_node is made of beside `lapa_core.teleop`: topics of devices, calls of services."""
