"""What must be in the pages of l4dump inspect --html, as a browser shows them.

Usage: browser.py CHROMIUM DIRECTORY HOSTILE

DIRECTORY holds the pages that browser_test.go wrote, HOSTILE is the text in hostile.html, in base64.
"""

import base64
import sys
import time

from playwright.sync_api import expect, sync_playwright

chromium, directory, hostile = sys.argv[1], sys.argv[2], base64.b64decode(sys.argv[3]).decode()


def check(page, name):
    """Opens a page."""
    page.goto(f"file://{directory}/{name}.html")
    expect(page.locator("html")).to_have_attribute("data-ready", "true", timeout=60_000)


def mixed(page):
    check(page, "mixed")
    expect(page.locator("#title")).to_have_text("mixed.log")
    expect(page.locator("#facts")).to_contain_text("400 connections")
    expect(page.locator("#count")).to_have_text("400 connections")
    expect(page.locator("#states")).to_contain_text("broken 10")
    expect(page.locator("#detail")).to_contain_text("limit: capture.max_bytes_per_second, capture.max_lines_per_second")
    expect(page.locator("#detail")).to_contain_text("25.0 % of the connections that the recorders numbered: 400 of 1597")

    # Search in payload: it finds, marks and opens.
    page.keyboard.press("/")
    page.keyboard.type("orders/145?page=0")
    expect(page.locator("#count")).to_have_text("1 of 400 connections")
    page.keyboard.press("Enter")
    turns = page.locator(".turn")
    expect(turns.first.locator("h3")).to_contain_text("client")
    expect(turns.nth(1).locator("h3")).to_contain_text("service")
    expect(turns.first.locator(".hex")).to_contain_text("47 45 54 20 2f 6f 72 64  65 72 73 2f 31 34 35 3f")
    expect(turns.first.locator(".text")).to_contain_text("GET /orders/145?")
    expect(turns.first.locator(".text mark").first).to_have_text("orders/145?\npage=0")
    expect(page.locator(".facts")).to_contain_text("10.0.9.9:8080")
    page.keyboard.press("Escape")  # which empties the field
    expect(page.locator("#count")).to_have_text("400 connections")
    page.keyboard.press("Escape")  # which leaves it
    page.keyboard.press("Escape")  # which closes the connection
    expect(page.locator(".turn")).to_have_count(0)

    # Search for bytes in hex, by a regular expression, in names, and for what is not there.
    for query, count in (
        ("0x2a 32 0d 0a", "40 of 400 connections"),
        ("0x2A320D0A", "40 of 400 connections"),
        ("/orders\\/1[45]5\\?/", "2 of 400 connections"),
        ("sa/orders", "39 of 400 connections"),
        ("mysql", "40 of 400 connections"),
        ("ORDERS/145?", "1 of 400 connections"),
        ("not there", "0 of 400 connections"),
    ):
        page.fill("#search", query)
        expect(page.locator("#count")).to_have_text(count)
    page.fill("#search", "/(/")
    expect(page.locator("#search")).to_have_class("bad")
    page.fill("#search", "")
    expect(page.locator("#count")).to_have_text("400 connections")

    # By completeness, and why.
    page.click("#states button[data-state=prefix]")
    expect(page.locator("#count")).to_have_text("38 of 400 connections")
    page.locator(".row").first.click()
    expect(page.locator(".note.bad").last).to_contain_text("9f0c6a1be3d2a417-")
    page.click("#states button[data-state=prefix]")

    # Sorting, both ways.
    page.click("#head button[title='Sort by service sent']")
    largest = page.locator(".row").first.get_attribute("id")
    expect(page.locator("#head button[title='Sort by service sent']")).to_have_attribute("aria-sort", "descending")
    page.click("#head button[title='Sort by service sent']")
    expect(page.locator("#head button[title='Sort by service sent']")).to_have_attribute("aria-sort", "ascending")
    assert page.locator(".row").first.get_attribute("id") != largest
    page.focus("#body")
    page.keyboard.press("End")
    expect(page.locator(f"#{largest}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")
    expect(page.locator(f"#{largest}")).to_have_attribute("aria-selected", "false")

    # A group filters; a range of time does.
    page.keyboard.press("Escape")
    page.locator(".panel button", has_text="Redis").click()
    expect(page.locator("#count")).to_have_text("40 of 400 connections")
    page.locator("#chips button").click()
    box = page.locator("#chart").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 50, steps=4)
    expect(page.locator("#tip")).to_contain_text("2026-11-23 01:24:")
    page.mouse.up()
    expect(page.locator("#count")).to_have_text("80 of 400 connections")
    page.locator("#chips button").click()
    expect(page.locator("#count")).to_have_text("400 connections")


