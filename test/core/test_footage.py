# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Videos, folders of frames and bags -> pairs of pictures, real files all of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from filmed import moving, picture, write
from recorded import EpisodeMaker, Script, wander

from lapa_core.data.footage import clips, pairs, store
from lapa_core.data.footage.clips import BAG, FRAMES, VIDEO, Clip
from lapa_core.data.footage.pairs import CUT, NO_SECOND, RESIZED, STILL, PairParams
from lapa_core.data.footage.store import StoreParams
from lapa_core.errors import AccessError, ConfigError, DataError

SMALL = StoreParams(size=32)
CAMERAS = "front", "overview"


def stored(clip: Clip, tmp_path: Path, params: StoreParams = SMALL) -> store.Stored:
    return store.load(store.store(clip, params, tmp_path / "cache"))


def test_videos_frames_and_bags_are_found_by_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "people").mkdir(parents=True)
    write(data / "people" / "b.webm", moving(6), codec="libvpx-vp9")
    write(data / "people" / "a.mp4", moving(6))
    (data / "frames").mkdir()
    for i in range(12):
        cv2.imwrite(str(data / "frames" / f"img_{i}.png"), picture(i / 12)[..., ::-1])
    (data / "frames" / "notes.txt").write_text("no picture")
    steps = {0.5 + 0.2 * i: d for i, d in enumerate(wander(4, 4))}
    EpisodeMaker().write(data / "robot" / "episode_000000", Script(steps, 2.0))
    (data / "robot" / "empty").mkdir()
    found, refused = clips.find(data)
    assert not refused
    front, overview = (f"robot/episode_000000:/camera/{c}/image_raw" for c in CAMERAS)
    assert [(c.name, c.kind) for c in found] == [
        ("frames", FRAMES), ("people/a.mp4", VIDEO), ("people/b.webm", VIDEO),
        (front, BAG), (overview, BAG),
    ]  # fmt: skip
    seen = list(clips.frames(found[0], rate_hz=4.0))
    assert [f.time_s for f in seen] == pytest.approx([i / 4 for i in range(12)])
    lefts = [int(np.flatnonzero((f.image > 150).any(axis=(0, 2)))[0]) for f in seen]
    assert lefts == sorted(lefts) and lefts[-1] > 40  # frame 10 after frame 9
    for clip in found[1:3]:
        seen = list(clips.frames(clip))
        assert [f.time_s for f in seen] == pytest.approx([i / 5 for i in range(6)])
        assert np.abs(seen[2].image.astype(int) - moving(6)[2]).mean() < 3
    seen = list(clips.frames(found[3]))
    assert len(seen) >= 8 and np.diff([f.time_s for f in seen]).min() > 0
    with pytest.raises(ConfigError, match=r"frames have no times|have no times: give their rate"):
        list(clips.frames(found[0]))


def test_only_the_cameras_asked_for(tmp_path: Path) -> None:
    steps = {0.5 + 0.2 * i: d for i, d in enumerate(wander(4, 4))}
    EpisodeMaker().write(tmp_path / "d" / "episode_000000", Script(steps, 2.0))
    (front, overview), _ = clips.find(tmp_path / "d")
    for camera, clip in zip(CAMERAS, (front, overview), strict=True):
        assert clips.find(tmp_path / "d", [camera])[0] == [clip]
    none, refused = clips.find(tmp_path / "d", ["wrist_9"])
    told = f"no pictures of wrist_9; topics with pictures: {front.topic}, {overview.topic}"
    assert not none and refused == {"episode_000000": told}


