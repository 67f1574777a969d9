# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The reference's released files -> a checkpoint folder, without jax and in little memory."""
