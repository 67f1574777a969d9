# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Makes MuJoCo render without a screen, unless MUJOCO_GL says otherwise; import it first.

MuJoCo chooses when it is imported, and its default on a desktop (GLFW) works in the main thread
only, where no camera of ours renders.
"""

import os

os.environ.setdefault("MUJOCO_GL", "egl")
