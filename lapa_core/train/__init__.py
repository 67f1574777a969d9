# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Demonstrations -> a policy. Importing this file imports nothing else."""
