# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Training an inverse dynamics model."""
