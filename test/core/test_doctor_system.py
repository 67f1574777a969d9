# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The doctor on made-up computers: folders that stand for /sys, /proc and /dev. No ROS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lapa_core import robot as robots
from lapa_core.errors import ConfigError
from lapa_core.model import interface
from lapa_ros.doctor import compute, dds, report, setup, system, usb
from lapa_ros.doctor.finding import Finding, judge, worst
from lapa_ros.environment import MALLOC, PROFILE_VARIABLE


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def one(findings: list[Finding], what: str) -> Finding:
    found = [f for f in findings if what in f.what]
    assert len(found) == 1, [f.what for f in findings]
    return found[0]


# Findings and their report -----------------------------------------------------------------


def test_the_gravest_advice_decides_the_level() -> None:
    assert judge("a", "1", "2").level == "ok"
    assert judge("a", "1", "2", warn="mend").level == "warn"
    assert judge("a", "1", "2", warn="mend", fail="stop").level == "fail"
    assert worst([judge("a", "1", ""), judge("a", "1", "", warn="x")]) == "warn"
    assert worst([]) == "ok"


def test_a_complaint_without_advice_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        Finding("warn", "a", "b")


def test_a_finding_is_one_line_and_the_summary_names_the_first_of_the_worst(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    findings = [
        Finding("warn", "load", "9", "below 2", "stop it"),
        Finding("fail", "camera front", "silent", "frames", "plug it in"),
        Finding("fail", "arm", "silent", "", "switch it on"),
        Finding("ok", "disk", "50 GB"),
    ]
    report.show(findings)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "warn  load: 9 (expected: below 2) -> stop it"
    assert lines[-1] == "doctor: 2 fail, 1 warn, 1 ok; first: camera front"
    assert report.exit_code(findings) == 1 and report.exit_code(findings[3:]) == 0
    report.write_json(findings, {"robot": "wx250s"}, tmp_path / "found.json")
    content = json.loads((tmp_path / "found.json").read_text())
    assert content["worst"] == "fail" and content["robot"] == "wx250s"
    assert content["findings"][1]["advice"] == "plug it in"
    with pytest.raises(ConfigError, match="cannot write"):
        report.write_json(findings, {}, tmp_path / "none" / "found.json")


# The computer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "level", "word"),
    [
        ({"proc/version": "Linux 6.8", "sys/class/dmi/id/sys_vendor": "LENOVO"}, "ok", "not"),
        ({"proc/version": "Linux 5.15 microsoft-standard-WSL2"}, "warn", "Windows"),
        ({"proc/device-tree/model": "Raspberry Pi 4 Model B\0"}, "warn", "Raspberry Pi 4"),
        ({"sys/class/dmi/id/product_name": "VirtualBox"}, "warn", "VirtualBox"),
        ({"sys/class/dmi/id/sys_vendor": "VMware, Inc."}, "warn", "VMware"),
        ({"proc/cpuinfo": "flags : fpu hypervisor lahf_lm"}, "warn", "hypervisor"),
    ],
)
def test_kinds_of_computers(tmp_path: Path, files: dict[str, str], level: str, word: str) -> None:
    found = system.platform(written(tmp_path, files))
    assert (found.level, word in found.measured) == (level, True), found


def test_a_slow_governor_a_busy_computer_and_few_cores_are_named(tmp_path: Path) -> None:
    governor = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    busy = written(tmp_path / "a", {governor: "powersave", "proc/loadavg": "7.50 3 2 9/900 1\n"})
    found = system.processor(busy, cores=2)
    assert [f.level for f in found] == ["warn"] * 3
    assert "cpupower" in one(found, "governor").advice
    calm = written(tmp_path / "b", {governor: "performance", "proc/loadavg": "0.5 1 1 1/9 1\n"})
    assert worst(system.processor(calm, cores=8)) == "ok"
    assert len(system.processor(tmp_path / "none", cores=8)) == 1


