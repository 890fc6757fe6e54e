"""The status page in a real browser: what it shows, that it goes on by itself, and what it says when it cannot."""

import re
import smtplib

from selenium.webdriver.common.keys import Keys
from stage import CONTENT, HOSTILE_REPLY, HOSTILE_SENDER, IMAGE, SCRIPT, SUBJECT, TOKEN

from harness import wait


def number(browser, name):
    """The figure of a tile."""
    return int(browser.run("const dt = [...document.querySelectorAll('#tiles dt')].find((e) => e.textContent === arguments[0]); return dt.nextSibling.textContent;", name)
               .replace(",", "").rstrip("+"))


def test_figures_queues_and_nodes_are_shown_with_a_clean_console(stage, browser):
    stage.enter(browser)
    browser.wait_text("ready", "#state")
    wait.until(lambda: number(browser, "Held") == 1 and number(browser, "Waiting") >= 8, 10, "the figures of the stage")
    queues = browser.text("#queues")
    assert re.search(r"rest\.test\s+by the operator\s+suspended", queues), queues
    assert re.search(r"dead\.test\s+for .* more: .*\s+paused", queues), queues
    assert "slow.test" in queues
    nodes = browser.text("#nodes")
    for node in stage.cluster.nodes:
        assert f"{node.name}.relay.test" in nodes
    assert "256 partitions of 256 with a dispatcher" in nodes
    browser.wait_text("/ s", "#rates")
    assert browser.console() == []
    asked = browser.requests()
    assert len(asked) >= 2 and all(url.startswith((stage.url, "data:")) for url in asked), asked


def test_figures_change_by_themselves_after_mail_was_sent(stage, browser):
    stage.enter(browser)
    wait.until(lambda: number(browser, "Waiting") > 0, 10, "the figures")
    before = number(browser, "Waiting")
    for n in range(3):
        stage.send(f"live{n}@rest.test")
    wait.until(lambda: number(browser, "Waiting") == before + 3, 15, lambda: f"{before + 3} waiting, not {number(browser, 'Waiting')}")
    assert browser.console() == []


def test_a_story_is_told_by_its_id(stage, browser):
    stage.enter(browser)
    stage.tell(browser, stage.ids["fine"])
    assert "gone: all of it is settled" in browser.text("#facts")
    events = browser.text("#events")
    assert all(word in events for word in ("accepted", "claimed", "delivered")), events
    stage.tell(browser, stage.ids["held"])
    assert "held for" in browser.text("#facts") and "b@held.test" in browser.text("#to")
    stage.tell(browser, stage.ids["slow"])
    assert "waiting in slow.test, next try in" in browser.text("#facts")
    assert "451 4.7.1" in browser.text("#to")
    browser.find("#message-id").clear()
    browser.find("#message-id").send_keys("01ARZ3NDEKTSV4RRFFQ69G5FAV" + Keys.ENTER)
    browser.wait_text("Nothing is known of it", "#message-error")
    assert browser.text("#story") == "", "the story before it is not shown any more"
    assert browser.console() == []


# proves: S17
def test_what_looks_like_code_is_text(stage, browser):
    stage.enter(browser)
    stage.tell(browser, stage.ids["hostile"])
    assert HOSTILE_SENDER in browser.text("#facts")
    assert SCRIPT in browser.text("#to") and IMAGE in browser.text("#to") and "&amp;" in browser.text("#to"), HOSTILE_REPLY
    with smtplib.SMTP(*stage.cluster.addresses[0]) as client:
        assert client.ehlo(SCRIPT)[0] == 501, "no such name of a client comes as far as a story"
    assert browser.run("return document.querySelectorAll('main img, main script, main iframe').length;") == 0
    browser.find("#message-id").clear()
    browser.find("#message-id").send_keys(IMAGE + Keys.ENTER)
    browser.wait_text("no message id", "#message-error")
    console = [line for line in browser.console() if "400" not in line]  # it was refused, as it should
    assert console == []


def test_content_and_subject_are_in_no_answer(stage, browser):
    stage.enter(browser)
    told = [stage.get("/web/status")[2], stage.get("/web/", token=None)[2], stage.get("/metrics", token=None)[2]]
    for kind in stage.ids:
        told.append(stage.get(f"/web/message/{stage.ids[kind]}")[2])
        stage.tell(browser, stage.ids[kind])
        told.append(browser.driver.page_source)
    assert all("origin.test" in text for text in told[3::2]), "stories name the sender"
    for text in told:
        assert SUBJECT not in text and CONTENT not in text


def test_a_wrong_token_shows_nothing(stage, browser):
    browser.fresh()
    browser.open(stage.url)
    browser.find("#token").send_keys("not-the-token-at-all" + Keys.ENTER)
    browser.wait_text("That is not the token.", "#door-error")
    assert browser.text("#board") == "" and browser.focused() == "token"
    assert browser.run("return sessionStorage.length;") == 0
    assert all("401" in line for line in browser.console())
    browser.find("#token").send_keys(TOKEN + Keys.ENTER)
    browser.wait_text("rest.test", "#queues")
    assert browser.run("return [document.cookie, localStorage.length];") == ["", 0]
    browser.open(stage.url)
    browser.wait_text("rest.test", "#queues")  # the tab knows it still
    browser.find("#leave").click()
    browser.wait_text("Token", "#door")
    assert browser.text("#board") == "" and browser.run("return sessionStorage.length;") == 0
    assert "rest.test" not in browser.driver.page_source


def test_figures_stay_and_tell_their_age_while_the_dispatcher_is_away(stage, browser):
    stage.enter(browser)
    node, fault = stage.cluster.freeze(stage.dispatcher)
    try:
        browser.wait_text("What you see is", "#away", timeout=30)
        assert "no answer" in browser.text("#state")
        assert "rest.test" in browser.text("#queues"), "the last figures are shown"
        assert re.search(r"\d+ s old", browser.text("#age"))
    finally:
        stage.cluster.thaw(node, fault)
    browser.wait_text("live", "#age", timeout=30)
    assert browser.text("#away") == ""
    stage.cluster.wait_ready()


def test_partitions_without_a_dispatcher_are_told(stage, browser):
    stage.enter(browser)
    for node in stage.cluster.of("dispatcher"):
        stage.cluster.baridctl("node", "drain", f"{node.name}.relay.test", "--yes")
    browser.wait_text("256 of 256 partitions have no dispatcher", "#causes")
    browser.wait_text("no dispatcher works", "#causes")
    browser.wait_text("not ready", "#state")
    assert "draining" in browser.text("#nodes")
    for node in stage.cluster.of("dispatcher"):
        stage.cluster.baridctl("node", "undrain", f"{node.name}.relay.test")
    browser.wait_text("256 partitions of 256 with a dispatcher", "#nodes", timeout=30)
    browser.wait_text("ready", "#state")
    assert browser.text("#causes") == ""
    assert browser.console() == []
    stage.cluster.wait_ready()
