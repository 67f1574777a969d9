# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What an installation carries, by the real rules of setup.py, and where it is then found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lapa_core import paths
from lapa_core.errors import ConfigError

SHIPPED = "models/lapa-micro"
MAX_BYTES = 25e6
NEEDED = ("config.json", "interface.json", "model.safetensors", "action_bins.csv",
          "state_bins.csv", "action_statistics.json", "tokenizer.model", "vqgan/config.json",
          "vqgan/model.safetensors")  # fmt: skip
setuptools = pytest.importorskip("setuptools")  # brings distutils where Python has none
LEFT = ("optimizer.pt", "curves.csv", "curves.png", "state/rng.npz", "vqgan/head.pt")


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where each shared file of a source tree goes: place -> source."""
    from distutils.core import run_setup

    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["setup.py"])
    found = run_setup("setup.py", stop_after="init")
    assert isinstance(found, setuptools.Distribution)
    return {
        f"{place}/{Path(file).name}": file for place, files in found.data_files for file in files
    }


@pytest.fixture
def source(repository: Path, tmp_path: Path) -> Path:
    """A source tree with a model of ours and one of somebody else's, and a training's remains."""
    for name in ("setup.py", "setup.cfg", "README.md", "package.xml", "config", "launch", "tools",
                 "resource", "rviz", "urdf", "lapa_core", "lapa_ros"):  # fmt: skip
        (tmp_path / name).symlink_to(repository / name)
    for file in (*(f"lapa-micro/{n}" for n in (*NEEDED, *LEFT)), "mine/config.json",
                 "mine/model.safetensors"):  # fmt: skip
        path = tmp_path / "models" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    return tmp_path


def test_the_shipped_model_is_installed_and_nothing_else_of_models(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = installed(source, monkeypatch)
    models = {place for place in found if "/models/" in place}
    assert models == {f"share/lapa_ros/{SHIPPED}/{name}" for name in NEEDED}
    assert "share/lapa_ros/config/robots/wx250s.yaml" in found
    assert "share/lapa_ros/config/suites/seen.yaml" in found


def test_the_shipped_model_is_whole_and_small(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every installation downloads it, and git keeps it for ever."""
    if not (repository / SHIPPED).is_dir():
        pytest.skip("this source tree carries no model")
    found = installed(repository, monkeypatch)
    sizes = [Path(file).stat().st_size for place, file in found.items() if "/models/" in place]
    assert sum(sizes) <= MAX_BYTES
    missing = [n for n in NEEDED if f"share/lapa_ros/{SHIPPED}/{n}" not in found]
    assert set(missing) <= {"state_bins.csv"}


@pytest.mark.parametrize("home", ["ament", "python"])
def test_shared_files_are_found_in_every_home(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A colcon workspace's prefix, and that of a pip installation."""
    model = tmp_path / "share" / "lapa_ros" / "models" / "elsewhere"
    model.mkdir(parents=True)
    with pytest.raises(ConfigError, match="models/elsewhere not found in"):
        paths.share("models/elsewhere")
    if home == "ament":
        monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    else:
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert paths.share("models/elsewhere") == model
