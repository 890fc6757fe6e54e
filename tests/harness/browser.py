"""Chromium without a screen, driven by Selenium: pages as people see them, what the console says, what is asked of whom, and axe-core's judgement."""

import json
import os

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from . import paths, wait

AXE = os.path.join(paths.PEERS, "axe", "node_modules", "axe-core", "axe.min.js")
# As root in a container there is no sandbox to be had; the pages are our own.
_ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
              "--disable-extensions", "--disable-sync", "--disable-default-apps", "--no-first-run", "--hide-scrollbars", "--password-store=basic", "--lang=en-US")


class Browser:
    """One Chromium; `fresh()` gives it a new tab, with nothing kept of the ones before."""

    def __init__(self):
        options = webdriver.ChromeOptions()
        for argument in _ARGUMENTS:
            options.add_argument(argument)
        options.binary_location = paths.peer("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service(paths.peer("chromedriver")), options=options)
        self.driver.set_page_load_timeout(30)
        self.driver.set_script_timeout(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def fresh(self, width=1280, height=900, is_dark=False, scale=1):
        """A new tab of that size in CSS pixels, whose user likes it dark or light."""
        old = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        new = self.driver.current_window_handle
        self.driver.switch_to.window(old)
        self.driver.close()
        self.driver.switch_to.window(new)
        self.look(width, height, is_dark, scale)
        self.console(), self.requests()
        return self

    def look(self, width, height, is_dark=False, scale=1):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}, {"name": "prefers-reduced-motion", "value": "reduce"}]})

    def open(self, url):
        self.driver.get(url)

    # -- what is there

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector="body"):
        """As it is shown: what is hidden has none."""
        return self.driver.execute_script("const e = document.querySelector(arguments[0]); return e && e.getClientRects().length ? e.innerText : '';", selector)

    def wait_text(self, words, selector="body", timeout=20):
        wait.until(lambda: words in self.text(selector), timeout, lambda: f"{words!r} in {selector}, where it says {self.text(selector)[:2000]!r}", pause=0.05)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    # -- what people do

    def press(self, *keys):
        for key in keys:
            webdriver.ActionChains(self.driver).send_keys(key).perform()

    def focused(self):
        """The id of what has the focus, or its text."""
        return self.run("const e = document.activeElement; return e.id || e.innerText || e.tagName;")

    def tab_to(self, name, most=40):
        """Presses Tab until what has this id is focused."""
        for _ in range(most):
            if self.focused() == name:
                return
            self.press(Keys.TAB)
        raise AssertionError(f"Tab does not reach {name}")

    # -- what went on

    def console(self):
        """What was said on it since the last look."""
        return [f"{entry['level']} {entry['message']}" for entry in self.driver.get_log("browser")]

    def requests(self):
        """Addresses that were asked for since the last look."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    def violations(self):
        """What axe-core finds wrong with the page as it is now."""
        with open(AXE, encoding="utf-8") as file:
            self.run(file.read())
        found = self.driver.execute_async_script("const done = arguments[0]; axe.run(document).then((r) => done(r.violations.map("
                                                 "(v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html + ' ' + n.failureSummary).join(' | ')}`)), (e) => done([String(e)]));")
        return found

    def overflow(self):
        """By how many pixels the page is wider than its window."""
        return self.run("const d = document.documentElement; return Math.max(d.scrollWidth, document.body.scrollWidth) - window.innerWidth;")

    def picture(self, path, whole=True):
        if whole:
            height = self.run("return Math.ceil(document.documentElement.getBoundingClientRect().height);")
            size = self.run("return [window.innerWidth, window.devicePixelRatio];")
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": size[0], "height": height, "deviceScaleFactor": size[1], "mobile": size[0] < 600})
        self.driver.save_screenshot(path)
