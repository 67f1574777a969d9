# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Video without actions: files, folders of frames and bags -> pairs of pictures a moment apart."""
