"""Encode tar shards as stored tokens, in any number of processes: `minidalle tokenize`.

B batch, T text tokens, N image tokens, M samples of a shard.

A shard is the unit of work: one process encodes it, in one thread and in chunks of fixed size, so
its file has the same bytes however many processes there are. Finished shards are not encoded
again, and are refused if the shard has changed since. The format of the files is described in
datasets/tokens.py, which reads them.

This gives up augmentation: the paper crops a picture anew each time it is used, and applies BPE
dropout to its caption (appendix B.2). Here a picture keeps the codes of its middle square, and a
caption its plain ids.
"""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minidalle import weights
from minidalle.bpe import BPE
from minidalle.datasets import to_tensor
from minidalle.datasets.pictures import middle_crop, on_white
from minidalle.datasets.shards import Shard
from minidalle.datasets.tokens import ENDING, Maker, read_header
from minidalle.dvae import DVAE
from minidalle.files import sweep

CHUNK = 64  # pictures encoded at a time; with another number, rounding may change a code


def maker_of(bpe: BPE, dvae: DVAE, text_len: int) -> Maker:
    """The maker of tokens from this BPE and dVAE."""
    return Maker(bpe.fingerprint(), weights.fingerprint(dvae), text_len)


def tokenize(
    paths: list[Path], folder: Path, out: Path, text_len: int, processes: int = 1
) -> Counter:
    """Encode all shards that are not yet encoded, with the BPE and dVAE in `folder`.

    Returns the number of "new" shards, of "samples" in all shards, and of those left out, by
    reason. Raises ValueError or OSError, in one sentence, if `out` holds other tokens, two shards
    have the same name, no sample can be used, or a process is killed.
    """
    if others := [path for path in paths if path.suffix != ".tar"]:
        raise ValueError(
            f"{others[0]} is not a tar shard: name some, like 'shards/{{00000..00009}}.tar'"
        )
    maker = maker_of(*open_two(folder), text_len)
    targets = {path: target_of(path, out) for path in paths}
    if twice := [path for path, n in Counter(targets.values()).items() if n > 1]:
        raise ValueError(
            f"{twice[0].name} would be made from several shards: give each its own --out"
        )
    with ThreadPoolExecutor(processes) as pool:  # finished shards are hashed again
        done = pool.map(partial(is_done, maker=maker), paths, targets.values())
        todo = [path for path, is_there in zip(paths, done) if not is_there]
    work = partial(tokenize_shard, folder=folder, out=out, maker=maker)
    done = in_processes(work, todo, processes) if processes > 1 and todo else map(work, todo)
    try:
        for _ in tqdm(done, total=len(todo), desc="tokenize", unit="shard", disable=None):
            pass
    finally:
        sweep(out, f"*{ENDING}")  # a process that was killed may have left half a file
    counts = Counter(new=len(todo))
    for target in targets.values():
        about = weights.read_about(target)
        counts += Counter(about["left out"]) + Counter(samples=about["samples"])
    if not counts["samples"]:
        discard([targets[path] for path in todo], out)
        why = ", ".join(f"{n} {why}" for why, n in sorted(counts.items()) if why != "new")
        raise ValueError(
            f"there is no sample in {paths[0]}{' and the others' * (len(paths) > 1)}"
            + (f"; left out: {why}" if why else "")
        )
    return counts


def discard(files: list[Path], folder: Path) -> None:
    """Remove files, and the folder if nothing else is in it."""
    for file in files:
        file.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def target_of(path: Path, out: Path) -> Path:
    """The file for the tokens of a shard."""
    return out / (path.name.removesuffix(".tar") + ENDING)


def open_two(folder: Path) -> tuple[BPE, DVAE]:
    """The trained BPE and dVAE in a folder of `minidalle train`."""
    return BPE.load(folder / "bpe.json"), weights.load(folder / "dvae.safetensors", DVAE)


@lru_cache(maxsize=1)
def opened(folder: Path, maker: Maker) -> tuple[BPE, DVAE]:
    """The same, read once per process; raises ValueError if they have changed meanwhile."""
    bpe, dvae = open_two(folder)
    if maker_of(bpe, dvae, maker.text_len) != maker:
        raise ValueError(
            f"the models in {folder} were replaced while shards were tokenized with them"
        )
    return bpe, dvae


def is_done(path: Path, target: Path, maker: Maker) -> bool:
    """Whether the tokens of this shard exist; raises ValueError if they are of another shard."""
    if not target.is_file():
        return False
    if read_header(target, maker)["shard"] != describe(path):
        raise ValueError(
            f"{target} was made from another shard, or from {path} before it changed: "
            "remove it to have it made again, or name another --out"
        )
    return True


def describe(path: Path) -> dict:
    """Name and sha256, which identify the content of a shard; OSError names it."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:  # that of a bad disk does not say which file
        raise OSError(f"{path} cannot be read ({error.strerror})") from None
    return {"name": path.name, "sha256": digest.hexdigest()}


@contextmanager
def one_thread():
    """One CPU thread, because sums are rounded differently when split over more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def tokenize_shard(path: Path, folder: Path, out: Path, maker: Maker) -> None:
    """Write the tokens of one shard, atomically, with a row for each caption of a picture."""
    bpe, dvae = opened(folder, maker)
    shard, T, N = Shard(path), maker.text_len, dvae.config.grid**2
    found = ((i, shard.read(i)) for i in range(len(shard)))
    size = dvae.config.image_size  # each picture is cropped as it is read: whole, a chunk is large
    samples = (
        (shard.captions(i), on_white(middle_crop(sample[1], size))) for i, sample in found if sample
    )
    text, codes = [torch.empty(0, T, dtype=torch.long)], [torch.empty(0, N, dtype=torch.long)]
    while chunk := list(islice(samples, CHUNK)):
        text += [bpe.frames(captions, T, truncate=True) for captions, _ in chunk]
        grids = dvae.encode(to_tensor(np.stack([picture for _, picture in chunk]))).flatten(1)
        counts = torch.tensor([len(captions) for captions, _ in chunk])
        codes.append(grids.repeat_interleave(counts, 0))
    small = torch.int16 if dvae.config.codebook_size <= 2**15 else torch.int32
    tensors = {"text": torch.cat(text).int(), "codes": torch.cat(codes).to(small)}
    about = {"maker": maker._asdict(), "shard": describe(path), "samples": len(tensors["text"])}
    about |= {"left out": dict(sorted(Counter(shard.left_out.values()).items()))}
    weights.write_tensors(target_of(path, out), tensors, about)


def in_processes(work, paths: list[Path], processes: int) -> Iterator[None]:
    """work(path) for all paths, in a pool of processes."""
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    try:
        with ProcessPoolExecutor(min(processes, len(paths)), spawn, begin) as pool:
            try:
                yield from pool.map(work, paths)
            except BaseException:  # mainly Ctrl-C: unfinished shards are redone next time
                for process in multiprocessing.active_children():
                    process.terminate()
                raise
    except BrokenProcessPool:
        raise OSError(
            "a process was killed, maybe for lack of memory: run the same command with "
            "fewer --processes to continue"
        ) from None


def begin() -> None:
    """Initialise a worker: it ignores Ctrl-C, and ends when the main process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
