# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pictures -> the image tokenizer of a small policy: `lapa pretrain vqgan`."""