def test_memory_and_disk_are_counted(tmp_path: Path) -> None:
    root = written(tmp_path, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:  2048 kB\n"})
    assert system.memory_available(root) == 2048 * 1024
    assert system.memory_available(tmp_path / "none") != system.memory_available(tmp_path / "none")
    robot = robots.load("wx250s")
    full = system.disk(robot, tmp_path, free_bytes=5e9)
    # 640x480x3 bytes at 30 and at 10 Hz are 36.9 MB/s
    assert full.level == "warn" and "2 min of raw frames at 37 MB/s" in full.measured
    assert system.disk(robot, tmp_path, free_bytes=5e11).level == "ok"


# DDS ---------------------------------------------------------------------------------------


def test_a_shell_without_the_profile_gets_the_exact_export() -> None:
    found = dds.middleware("rmw_fastrtps_cpp", {}, whole=False)
    assert one(found, "profile").advice.startswith(f"export {PROFILE_VARIABLE}=")
    assert Path(one(found, "profile").advice.split()[1].partition("=")[2]).is_file()
    for name, value in MALLOC.items():
        assert f"{name}={value}" in one(found, "memory").advice


def test_where_frames_arrive_whole_a_shell_without_the_profile_is_fine() -> None:
    assert worst(dds.middleware("rmw_fastrtps_cpp", {}, whole=True)) == "ok"


def test_our_profile_and_variables_are_enough() -> None:
    mine = {PROFILE_VARIABLE: dds.profile_path(), **MALLOC}
    found = dds.middleware("rmw_fastrtps_cpp", mine, whole=False)
    assert worst(found) == "ok"
    assert "64.0 MiB" in one(found, "profile").measured


def test_profiles_that_do_not_help(tmp_path: Path) -> None:
    assert dds.profile({PROFILE_VARIABLE: str(tmp_path / "none.xml")}).level == "fail"
    broken = written(tmp_path, {"broken.xml": "<profiles>"}) / "broken.xml"
    assert dds.profile({PROFILE_VARIABLE: str(broken)}).level == "fail"
    small = tmp_path / "small.xml"
    small.write_text('<p xmlns="x"><segment_size>524288</segment_size></p>')
    assert dds.profile({PROFILE_VARIABLE: str(small)}).level == "warn"
    assert dds.segment_size(small) == 524288


def test_another_dds_is_a_warning() -> None:
    found = dds.middleware("rmw_cyclonedds_cpp", {}, whole=True)
    assert [f.level for f in found] == ["warn"]


@pytest.mark.parametrize(
    ("variables", "level"),
    [
        ({}, "warn"),
        ({"ROS_DOMAIN_ID": "0"}, "warn"),
        ({"ROS_DOMAIN_ID": "42"}, "ok"),
        ({"ROS_DOMAIN_ID": "101"}, "ok"),
        ({"ROS_DOMAIN_ID": "102"}, "warn"),
        ({"ROS_DOMAIN_ID": "one"}, "fail"),
        ({"ROS_LOCALHOST_ONLY": "1"}, "ok"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "ok"),
    ],
)
def test_domains(variables: dict[str, str], level: str) -> None:
    assert dds.domain(variables).level == level


def test_discovery_that_is_off_or_not_understood() -> None:
    assert dds.discovery({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}).level == "fail"
    humble = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_DISTRO": "humble"}
    assert dds.discovery(humble).level == "warn"
    assert dds.discovery({**humble, "ROS_DISTRO": "jazzy"}).level == "ok"
    assert dds.discovery({}).level == "ok"


def test_shared_memory_of_a_container_is_too_small(tmp_path: Path) -> None:
    assert dds.shared_memory(tmp_path).level == "fail"
    assert dds.shared_memory(tmp_path, free_bytes=60 * 2**20).level == "fail"
    docker = dds.shared_memory(tmp_path, free_bytes=128 * 2**20)
    assert docker.level == "warn" and "--ipc=host" in docker.advice
    assert dds.shared_memory(tmp_path, free_bytes=4 * 2**30).level == "ok"


def test_the_socket_buffer_counts_only_when_frames_are_lost_over_a_network(tmp_path: Path) -> None:
    root = written(tmp_path, {"proc/sys/net/core/rmem_max": "212992\n"})
    assert [f.level for f in dds.receive_buffer({}, lost=False, root=root)] == ["ok"]
    lost = dds.receive_buffer({}, lost=True, root=root)
    assert [f.level for f in lost] == ["warn"] and "sysctl" in lost[0].advice
    assert dds.receive_buffer({"ROS_LOCALHOST_ONLY": "1"}, lost=True, root=root) == []
    assert dds.receive_buffer({}, lost=True, root=tmp_path / "none") == []


# Serial ports ------------------------------------------------------------------------------

LATENCY = "sys/bus/usb-serial/devices/ttyUSB0/latency_timer"


def test_no_port_matters_only_to_a_driver_that_needs_one(tmp_path: Path) -> None:
    assert [f.level for f in usb.check(True, tmp_path)] == ["warn"]
    assert [f.level for f in usb.check(False, tmp_path)] == ["ok"]


def test_a_slow_latency_timer_comes_with_the_command_and_the_rule(tmp_path: Path) -> None:
    root = written(tmp_path, {"dev/ttyUSB0": "", LATENCY: "16\n"})
    found = one(usb.check(True, root), "latency_timer")
    assert found.level == "fail" and found.measured == "16 ms"
    assert "echo 1 | sudo tee /sys/bus/usb-serial/devices/ttyUSB0/latency_timer" in found.advice
    assert 'ATTR{device/latency_timer}="1"' in found.advice and "udevadm" in found.advice
    assert one(usb.check(False, root), "latency_timer").level == "warn"
    written(root, {LATENCY: "1\n"})
    assert worst(usb.check(True, root)) == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every file")
def test_a_port_of_another_user_needs_the_group(tmp_path: Path) -> None:
    root = written(tmp_path, {"dev/ttyDXL": "", LATENCY: "1"})
    (root / "dev/ttyDXL").chmod(0)
    found = one(usb.check(True, root), "/dev/ttyDXL")
    assert found.level == "fail" and "dialout" in found.advice


def test_modem_manager_is_named(tmp_path: Path) -> None:
    root = written(tmp_path, {"dev/ttyDXL": "", LATENCY: "1", "proc/7/comm": "ModemManager\n"})
    assert one(usb.check(True, root), "ModemManager").level == "warn"


# Robot file, packages, checkpoint, torch ---------------------------------------------------


def test_the_shipped_robots_fit_their_urdfs() -> None:
    for name in robots.available():
        assert worst(setup.robot_file(robots.load(name))) == "ok", name


def test_a_robot_whose_urdf_is_missing_fails_with_the_file(
    tmp_path: Path, repository: Path
) -> None:
    text = (repository / "config/robots/wx250s.yaml").read_text()
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("urdf: wx250s.urdf.xacro", f"urdf: {tmp_path}/none.urdf"))
    found = one(setup.robot_file(robots.load(str(file))), "URDF")
    assert found.level == "fail" and "none.urdf" in found.measured


