"""Files of packed weights: what comes back is what was kept, and whatever is wrong with a file only costs time."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from portico.weights.packed import Key, PackedWeights

PLENTY = 1 << 30
KEY = Key("model/int4", ("/a/model.safetensors", "int4"), {"files": [["/a", 1]], "build": "x"})


def weight(name: str, size: int = 640) -> Tensor:
    return torch.arange(size).add(sum(name.encode())).to(torch.uint8)


def never() -> Tensor:
    raise AssertionError("made again")


def start(folder: Path, *names: str, key: Key = KEY, most_bytes: int = PLENTY) -> tuple[list[Tensor], list[str], bool]:
    """What a start gets, what it had to make, and whether all was mapped."""
    made: list[str] = []

    def make(name: str) -> Callable[[], Tensor]:
        return lambda: (made.append(name), weight(name))[1]

    packed = PackedWeights(folder, key, most_bytes)
    got = [packed.get(name, 640, make(name)) for name in names]
    packed.keep()
    assert packed.mapped_bytes == 640 * (len(names) - len(made))
    return got, made, packed.all_mapped


def the_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_the_second_start_maps_what_the_first_made(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"
    first, made, mapped = start(folder, "a", "b")
    assert (made, mapped) == (["a", "b"], False)
    second, made, mapped = start(folder, "a", "b")
    assert (made, mapped) == ([], True)
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)
        assert two.data_ptr() % 64 == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(the_file(folder).stat().st_mode) == 0o600
    with open("/proc/self/maps", encoding="utf-8") as maps:
        rights = [line.split()[1] for line in maps if str(the_file(folder)) in line]
    assert set(rights) == {"r--s"}


def test_what_is_asked_for_twice_is_made_once(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "cache"):
        packed = PackedWeights(folder, KEY, PLENTY)
        first = packed.get("a", 640, lambda: weight("a"))
        assert packed.get("a", 640, never) is first


def test_without_a_folder_nothing_is_kept() -> None:
    packed = PackedWeights()
    assert torch.equal(packed.get("a", 640, lambda: weight("a")), weight("a"))
    packed.keep()
    assert not packed.all_mapped


@pytest.mark.parametrize("state", [{"files": [["/a", 2]], "build": "x"}, {"files": [["/a", 1]], "build": "y"}, {}])
def test_another_state_takes_the_place_of_the_old(tmp_path: Path, state: dict[str, object]) -> None:
    start(tmp_path / "cache", "a")
    later = Key(KEY.name, KEY.place, state)
    assert start(tmp_path / "cache", "a", key=later)[1] == ["a"]
    assert start(tmp_path / "cache", "a", key=later)[1] == []
    the_file(tmp_path / "cache")
    assert start(tmp_path / "cache", "a")[1] == ["a"]


def test_another_place_is_another_file(tmp_path: Path) -> None:
    other = Key(KEY.name, ("/a/model.safetensors", "int8"), KEY.state)
    start(tmp_path / "cache", "a")
    start(tmp_path / "cache", "a", key=other)
    assert start(tmp_path / "cache", "a")[1] == start(tmp_path / "cache", "a", key=other)[1] == []
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_file_that_lacks_a_weight_or_has_it_in_another_size_is_written_again(tmp_path: Path) -> None:
    start(tmp_path / "cache", "a")
    assert start(tmp_path / "cache", "a", "b")[1] == ["b"]
    assert start(tmp_path / "cache", "a", "b")[1] == []
    packed = PackedWeights(tmp_path / "cache", KEY, PLENTY)
    assert len(packed.get("a", 64, lambda: weight("a", 64))) == 64
    packed.keep()
    assert start(tmp_path / "cache", "a")[1] == ["a"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_that_was_cut_or_whose_header_was_touched_is_no_file(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "cache"
    start(folder, "a", "b")
    whole = the_file(folder).read_bytes()
    header = 56 + int.from_bytes(whole[48:56], "little")
    if data.draw(st.booleans()):
        broken = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        place, change = data.draw(st.integers(0, header - 1)), data.draw(st.integers(1, 255))
        broken = whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :]
    the_file(folder).write_bytes(broken)
    got, made, _ = start(folder, "a", "b")
    assert made == ["a", "b"]
    assert torch.equal(got[1], weight("b"))
    assert the_file(folder).read_bytes() == whole


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int, *_: int) -> None:
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x")

    monkeypatch.setattr(os, "posix_fallocate", full)
    got, _, mapped = start(tmp_path / "cache", "a")
    assert torch.equal(got[0], weight("a"))
    assert not mapped
    assert "No space left" in caplog.text
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    assert start(tmp_path / "file" / "cache", "a")[1] == ["a"]
    assert "Not a directory" in caplog.text


@pytest.mark.parametrize("rights", [0o750, 0o701, 0o777])
def test_a_folder_that_is_open_to_others_is_not_trusted(
    tmp_path: Path, rights: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cache"
    start(folder, "a")
    folder.chmod(rights)
    assert start(folder, "a")[1:] == (["a"], False)
    assert "open to others" in caplog.text


def test_links_are_not_followed(tmp_path: Path) -> None:
    start(tmp_path / "cache", "a")
    start(tmp_path / "other", "a")
    the_file(tmp_path / "cache").unlink()
    (tmp_path / "cache" / KEY.file_name()).symlink_to(the_file(tmp_path / "other"))
    assert start(tmp_path / "cache", "a")[1] == ["a"]
    assert not the_file(tmp_path / "cache").is_symlink()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    assert start(tmp_path / "link", "a")[1] == ["a"]


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    folder, keys = tmp_path / "cache", [Key(str(n), (str(n),), {}) for n in range(4)]
    (folder).mkdir(mode=0o700)
    (folder / "notes.txt").write_text("somebody's")
    for age, key in enumerate(keys[:3]):
        start(folder, "a", key=key)
        os.utime(folder / key.file_name(), (1000 + age, 1000 + age))
    start(folder, "a", key=keys[0])  # used again
    size = (folder / keys[0].file_name()).stat().st_size
    start(folder, "a", key=keys[3], most_bytes=3 * size)
    left = {file.name for file in folder.iterdir()}
    assert left == {"notes.txt", *(keys[n].file_name() for n in (0, 2, 3))}


def test_what_is_larger_than_the_bound_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    start(tmp_path / "cache", "a", most_bytes=100)
    assert list((tmp_path / "cache").iterdir()) == []
    assert "the cache holds 100" in caplog.text


def test_what_nobody_finished_is_cleared_away(tmp_path: Path) -> None:
    start(tmp_path / "cache", "a", key=Key("x", ("x",), {}))
    old, new = (tmp_path / "cache" / f"{name}.partial" for name in ("old", "new"))
    old.write_text("")
    new.write_text("")
    os.utime(old, (1000, 1000))
    start(tmp_path / "cache", "a")
    assert not old.exists()
    assert new.exists()


def test_starts_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    together, results = threading.Barrier(6), []

    def begin() -> None:
        together.wait()
        results.append(start(tmp_path / "cache", "a", "b"))

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert all(torch.equal(got[0], weight("a")) and torch.equal(got[1], weight("b")) for got, _, _ in results)
    assert start(tmp_path / "cache", "a", "b")[1] == []
    the_file(tmp_path / "cache")


def test_a_file_that_is_removed_stays_readable_for_those_who_mapped_it(tmp_path: Path) -> None:
    start(tmp_path / "cache", "a")
    (got,), made, _ = start(tmp_path / "cache", "a")
    the_file(tmp_path / "cache").unlink()
    assert made == []
    assert torch.equal(got, weight("a"))