def test_where_the_tool_was_is_kept_of_our_own_recordings(tmp_path: Path) -> None:
    steps = {0.5 + 0.2 * i: d for i, d in enumerate(wander(4, 8))}
    EpisodeMaker().write(tmp_path / "d" / "episode_000000", Script(steps, 3.0))
    (clip, _), _ = clips.find(tmp_path / "d")
    kept = stored(clip, tmp_path)
    assert kept.states.shape == (len(kept), 5)
    # Before the first picture nobody has said where it is.
    gone = np.linalg.norm(np.diff(kept.states[1:, :3], axis=0), axis=1)
    assert np.isfinite(gone).all() and 0.002 < gone.max() < 0.06
    path = write(tmp_path / "x.mp4", moving(6))
    assert stored(Clip("x.mp4", path, VIDEO), tmp_path).states.shape == (6, 0)


def test_what_is_nothing_to_watch_says_what_would_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no"):
        clips.find(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"nothing to watch.*\.mp4.*rosbag2"):
        clips.find(tmp_path)
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "bag_0.mcap").write_bytes(b"\x89MCAP0\r\nbroken")
    found, refused = clips.find(tmp_path)
    assert not found and list(refused) == ["bag/bag_0.mcap"]


def test_pictures_beside_videos_and_bags_are_no_footage(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write(data / "a.mp4", moving(6))
    cv2.imwrite(str(data / "thumbnail.png"), picture(0.5))
    (data / "stray.mcap").write_bytes(b"no bag")
    (data / "frames").mkdir()
    cv2.imwrite(str(data / "frames" / "0.png"), picture(0.5))
    found, refused = clips.find(data)
    assert [c.name for c in found] == ["a.mp4", "frames"] and list(refused) == ["stray.mcap"]
    found, refused = clips.find_all([data])
    assert [c.name for c in found] == ["a.mp4"]
    assert "no rate is given" in refused[str(data / "frames")]
    assert len(clips.find_all([data], rate_hz=5.0)[0]) == 2
    with pytest.raises(ConfigError, match="have no times: give their rate"):
        clips.find_all([data / "frames"])


def test_what_cannot_be_read_now_is_no_damage(tmp_path: Path) -> None:
    """Nothing is concluded from a disk that fails: the run ends, and is begun again."""
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "0.png"), picture(0.5))
    (tmp_path / "frames" / "1.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "gone.png").mkdir()  # what cannot be read as a file, also by root
    clip = Clip("frames", tmp_path / "frames", FRAMES)
    assert [p.name for p in clips.files(clip)] == ["0.png"]
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(AccessError, match="cache"):
        store.store(clip, StoreParams(rate_hz=5.0), tmp_path / "cache")


def test_a_clip_is_kept_small_at_a_few_a_second(tmp_path: Path) -> None:
    path = write(tmp_path / "fast.mp4", moving(90, 30), rate=30)
    clip = Clip("fast.mp4", path, VIDEO)
    kept = stored(clip, tmp_path)
    assert kept.seen == 90 and kept.damage == ""
    assert 15 <= len(kept) <= 18  # 3 s at 5 to 6 Hz
    (third,) = kept.pictures(np.array([3]))
    assert third.shape == (32, 32, 3)
    all_ = np.stack(list(kept.pictures(np.arange(len(kept)))))
    np.testing.assert_array_equal(all_[3], third)
    again = store.store(clip, SMALL, tmp_path / "cache")
    assert again == kept.path and len(list((tmp_path / "cache").iterdir())) == 1
    other = store.store(clip, StoreParams(size=16), tmp_path / "cache")
    assert other != kept.path
    write(path, moving(89, 30), rate=30)  # other content, other file
    assert store.store(clip, SMALL, tmp_path / "cache") not in (kept.path, other)


def test_damage_ends_a_clip_and_is_told(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mkv", moving(60), codec="mpeg4").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    kept = stored(Clip("cut.mkv", tmp_path / "cut.mkv", VIDEO), tmp_path)
    assert 10 < len(kept) < 59
    headless = write(tmp_path / "whole.mp4", moving(20)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(headless[: len(headless) // 2])  # its index is at the end
    with pytest.raises(DataError, match=r"cut\.mp4 cannot be decoded"):
        stored(Clip("cut.mp4", tmp_path / "cut.mp4", VIDEO), tmp_path)
    (tmp_path / "frames").mkdir()
    for i in range(4):
        cv2.imwrite(str(tmp_path / "frames" / f"{i}.png"), picture(i / 4))
    (tmp_path / "frames" / "2.png").write_bytes(b"broken")
    params = StoreParams(size=32, rate_hz=5.0)
    kept = stored(Clip("frames", tmp_path / "frames", FRAMES), tmp_path, params)
    assert len(kept) == 2 and "2.png" in kept.damage
    with pytest.raises(DataError, match="is broken, remove it"):
        (tmp_path / "cache" / "x.safetensors").write_bytes(b"nothing")
        store.load(tmp_path / "cache" / "x.safetensors")
    assert not list((tmp_path / "cache").glob("*.part"))


def test_pairs_are_so_long_apart_whatever_the_rate(tmp_path: Path) -> None:
    for rate in (4, 5, 15, 30):
        path = write(tmp_path / f"{rate}.mp4", moving(4 * rate, rate), rate=rate)
        kept = stored(Clip(path.name, path, VIDEO), tmp_path)
        rows, left = pairs.pairs(kept, PairParams(gap_s=0.6))
        apart = np.diff(kept.times_s[rows], axis=1)
        assert np.abs(apart - 0.6).max() <= 0.15 + 1e-9
        assert len(rows) + sum(left.values()) == len(kept) and len(rows) > 10
    rows, left = pairs.pairs(kept, PairParams(gap_s=10.0))
    assert not len(rows) and left == {NO_SECOND: len(kept)}


def test_one_picture_is_no_pair(tmp_path: Path) -> None:
    path = write(tmp_path / "one.mp4", moving(1))
    rows, left = pairs.pairs(stored(Clip("one.mp4", path, VIDEO), tmp_path), PairParams())
    assert rows.shape == (0, 2) and left == {NO_SECOND: 1}


def test_what_stands_still_and_what_is_cut_makes_no_pair(tmp_path: Path) -> None:
    still = [picture(0.2)] * 10
    other = [255 - picture(0.5)] * 10
    path = write(tmp_path / "x.mp4", moving(20) + still + other)
    kept = stored(Clip("x.mp4", path, VIDEO), tmp_path)
    rows, left = pairs.pairs(kept, PairParams())
    assert left[CUT] == 3 and left[NO_SECOND] == 3
    assert left[STILL] >= 12 and rows.max() < 31
    assert pairs.pairs(kept, PairParams(cuts=False))[1][CUT] == 0
    everything, left = pairs.pairs(kept, PairParams(cuts=False, still=0.0))
    assert len(everything) == 37 and set(left) == {NO_SECOND}


def test_frames_of_several_sizes_make_no_pair_with_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for i in range(20):
        size = (64, 48) if i < 10 else (80, 60)
        cv2.imwrite(str(folder / f"{i:03d}.png"), picture(i / 20, size))
    params = StoreParams(size=32, rate_hz=5.0)
    kept = stored(Clip("mixed", folder, FRAMES), tmp_path, params)
    rows, left = pairs.pairs(kept, PairParams())
    assert left[RESIZED] == 3 and len(rows) == 14


@pytest.mark.slow
def test_a_long_video_is_never_held(tmp_path: Path) -> None:
    """10 000 pictures of 230 kB each would be 2.3 GB."""
    import resource

    path = tmp_path / "long.mp4"
    shown = [picture(i / 20, (320, 240)) for i in range(20)]
    write(path, [shown[i % 20] for i in range(10_000)], rate=30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = stored(Clip("long.mp4", path, VIDEO), tmp_path)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert kept.seen == 10_000 and 1600 <= len(kept) <= 2100
    assert grown_mb < 200
    rows, _ = pairs.pairs(kept, PairParams(still=0.0))
    assert len(rows) > 1500


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(ConfigError, match="gap of a pair must be above 0"):
        PairParams(gap_s=0)
    with pytest.raises(ConfigError, match="still must be 0 or more"):
        PairParams(still=-1)
