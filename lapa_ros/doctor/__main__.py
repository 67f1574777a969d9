# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`python -m lapa_ros.doctor`, which `lapa doctor` becomes."""

from lapa_ros.doctor.main import main
from lapa_ros.processes import leave

if __name__ == "__main__":
    leave(main())
