# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the documents cite exists: tests by name, files by path, services and parameters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

DOCUMENTS = ("docs/hardware.md",)
CITED_TEST = re.compile(r"`(test_\w+\.py)(?:::(test_\w+))?`")
CITED_FILE = re.compile(r"`((?:config|docs|lapa_core|lapa_ros|launch|urdf)/[\w./-]+\.\w+)`")


def names_by_file(repository: Path) -> dict[str, set[str]]:
    """Functions of every test file, by the file's name; file names are unique."""
    found: dict[str, set[str]] = {}
    for path in (repository / "test").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert path.name not in found, f"two files {path.name}"
        found[path.name] = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_cited_test_exists(document: str, repository: Path) -> None:
    tests = names_by_file(repository)
    cited = CITED_TEST.findall((repository / document).read_text(encoding="utf-8"))
    assert cited, f"{document} cites no test"
    missing = [
        f"{file}::{name}"
        for file, name in cited
        if file not in tests or (name and name not in tests[file])
    ]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_that_looks_like_a_test_is_cited_otherwise(
    document: str, repository: Path
) -> None:
    """A name outside the form `file.py::test` would not be checked."""
    text = (repository / document).read_text(encoding="utf-8")
    assert not re.findall(r"\btest_\w+", CITED_TEST.sub("", text))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_cited_file_exists(document: str, repository: Path) -> None:
    text = (repository / document).read_text(encoding="utf-8")
    missing = [f for f in CITED_FILE.findall(text) if not (repository / f).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_linked_page_exists(document: str, repository: Path) -> None:
    path = repository / document
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if not (path.parent / link).exists()]


def test_the_services_called_in_hardware_md_are_ours(repository: Path) -> None:
    text = (repository / "docs/hardware.md").read_text(encoding="utf-8")
    source = (repository / "lapa_ros/interface.py").read_text(encoding="utf-8")
    listed = re.search(r"^SERVICES = \((.*?)\)", source, re.MULTILINE | re.DOTALL)
    assert listed
    services = set(re.findall(r'"(\w+)"', listed.group(1)))
    called = set(re.findall(r"ros2 service call /(\w+) ", text))
    assert called and called <= services


def test_the_udev_rule_is_the_one_the_doctor_gives(repository: Path) -> None:
    from lapa_ros.doctor import usb

    assert usb.RULE in (repository / "docs/hardware.md").read_text(encoding="utf-8")
