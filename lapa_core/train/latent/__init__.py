# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Latent pretraining: a vision-language model learns to tell the latent action to come."""
