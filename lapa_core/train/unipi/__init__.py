# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Training of UniPi's planner: frames to come of a task told in words."""