def test_message_packages_are_asked_for_only_where_they_are_needed(tmp_path: Path) -> None:
    """In interpreters of their own, with folders in which the package is, or half of it."""
    services = {
        "whole": "class RobotInfo: pass",
        "old": "class Reboot: pass",
        "broken": "import a_library_that_is_not_there",
    }
    for name, text in services.items():
        written(tmp_path / name / "interbotix_xs_msgs", {"__init__.py": "", "srv.py": text})

    def said(backend: str, folder: str) -> str:
        code = (
            f"import sys; sys.path.insert(0, {str(tmp_path / folder)!r})\n"
            "from lapa_core import robot\nfrom lapa_ros.doctor import setup\n"
            f"found = setup.packages(robot.load('wx250s').with_backend({backend!r}))\n"
            "print([f.level + ' ' + f.measured for f in found])"
        )
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said("ros2_control", "whole") == "[]\n"
    assert said("interbotix", "whole") == "['ok installed']\n"
    assert "fail found, but without RobotInfo" in said("interbotix", "old")
    assert "a_library_that_is_not_there" in said("interbotix", "broken")


def test_without_ros_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    """An interpreter in which rclpy cannot be imported, as with a Python of another version."""
    out = tmp_path / "found.json"
    code = (
        "import sys; sys.modules['rclpy'] = None\n"
        "from lapa_ros.doctor.main import main\n"
        f"sys.exit(main(['--json', {str(out)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "", done.stderr
    findings = [Finding(**f) for f in json.loads(out.read_text())["findings"]]
    assert [f.what for f in findings if f.level == "fail"] == ["ROS 2"]
    assert "source /opt/ros" in one(findings, "ROS 2").advice
    assert one(findings, "free disk") and one(findings, "serial port")


def test_mistakes_on_the_command_line_are_one_line_and_code_two() -> None:
    for arguments, word in (
        (["--robot", "wx250t"], "did you mean"),
        (["--seconds", "0"], "1 to 600"),
        (["--backend", "moveit_servo"], "needs a section"),
    ):
        command = [sys.executable, "-m", "lapa_core.cli", "doctor", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2 and word in done.stderr and done.stderr.count("\n") == 1


def folder_of(tmp_path: Path, **changes: object) -> Path:
    """A checkpoint's small files and headers: one tensor of ten numbers in each network."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 5], "data_offsets": [0, 40]}}).encode()
    blob = len(header).to_bytes(8, "little") + header + bytes(40)
    (tmp_path / "vqgan").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "vqgan"):
        (place / "model.safetensors").write_bytes(blob)
    facts = {"center_crop": True, "trained": True, "origin": "fine-tuned on 150 recordings"}
    made = interface.for_robot(robots.load("wx250s"), **facts)
    (tmp_path / "interface.json").write_text(replace(made, **changes).to_json())
    return tmp_path


def test_a_checkpoint_is_read_without_its_weights(tmp_path: Path) -> None:
    robot = robots.load("wx250s")
    assert compute.checkpoint(None, robot, "float32") == ([], None, ())
    found, need, cameras = compute.checkpoint(folder_of(tmp_path), robot, "float32")
    assert worst(found) == "ok" and cameras == ("front",)
    assert need == compute.Need(20, "float32")
    assert compute.Need(10**9, "bfloat16").memory_bytes == pytest.approx(2.8e9, rel=0.01)


def test_checkpoints_that_do_not_serve(tmp_path: Path) -> None:
    robot = robots.load("wx250s")
    empty = compute.checkpoint(tmp_path / "none", robot, "float32")[0]
    assert empty[0].level == "fail" and "interface.json" in empty[0].measured
    other = compute.checkpoint(folder_of(tmp_path / "a", robot="other"), robot, "float32")[0]
    assert other[0].level == "fail" and "'other'" in other[0].measured
    random = compute.checkpoint(folder_of(tmp_path / "b", trained=False), robot, "float32")[0]
    assert one(random, "weights").level == "warn"
    (tmp_path / "b" / "vqgan" / "model.safetensors").write_bytes(b"short")
    assert compute.checkpoint(tmp_path / "b", robot, "float32")[0][0].level == "fail"


def test_memory_and_gpu_are_held_against_the_checkpoints_need() -> None:
    large, small = compute.Need(7 * 10**9, "bfloat16"), compute.Need(10**8, "bfloat16")
    facts = {
        "version": "2.9", "built_for": "12.8", "cuda": True, "name": "RTX", "free": 12e9,
        "total": 24e9,
    }  # fmt: skip
    assert worst(compute.judge_probe("cuda", small, facts, "")) == "ok"
    found = one(compute.judge_probe("cuda", large, facts, ""), "memory")
    assert found.level == "fail" and "bfloat16" in found.expected
    for built_for, word in (("12.8", "nvidia-smi"), (None, "built for CPUs")):
        facts |= {"cuda": False, "built_for": built_for}
        gpu = one(compute.judge_probe("cuda", small, facts, ""), "GPU")
        assert gpu.level == "fail" and word in gpu.advice
    broken = compute.judge_probe("cpu", None, {}, "ImportError: libcudnn")
    assert broken[0].level == "fail" and "libcudnn" in broken[0].measured


def test_torch_is_not_loaded_unless_asked() -> None:
    code = (
        "import sys\nfrom lapa_ros.doctor import compute, main\n"
        "assert compute.check(None, None)[0].level == 'ok'\n"
        "print([m for m in ('torch', 'rclpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.torch
def test_torch_is_tried_in_a_process_of_its_own() -> None:
    found = compute.check("cpu", compute.Need(10, "float32"))
    assert worst(found) == "ok" and "torch" not in compute.__dict__
    assert compute.check("cuda:99", None)[-1].level == "fail"


@pytest.mark.gpu
def test_a_gpu_tells_its_memory() -> None:
    facts, why = compute.probe("cuda")
    if not facts.get("cuda"):
        pytest.skip(f"no CUDA device {why}")
    found = compute.judge_probe("cuda", compute.Need(10**6, "bfloat16"), facts, why)
    assert worst(found) == "ok" and "GiB free" in found[-1].measured
