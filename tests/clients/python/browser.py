"""Looks at a page with Chromium, as people with different screens do, and tells what it saw as JSON.

Argument: {"url": ..., "screenshots": DIRECTORY, "views": [{"name": ..., "width": ..., "height": ..., "mobile": ...,
"scheme": "light" or "dark"}, ...]}. Speaks the DevTools protocol over pipes, so it needs nothing but Python and Chromium.
"""

import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

DEADLINE_S = 60

FLAGS = [
    "--headless=new",
    "--remote-debugging-pipe",
    # Tests may run as root, where the sandbox can't; the page is the only one that is looked at.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-component-update",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
]

# What a person can't see in a picture.
MEASURE = r"""
(() => {
  const all = [...document.querySelectorAll("*")];
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = rgb(colour).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = getComputedStyle(document.documentElement).backgroundColor;
  const contrast = (element) => {
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(paper)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const hasText = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const written = all.filter((e) => hasText(e) && document.body.contains(e));
  const clean = (text) => text.replace(/\s+/g, " ").trim();
  const cells = (row) => [...row.children].map((cell) => clean(cell.textContent));
  return {
    title: document.title,
    headline: clean(document.querySelector("h1").textContent),
    findings: [...document.querySelectorAll("#findings li")].map((li) => clean(li.textContent)),
    facts: [...document.querySelectorAll("dl.facts > div")].map((div) => clean(div.textContent)),
    tables: Object.fromEntries([...document.querySelectorAll("section")].filter((s) => s.querySelector("table")).map(
      (section) => [section.id, {
        headers: cells(section.querySelector("thead tr")),
        rows: [...section.querySelectorAll("tbody tr")].map(cells),
      }])),
    more: [...document.querySelectorAll(".more")].map((p) => clean(p.textContent)),
    background: rgb(paper),
    content_width: document.documentElement.scrollWidth,
    width: document.documentElement.clientWidth,
    beyond: all.filter((e) => !e.closest("thead") && e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.outerHTML),
    pale: written.filter((e) => contrast(e) < 4.5).map((e) => [e.outerHTML, contrast(e)]),
    tiny: written.filter((e) => parseFloat(getComputedStyle(e).fontSize) < 11).map((e) => e.outerHTML),
    active: all.filter((e) => ["SCRIPT", "IFRAME", "OBJECT", "EMBED", "FORM", "IMG"].includes(e.tagName)
      || [...e.attributes].some((a) => a.name.startsWith("on") || /^\s*javascript:/i.test(a.value))).map((e) => e.outerHTML),
    elements: [...new Set(all.map((e) => e.tagName.toLowerCase()))].sort(),
    unseen: [...document.body.textContent.matchAll(/[\p{Cc}\p{Cf}]/gu)].map((m) => m[0].codePointAt(0))
      .filter((code) => code !== 10),
  };
})()
"""

# A picture's size, its colours at the edge, and how many it has.
LOOK = r"""
(async (png) => {
  const bitmap = await createImageBitmap(await (await fetch("data:image/png;base64," + png)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const colours = new Map();
  for (let at = 0; at < pixels.length; at += 4) {
    const colour = (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
    colours.set(colour, (colours.get(colour) ?? 0) + 1);
  }
  const most = [...colours].sort((a, b) => b[1] - a[1])[0];
  return {
    width: bitmap.width, height: bitmap.height, colours: colours.size,
    paper: [most[0] >> 16, (most[0] >> 8) & 255, most[0] & 255], paper_share: most[1] * 4 / pixels.length,
  };
})
"""


class Browser:
    """A Chromium with one page open."""

    def __init__(self, profile):
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        if chromium is None:
            sys.exit("there is no chromium: run `make setup` first")
        to_read, self.to = os.pipe()
        self.of, to_write = os.pipe()
        command = ["sh", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "sh"]
        self.log = open(os.path.join(profile, "log"), "w+b")
        self.process = subprocess.Popen(
            [*command, chromium, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)
        os.close(to_read)
        os.close(to_write)
        self.number, self.session, self.buffer, self.events = 0, None, b"", []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def ask(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def read(self):
        while b"\0" not in self.buffer:
            more = os.read(self.of, 1 << 20)
            if not more:
                self.log.seek(0)
                raise RuntimeError("Chromium has ended: " + self.log.read().decode(errors="replace"))
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def wait_for(self, method):
        while True:
            for event in self.events:
                if event.get("method") == method:
                    return
            self.events.append(self.read())

    def go(self, url):
        self.events = []
        error = self.ask("Page.navigate", url=url).get("errorText")
        if error:
            raise RuntimeError(f"{url}: {error}")
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression):
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"]["value"]

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def roles(tree):
    """How many elements of each role a screen reader is told of."""
    counts = {}
    for node in tree:
        if not node.get("ignored"):
            role = node["role"]["value"]
            counts[role] = counts.get(role, 0) + 1
    return counts


def look(browser, url, view, screenshots):
    browser.ask("Emulation.setDeviceMetricsOverride", width=view["width"], height=view["height"], deviceScaleFactor=1,
                mobile=view["mobile"])
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": view["scheme"]}])
    browser.go(url)
    seen = browser.evaluate(MEASURE)
    seen["roles"] = roles(browser.ask("Accessibility.getFullAXTree")["nodes"])
    picture = browser.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
    pathlib.Path(screenshots, view["name"] + ".png").write_bytes(base64.b64decode(picture))
    events = list(browser.events)
    told = lambda method: [event["params"] for event in events if event.get("method") == method]
    seen["requests"] = [request["request"]["url"] for request in told("Network.requestWillBeSent")]
    seen["dialogs"] = [dialog["message"] for dialog in told("Page.javascriptDialogOpening")]
    seen["complaints"] = [entry["entry"]["text"] for entry in told("Log.entryAdded")]
    seen["reload_after_s"] = [when["delay"] for when in told("Page.frameScheduledNavigation")]
    browser.go("about:blank")
    seen["picture"] = browser.evaluate(f"({LOOK})({json.dumps(picture)})")
    return seen


def main():
    arguments = json.loads(sys.argv[1])
    signal.alarm(DEADLINE_S)
    with tempfile.TemporaryDirectory(prefix="zoogate-browser-", ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        try:
            for domain in ("Page", "Network", "Log", "Runtime", "Accessibility"):
                browser.ask(f"{domain}.enable")
            print(json.dumps({
                view["name"]: look(browser, arguments["url"], view, arguments["screenshots"])
                for view in arguments["views"]
            }))
        finally:
            browser.close()


main()
