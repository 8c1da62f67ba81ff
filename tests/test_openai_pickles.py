"""Files of torch.save: their tensors are read, their code does not run."""

import os

import pytest
import torch

from minidalle import openai
from minidalle.openai.pickles import read_foreign


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"w": torch.ones(2), "more": Evil(tmp_path / "it-ran")}, tmp_path / "evil.pkl")
    for read in (read_foreign, openai.load_clip, lambda path: openai.load_dvae(path, path)):
        with pytest.raises(
            ValueError, match="refers to posix.mkdir, which a file of weights"
        ) as error:
            read(tmp_path / "evil.pkl")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "it-ran").exists()
    torch.load(tmp_path / "evil.pkl", weights_only=False)  # but it would
    assert (tmp_path / "it-ran").exists()


def test_files_that_are_something_else(tmp_path):
    whole = tmp_path / "whole.pt"
    torch.save({"w": torch.arange(1000)}, whole)
    assert read_foreign(whole)["w"].equal(torch.arange(1000))
    (tmp_path / "cut.pt").write_bytes(whole.read_bytes()[:-300])
    (tmp_path / "text.pt").write_text("no weights at all")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name, words in {
        "cut": "not a complete file",
        "text": "not a complete file",
        "list": "no tensors",
        "old": "in the old format of torch.save: convert it",
    }.items():
        with pytest.raises(ValueError, match=words):
            openai.load_clip(tmp_path / f"{name}.pt")
    with pytest.raises(ValueError, match="not one of OpenAI's CLIPs"):
        openai.load_clip(whole)
    with pytest.raises(FileNotFoundError, match="no weight file"):
        read_foreign(tmp_path / "none.pt")
