"""Files that are whole or not there, whoever kills, fills or watches; and one process at a time."""

import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest

from minidalle.files import ENDING, folder_beside, only_one, sweep, whole_file

FORK = multiprocessing.get_context("fork")


def in_a_process(work, *args) -> int | None:
    """The exit code of work(*args)."""
    process = FORK.Process(target=work, args=args)
    process.start()
    process.join()
    return process.exitcode


def half(path: Path) -> None:
    with whole_file(path) as part:
        part.write_text("half")
        part.with_name("of a library").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_leaves_the_old_file_and_the_next_one_sweeps(tmp_path):
    path = tmp_path / "a [1].txt"
    path.write_text("old")
    other = tmp_path / f".b.txt.0{ENDING}"  # of another file
    other.mkdir()
    assert in_a_process(half, path) == -signal.SIGKILL
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 3
    with whole_file(path) as part:
        part.write_text("new")
    assert path.read_text() == "new" and set(tmp_path.iterdir()) == {path, other}


def test_what_a_living_process_writes_is_not_swept(tmp_path):
    path = tmp_path / "a"
    with whole_file(path) as one, whole_file(path) as other:
        sweep(tmp_path)
        assert in_a_process(sweep, tmp_path) == 0
        one.write_text("one"), other.write_text("other")
    assert path.read_text() == "one" and list(tmp_path.iterdir()) == [path]  # the last to end


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_the_mode_is_that_of_the_umask_and_everything_reaches_the_disk(
    tmp_path, umask, monkeypatch
):
    synced, sync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda f: (synced.append(os.readlink(f"/proc/self/fd/{f}")), sync(f))
    )
    before, path = os.umask(umask), tmp_path / "a"
    try:
        with whole_file(path) as part:
            part.unlink()
            part.touch(0o600)  # as libraries do
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert synced == [str(part), str(tmp_path)]


def test_a_full_disk_is_one_sentence_and_the_old_file_is_whole(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def too_large() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with pytest.raises(OSError, match=f"{path} cannot be written .File too large.$"):
            with whole_file(path) as part:
                part.write_bytes(bytes(2000))

    assert in_a_process(too_large) == 0
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_no_device_is_replaced():
    with pytest.raises(OSError, match="/dev/null cannot be written .it is no ordinary file"):
        with whole_file("/dev/null"):
            pass


def test_a_link_laid_in_advance_is_not_followed(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "a"
    victim.write_text("precious")
    for name in ("a.part", "a.lock", f".a.0{ENDING}"):
        (tmp_path / name).symlink_to(victim)
    with whole_file(path) as part:
        part.write_text("new")
    with pytest.raises(OSError, match="a.lock is a link: remove it"):
        with only_one(tmp_path / "a.lock", "a"):
            pass
    assert victim.read_text() == "precious" and path.read_text() == "new"


# ---- one process at a time --------------------------------------------------------------


def test_only_one_at_a_time_and_the_sentence_names_the_other(tmp_path):
    path = tmp_path / "a.lock"

    def second() -> None:
        with pytest.raises(ValueError, match=f"it is made by process {os.getppid()}"):
            with only_one(path, "it is made"):
                pass

    with only_one(path, "it is made"):
        assert in_a_process(second) == 0
    assert not path.exists()


def test_a_dead_process_holds_nothing(tmp_path):
    path = tmp_path / "a.lock"

    def dies() -> None:
        with only_one(path, "it is made"):
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_process(dies) == -signal.SIGKILL and path.exists()
    with only_one(path, "it is made"):
        assert f"process {os.getpid()} on" in path.read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_can_be_moved_away(tmp_path):
    with folder_beside(tmp_path / "a") as folder:
        (folder / "file").touch()
        folder.rename(tmp_path / "a")
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "file"]
