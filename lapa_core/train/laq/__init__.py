# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Latent actions from video nobody labelled: the training of the latent action quantiser."""
