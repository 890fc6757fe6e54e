"""The status page at any width, in any light, without a mouse, and for those who cannot see it: axe-core finds nothing."""

import pytest
from selenium.webdriver.common.keys import Keys
from stage import TOKEN

from harness import wait

WIDTHS = {"desktop": 1280, "phone": 375}


@pytest.mark.parametrize("is_dark", (False, True), ids=("light", "dark"))
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_nothing_is_wrong_for_axe_and_nothing_is_too_wide(stage, browser, width, is_dark):
    browser.fresh(width=width, is_dark=is_dark)
    browser.open(stage.url)
    assert browser.violations() == [] and browser.overflow() <= 0, "the form"
    stage.enter(browser, width=width, is_dark=is_dark)
    stage.tell(browser, stage.ids["hostile"])
    browser.wait_text("/ s", "#rates")
    assert browser.violations() == []
    assert browser.overflow() <= 0
    back = browser.run("return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number);")
    assert (sum(back) < 200) == is_dark, back


def test_it_is_used_by_keyboard_alone(stage, browser):
    browser.fresh()
    browser.open(stage.url)
    wait.until(lambda: browser.focused() == "token", 5, "the field has the focus")
    browser.press(*TOKEN, Keys.ENTER)
    browser.wait_text("rest.test", "#queues")
    wait.until(lambda: browser.focused() == "content", 5, "the focus goes to the figures")
    browser.tab_to("message-id")
    browser.press(*stage.ids["fine"], Keys.ENTER)
    browser.wait_text("delivered", "#events")
    wait.until(lambda: browser.focused() == "story", 5, "the focus goes to the story")
    browser.open(stage.url)
    browser.wait_text("rest.test", "#queues")
    browser.tab_to("pause")
    outline = browser.run("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)];")
    assert outline[0] != "none" and outline[1] >= 2, "the focus can be seen"
    browser.press(Keys.SPACE)
    browser.wait_text("paused", "#age")
    browser.press(Keys.SPACE)
    browser.wait_text("live", "#age")
    browser.tab_to("leave")
    browser.press(Keys.ENTER)
    wait.until(lambda: browser.focused() == "token", 5, "back at the form")
    assert browser.console() == []


def test_all_has_a_name_and_a_place(stage, browser):
    stage.enter(browser)
    assert browser.run("return [...document.querySelectorAll('h1')].length;") == 1
    for landmark in ("header", "main", "footer"):
        assert browser.run("return document.querySelectorAll(arguments[0]).length;", landmark) == 1
    unnamed = browser.run("return [...document.querySelectorAll('table')].filter((t) => t.offsetParent && !(t.caption && t.caption.textContent)).map((t) => t.id);")
    assert unnamed == []
    assert browser.run("return document.getElementById('spoken').getAttribute('aria-live');") == "polite"


def test_axe_finds_what_is_wrong(stage, browser):
    """It would tell: a field without a name, and words nobody can read."""
    stage.enter(browser)
    browser.run("document.querySelector('label[for=message-id]').remove(); document.querySelector('#tiles dt').style.color = '#eee';")
    found = " ".join(browser.violations())
    assert "color-contrast" in found and "label" in found