def fits(page):
    """Nothing of the list or of the hex view is cut, at common widths."""
    check(page, "fits")
    page.locator(".row").first.click()
    size = page.viewport_size
    for width in (1280, 1366, 1440, 1600, 1920):
        page.set_viewport_size({"width": width, "height": size["height"]})
        cut = page.evaluate(
            """() => {
              const cut = [], edge = (e) => e.getBoundingClientRect().right;
              const wide = (e, name) => e.scrollWidth > e.clientWidth && cut.push(`${name} ${e.textContent}: ${e.scrollWidth} in ${e.clientWidth}`);
              for (const e of document.querySelectorAll("#head > *")) wide(e, "head");
              for (const row of document.querySelectorAll(".row")) {
                for (const e of row.querySelectorAll(".num, .client, .client > *, .faint")) wide(e, "cell");
                if (edge(row.lastChild) > edge(row)) cut.push("the row ends before its last column");
              }
              for (const e of document.querySelectorAll(".bytes")) wide(e, "bytes");
              if (edge(document.querySelector("#head").lastChild) > edge(document.querySelector("#list"))) cut.push("the head's last column");
              return cut;
            }"""
        )
        assert not cut, (width, cut[:4])
    page.set_viewport_size({"width": 1000, "height": size["height"]})
    for row in page.locator(".row").all():
        port = row.locator(".client > :last-child")
        assert port.evaluate("e => e.scrollWidth <= e.clientWidth && e.textContent.length > 1"), row.text_content()


def every_byte(page):
    check(page, "bytes")
    page.focus("#body")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    client, service = page.locator(".turn").nth(0), page.locator(".turn").nth(1)
    rows = [" ".join(f"{b:02x}" for b in range(n, n + 8)) + "  " + " ".join(f"{b:02x}" for b in range(n + 8, n + 16)) for n in range(0, 256, 16)]
    assert client.locator(".hex").text_content() == "\n".join(rows) + "\n", client.locator(".hex").text_content()
    plain = "".join(chr(b) if 0x20 <= b < 0x7F else "·" for b in range(256))
    assert client.locator(".text").text_content() == "".join(plain[n : n + 16] + "\n" for n in range(0, 256, 16))
    assert client.locator("pre").first.text_content() == "".join(f"{n:08x}\n" for n in range(0, 256, 16))
    page.keyboard.press("t")
    expect(service.locator("pre")).to_have_text("grüß dich")
    expect(page.locator("#detail")).to_contain_text("the recorder dropped 9 bytes of upstream: budget 9")
    expect(page.locator("#detail")).to_contain_text("Closed by the proxy.")
    page.keyboard.press("t")
    expect(client.locator(".hex")).to_be_visible()


def inert(page):
    check(page, "hostile")
    page.locator(".row").first.click()
    expect(page.locator(".turn").first).to_be_visible()
    page.keyboard.press("t")
    expect(page.locator(".turn pre").first).to_contain_text("</script><script>document.title='owned'</script><img src=x")
    expect(page.locator(".facts")).to_contain_text(hostile[:80])
    page.fill("#search", "<img src=x")
    expect(page.locator("mark").first).to_have_text("<img src=x")
    page.keyboard.press("Escape")
    assert page.title() == "hostile.log · l4dump", page.title()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2


def many(page):
    start = time.monotonic()
    check(page, "many")
    print(f"10000 connections: shown after {time.monotonic() - start:.2f} s")
    expect(page.locator("#count")).to_have_text("10,000 connections")
    nodes = page.evaluate("document.querySelectorAll('*').length")
    rows = page.locator(".row").count()
    print(f"{nodes} nodes, {rows} rows")
    assert nodes < 2000 and 10 < rows < 100
    page.evaluate("document.getElementById('body').scrollTop = 5000 * 26")
    expect(page.locator(".row[aria-posinset='5001']")).to_be_visible()
    assert page.locator(".row").count() < 100
    page.focus("#body")
    page.keyboard.press("End")
    expect(page.locator(".row[aria-posinset='10000']")).to_have_attribute("aria-selected", "true")
    frame = page.evaluate(
        """async () => {
          const body = document.getElementById("body"), start = performance.now();
          for (let i = 0; i < 40; i++) { body.scrollTop = i * 6000; await new Promise(requestAnimationFrame); }
          return (performance.now() - start) / 40;
        }"""
    )
    print(f"a scroll takes {frame:.0f} ms")
    start = time.monotonic()
    page.fill("#search", "orders/9876?page=0")
    expect(page.locator("#count")).to_have_text("1 of 10,000 connections")
    print(f"a search of all payload takes {time.monotonic() - start:.2f} s")
    expect(page.locator("#left")).to_contain_text("only the first bytes are in this page, and searched")
    page.keyboard.press("Enter")
    expect(page.locator(".turn").first).to_be_visible()


def empty(page):
    check(page, "empty")
    expect(page.locator("#count")).to_have_text("0 connections")
    for key in ("ArrowDown", "Enter", "n", "t", "Escape"):
        page.keyboard.press(key)


with sync_playwright() as playwright:
    # Without the sandbox, which a container's root may not use: nothing but our own pages is opened.
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for scheme, size in (("light", (1440, 900)), ("dark", (1280, 720))):
        for test in (mixed, fits, every_byte, inert, many, empty):
            context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
            page = context.new_page()
            problems = []
            page.on("console", lambda message: problems.append(message.text))
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("dialog", lambda dialog: problems.append(dialog.message))
            page.on("request", lambda request: request.url.startswith("file:") or problems.append(request.url))
            test(page)
            assert not problems, problems
            context.close()
            print(f"{scheme}: {test.__name__} passed")
    browser.close()
print("all checks passed")
