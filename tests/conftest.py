"""What every test shares: one thread, and the same random numbers each time."""

import hypothesis
import pytest
import torch

# The same examples on every run, and no time limit: a slow machine is not a failure.
hypothesis.settings.register_profile("minidalle", derandomize=True, deadline=None)
hypothesis.settings.load_profile("minidalle")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The matrices of the tiny preset are too small to share: one thread is the fastest."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def same_seed():
    torch.manual_seed(0)
