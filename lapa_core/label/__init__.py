# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Footage -> shards of examples for latent pretraining: words, picture tokens, latent actions."""
