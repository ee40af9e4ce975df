"""Lessons as a reader's browser shows them: alt texts, explorers that turn, nothing marked changed.

Where Chromium and its driver are installed; nothing is fetched, and the pages have no network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROOT = Path(__file__).resolve().parent.parent
LESSONS = sorted(
    path for path in (ROOT / "notebooks").glob("*.ipynb") if re.fullmatch(r"\d\d_\w+", path.stem)
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,720",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
PICTURES, SLIDERS = ".jp-OutputArea img", ".jp-OutputArea input[type=range]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    programs = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    program, driver = next(filter(None, programs), None), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("Chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield window
    window.quit()


def stored(lesson: Path) -> list[str]:
    """The alt texts of a stored lesson's pictures, in order."""
    texts = []
    for cell in json.loads(lesson.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}) and "image/png" in output["data"]:
                alt = output["metadata"]["image/png"]["alt"]
                texts.append(re.sub(r" \(Explorer: turn .*\)$", "", alt))  # where it does not turn
    return texts


def shown(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(image => image.alt)"
    alts: list[str] = browser.execute_script(script, PICTURES)
    return alts


def until(condition: Any, seconds: float = 60) -> None:
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "the page did not come to it in time"
        time.sleep(0.2)


def turn(browser: Any, slider: Any) -> None:
    """By a key and by the mouse: the picture, its alt text and the slider's spoken value change."""
    image = slider.find_element(By.XPATH, "./ancestor::figure//img")
    name = slider.accessible_name
    assert name
    assert slider.get_attribute("max") != "0"

    def state() -> tuple[str, str, str]:
        alt, source = image.get_attribute("alt"), image.get_attribute("src")
        value = slider.get_attribute("aria-valuetext")
        assert f"{name}: {value}" in alt
        return alt, source, value

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
    first = state()
    at_end = slider.get_attribute("value") == slider.get_attribute("max")
    browser.execute_script("arguments[0].focus()", slider)
    ActionChains(browser).send_keys(Keys.ARROW_LEFT if at_end else Keys.ARROW_RIGHT).perform()
    until(lambda: slider.get_attribute("aria-valuetext") != first[2], 5)
    second = state()
    assert all(before != after for before, after in zip(first, second))
    side = (
        -0.48 if 2 * int(slider.get_attribute("value")) > int(slider.get_attribute("max")) else 0.48
    )
    place = round(side * slider.size["width"])
    ActionChains(browser).move_to_element_with_offset(slider, place, 0).click().perform()
    until(lambda: slider.get_attribute("aria-valuetext") != second[2], 5)
    assert all(before != after for before, after in zip(second, state()))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_an_exported_page_speaks_and_turns(browser: Any, lesson: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path)]
    subprocess.run([*command, str(lesson)], check=True, capture_output=True)
    browser.get((tmp_path / f"{lesson.stem}.html").as_uri())
    alts = stored(lesson)
    until(lambda: len(shown(browser)) == len(alts))  # a busy machine is still reading the page
    until(lambda: browser.execute_script("return document.readyState") == "complete")
    assert shown(browser) == alts
    assert all(len(alt.split()) >= 6 for alt in alts)
    sliders = browser.find_elements(By.CSS_SELECTOR, SLIDERS)
    source = lesson.read_text(encoding="utf-8")
    assert bool(sliders) == ("import player" in source)
    for slider in sliders:
        turn(browser, slider)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """JupyterLab as `course.py lab 04` starts it; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "course.py", "--here", "lab", "04", "--no-browser", f"--port={port}"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    log = tmp_path / "log.txt"
    with open(log, "w") as file:
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    address = re.compile(rf"http://127\.0\.0\.1:{port}/\S*token=\w+")
    until(lambda: address.search(log.read_text()))
    yield address.search(log.read_text())[0]  # type: ignore[index]
    os.killpg(server.pid, 15)
    server.wait(30)


@pytest.mark.skipif(os.name != "posix", reason="ends JupyterLab by its process group")
def test_jupyterlab_shows_a_lesson_that_speaks_turns_and_is_unchanged(
    browser: Any, lab: str
) -> None:
    (lesson,) = (path for path in LESSONS if path.name.startswith("04_"))
    before, alts = lesson.read_bytes(), stored(lesson)
    browser.get(lab)
    until(lambda: len(shown(browser)) == len(alts))
    assert shown(browser) == alts
    for slider in browser.find_elements(By.CSS_SELECTOR, SLIDERS):
        turn(browser, slider)
    until(lambda: "Idle" in kernel(browser))
    time.sleep(2)  # the kernel's description of itself has arrived
    assert not browser.find_elements(By.CSS_SELECTOR, ".jp-mod-dirty")
    assert not browser.find_elements(By.CSS_SELECTOR, ".jupyter-widgets-disconnected")
    assert lesson.read_bytes() == before


def kernel(browser: Any) -> str:
    places = browser.find_elements(
        By.CSS_SELECTOR, "[data-status], .jp-Notebook-ExecutionIndicator"
    )
    return " ".join(
        f"{place.get_attribute('data-status')} {place.get_attribute('aria-label')}"
        for place in places
    ).title()
