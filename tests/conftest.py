"""What every test shares: one thread, the same random numbers each time, a place for evidence."""

from pathlib import Path

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


EVIDENCE = []  # lines of the table of tests/test_peers.py, which is printed after all tests


@pytest.fixture(scope="session")
def evidence():
    """Takes a line of it: what, with what it was compared, cases, largest difference."""
    docs = (Path(__file__).parents[1] / "docs" / "parity.md").read_text("utf-8")

    def add(what: str, peer: str, cases: int, difference: float) -> None:
        assert f"\n| {what} | {peer} | " in docs, f"docs/parity.md has no row for {what}, {peer}"
        EVIDENCE.append(
            f"| {what} | {peer} | {cases} | {f'{difference:.0e}' if difference else 0} |"
        )

    return add


def pytest_terminal_summary(terminalreporter):
    if EVIDENCE:
        head = ["", "| what | compared with | cases | largest difference |", "|---|---|---|---|"]
        terminalreporter.write_line("\n".join(head + EVIDENCE + [""]))
