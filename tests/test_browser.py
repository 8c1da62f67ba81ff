"""Two notebooks as a reader meets them: JupyterLab in a browser, all cells run, pictures seen.

Needs Chromium with its driver (Debian and Ubuntu: apt install chromium chromium-driver). Where
they are installed, `make test` adds the other half of what this needs, JupyterLab and Selenium.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

DRIVER, CHROMIUM = (
    shutil.which("chromedriver"),
    shutil.which("chromium") or shutil.which("google-chrome"),
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DRIVER and CHROMIUM), reason="Chromium or its driver is not installed"),
]
NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def within(seconds: float, what):
    """The first true value of what(), asked for twice a second; None if there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.5)
    return None


def wait_for(what, seconds: float, reason: str, seen=lambda: ""):
    """As within, but none in time fails the test, with what is seen."""
    return within(seconds, what) or pytest.fail(f"no {reason} after {seconds:.0f} s {seen()}")


@pytest.fixture(params=["00_from_words_to_pictures.ipynb", "05_one_stream.ipynb"])
def notebook(request, tmp_path):
    """The notebook in a new folder, its outputs taken away so that none can pass for a new one."""
    content = json.loads((NOTEBOOKS / request.param).read_text())
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    (tmp_path / request.param).write_text(json.dumps(content))
    return tmp_path / request.param


@pytest.fixture
def lab(notebook):
    """The address of the notebook in a JupyterLab that serves its folder, token and all."""
    folder = notebook.parent
    places = {
        name: str(folder / name.lower()) for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")
    }
    settings = [
        "--no-browser",
        "--port=0",
        "--ServerApp.allow_root=True",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *settings],
            cwd=folder,
            env=os.environ | places,
            stdout=log,
            stderr=log,
        )
    try:
        running = Path(places["JUPYTER_RUNTIME_DIR"])
        file = wait_for(lambda: next(running.glob("jpserver-*.json"), None), 120, "JupyterLab")
        about = json.loads(file.read_text())
        yield f"{about['url']}lab/tree/{notebook.name}?reset&token={about['token']}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1200,1600",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def test_run_all_cells(notebook, lab, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def click(selector: str, words: str) -> None:
        """Click on what says `words`, once it is there."""

        def found():
            return [
                e
                for e in browser.find_elements(By.CSS_SELECTOR, selector)
                if e.text.strip() == words
            ]

        wait_for(found, 120, f"{words!r} to click on")[0].click()

    def prompts() -> set[str]:
        """What stands beside the code cells in view: [ ]: before it is run, [*]:, then a number."""
        found = browser.find_elements(By.CSS_SELECTOR, ".jp-CodeCell .jp-InputArea-prompt")
        return {prompt.text.strip() for prompt in found} - {""}

    def run_all() -> bool:
        """Whether anything runs: JupyterLab can drop a command given while it is still loading."""
        click(".lm-MenuBar-itemLabel", "Run")
        click(".lm-Menu-itemLabel", "Run All Cells")
        return bool(within(20, lambda: prompts() - {"[ ]:"}))

    def saved() -> list[dict]:
        """The code cells as they are now."""
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.CONTROL, "s")
        try:
            cells = json.loads(notebook.read_text())["cells"]
        except json.JSONDecodeError:  # JupyterLab is just writing it
            return []
        return [cell for cell in cells if cell["cell_type"] == "code"]

    def progress() -> str:
        """How far it came, and what dialogs say."""
        counts = [cell["execution_count"] for cell in saved()]
        dialogs = browser.find_elements(By.CSS_SELECTOR, ".jp-Dialog")
        texts = [dialog.text for dialog in dialogs]
        return f"cells {counts}, prompts {prompts()}, dialogs {texts}"

    def finished() -> bool:
        cells = saved()
        errors = [o for cell in cells for o in cell["outputs"] if o["output_type"] == "error"]
        assert not errors, errors[0]["evalue"]
        return bool(cells) and cells[-1]["execution_count"] is not None

    browser.get(lab)
    wait_for(
        lambda: browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell"), 120, "notebook"
    )
    idle = ".jp-Notebook-ExecutionIndicator[data-status='idle']"  # before that, nothing is run
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, idle), 120, "kernel")
    wait_for(run_all, 120, "cell that runs", progress)
    wait_for(finished, 600, "end of the notebook", progress)
    cells = wait_for(saved, 30, "saved notebook")
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    wide = "return [...document.querySelectorAll('.jp-RenderedImage img')].map(i => i.naturalWidth)"
    browser.execute_script("document.querySelector('.jp-Notebook').scrollTo(0, 0)")
    assert wait_for(lambda: browser.execute_script(wide), 30, "picture")[0] > 100
