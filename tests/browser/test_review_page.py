"""The review page in a real Chromium, as a person uses it."""

import re
import signal
import time

import pandas as pd
import pytest

from stages import files, tables

pytestmark = pytest.mark.browser

HOSTILE = """<img src=x onerror="document.title='injected'">'&amp;"""


def tile(page, number):
    """The tile at this place of the list, from 0."""
    return page.locator(f'article[data-index="{number}"]')


def pressed(page, number, kind):
    return tile(page, number).locator(f".{kind}").get_attribute("aria-pressed") == "true"


def active(page):
    return int(page.locator("article.active").get_attribute("data-index"))


def key(page, *keys):
    for name in keys:
        page.keyboard.press(name)


def until(true, what, seconds=8.0):
    """Wait until ``true()`` holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def decided(server, count):
    """Wait for so many rows in data/review.csv; return them."""
    until(lambda: len(server.decisions()) == count, f"{count} decisions, not {server.decisions()}")
    return server.decisions()


@pytest.mark.pipeline
def test_reject_three_undo_one_stop_the_server_and_dvc_repro_sees_two(clone, serve, tab):
    clone.set(scrape__sample_crops=2)
    clone.run("dvc", "repro", "filter")
    clone.commit("before")
    server = serve(clone.path, clone.environment)
    page = tab(server.address + "/?show=kept")

    tile(page, 0).locator(".reject").click()  # with the mouse
    decided(server, 1)
    tile(page, 1).locator(".photo").focus()
    key(page, "r")  # with the keyboard
    decided(server, 2)
    key(page, "ArrowRight", "Enter")
    page.locator("#large .reject").click()  # in the large view
    rejected = decided(server, 3)
    key(page, "Escape", "u")
    left = decided(server, 2)
    assert set(left) < set(rejected)
    page.locator("#waiting", has_text="2 not applied yet: run dvc repro").wait_for()

    code, said = server.stop()
    assert code == 0
    assert "2 decisions in data/review.csv; `dvc repro` applies them" in said
    assert clone.run("git", "status", "--porcelain").stdout == " M data/review.csv\n"

    clone.run("dvc", "repro", "filter")
    verdicts = pd.read_csv(clone.path / "data" / "verdicts.csv", dtype=str, keep_default_na=False)
    by_hand = verdicts[verdicts["check"] == "review"]
    assert set(by_hand["verdict"]) == {"rejected"}
    assert sorted(by_hand["sha256"]) == sorted(line.split(",")[0] for line in left)

    page = tab(serve(clone.path, clone.environment).address + "/?check=review")
    assert page.locator("article").count() == 2
    assert page.locator("#waiting").is_hidden()


def test_the_mouse_keeps_rejects_and_takes_back(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)
    tile(page, 1).locator(".keep").click()
    tile(page, 4).locator(".reject").click()
    assert sorted(line.split(",")[2] for line in decided(server, 2)) == ["keep", "reject"]
    until(lambda: pressed(page, 1, "keep") and pressed(page, 4, "reject"), "both shown as decided")
    assert tile(page, 4).locator(".badge").inner_text() == "rejected by hand"
    tile(page, 4).locator(".keep").click()  # changed one's mind
    until(lambda: all(line.split(",")[2] == "keep" for line in server.decisions()), "both kept")
    tile(page, 1).locator(".keep").click()  # the same again takes it back
    decided(server, 1)
    until(lambda: not pressed(page, 1, "keep"), "no longer kept by hand")
    page.locator("#counted", has_text="1 decided").wait_for()
    assert page.complaints == []


def test_the_keys_alone_are_enough(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)
    key(page, "ArrowRight", "ArrowRight", "r", "ArrowLeft", "k")
    decided(server, 2)
    until(lambda: pressed(page, 2, "reject") and pressed(page, 1, "keep"), "both shown as decided")
    key(page, "End")
    assert active(page) == 29
    key(page, "r")
    decided(server, 3)
    key(page, "Home", "ArrowDown")
    columns = active(page)
    assert 3 <= columns <= 8
    key(page, "ArrowUp")
    assert active(page) == 0
    key(page, "u", "u")  # the one at the end, then the one kept
    assert "reject" in decided(server, 1)[0]
    until(lambda: active(page) == 1, "undo shows what it undid")
    key(page, "u", "u", "u")
    decided(server, 0)
    assert page.locator("#undo").is_disabled()
    key(page, "?")
    assert page.locator("#guide").is_visible()
    assert "dvc repro" in page.locator("#guide").inner_text()
    key(page, "Escape")
    assert page.locator("#guide").is_hidden()


def test_up_and_down_reach_every_group(checkout, serve, tab):
    page = tab(serve(checkout).address)
    places = [active(page)]
    for _ in range(20):
        key(page, "ArrowDown")
        places.append(active(page))
    assert places == sorted(places)
    assert max(places) >= 20
    for _ in range(20):
        key(page, "ArrowUp")
    assert active(page) == 0


def test_a_photo_is_enlarged_with_its_measures_and_a_note(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)
    key(page, "ArrowRight", "Enter")
    large = page.locator("#large")
    assert large.is_visible()
    until(lambda: page.evaluate("document.querySelector('#large-photo').naturalWidth") > 0, "the photo")
    assert "width" in large.locator("#measures").inner_text()
    assert large.locator("#mates button").count() == 5
    page.keyboard.press("n")
    page.keyboard.type("krumm, ruk")  # k, r and u are letters here
    key(page, "Enter")
    assert server.decisions() == []
    key(page, "r")
    assert decided(server, 1)[0].endswith(',reject,"krumm, ruk"')
    key(page, "n", "End")
    page.keyboard.type("!")
    key(page, "Enter")
    until(lambda: server.decisions()[0].endswith('krumm, ruk!"'), "the note changed")
    key(page, "ArrowRight")
    page.locator("#place", has_text="3 of 30").wait_for()
    assert page.locator("#note").input_value() == ""
    key(page, "k", "Escape")
    decided(server, 2)
    assert large.is_hidden()
    assert active(page) == 2
    key(page, "u", "u", "u")
    decided(server, 0)


def test_a_note_half_typed_stays_with_its_photo(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)
    key(page, "Enter", "n")
    page.keyboard.type("draft")
    page.locator("#on").click()
    page.locator("#place", has_text="2 of 30").wait_for()
    assert page.locator("#note").input_value() == ""
    key(page, "r")
    assert decided(server, 1)[0].endswith(",reject,")
    page.locator("#back").click()
    page.locator("#place", has_text="1 of 30").wait_for()
    assert page.locator("#note").input_value() == "draft"
    page.locator("#large .reject").click()
    assert any(line.endswith(",reject,draft") for line in decided(server, 2))


def test_filters_say_how_many_and_show_that_many(checkout, serve, tab):
    page = tab(serve(checkout).address)

    def shown():
        return page.locator("article").count()

    page.locator("#show label", has_text=re.compile("^Rejected 9$")).click()
    until(lambda: shown() == 9, "nine rejected")
    page.locator("#check").select_option(label="gray (6)")
    until(lambda: shown() == 6, "six of them gray")
    page.locator("#query").select_option(label="cats (2)")
    until(lambda: shown() == 2, "two of them cats")
    page.reload()
    until(lambda: shown() == 2, "the same after a reload")
    page.locator("#check").select_option("*")
    page.locator("#query").select_option("*")
    page.locator("#by").select_option("check")
    until(lambda: page.locator("#grid h2").all_inner_texts() == ["gray 6", "near duplicate 3"], "two groups")
    page.locator("#show label", has_text="By hand").click()
    page.locator("#empty").wait_for()


def test_what_was_on_the_screen_counts_as_looked_at(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)

    def looked_at():
        return int(page.locator("#counted").inner_text().split()[0])

    until(lambda: looked_at() >= 4, "the first rows")
    first = looked_at()
    assert first < 30
    key(page, "End")
    until(lambda: looked_at() > first, "the last rows too")
    again = tab(server.address + "/?show=not_looked_at")
    until(lambda: again.locator("article").count() == 30 - looked_at(), "the rest")


def test_names_that_are_html_stay_text(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)
    headings = page.locator("#grid h2")
    assert any(HOSTILE in text for text in headings.all_inner_texts())
    page.locator("#query").select_option(f"={HOSTILE}")
    until(lambda: page.locator("article").count() == 10, "ten of the hostile query")
    key(page, "ArrowRight", "Enter", "n")
    page.keyboard.type(HOSTILE)
    key(page, "Enter", "r")
    decided(server, 1)
    assert HOSTILE in page.locator("#measures").inner_text()
    page.reload()
    page.wait_for_selector("article img[src]")
    key(page, "ArrowRight", "Enter")
    until(lambda: page.locator("#note").input_value() == HOSTILE, "the note, letter by letter")
    assert page.title() == "Review · Ungray"
    assert page.complaints == []


def test_nothing_is_asked_of_any_other_machine(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)
    key(page, "Enter", "ArrowRight", "Escape", "?")
    time.sleep(0.5)
    assert len(page.asked) > 10
    assert all(url.startswith(server.address + "/") for url in page.asked)
    assert page.complaints == []


def test_two_tabs_at_once_lose_nothing(checkout, serve, tab):
    server = serve(checkout)
    first, second = tab(server.address), tab(server.address)
    for number in range(5):
        tile(first, number).locator(".reject").click()
        tile(second, 9 - number).locator(".keep").click()
    assert sorted(line.split(",")[2] for line in decided(server, 10)) == ["keep"] * 5 + ["reject"] * 5
    # The other tab has thought better of it meanwhile: an undo here must not undo that.
    second.reload()
    second.wait_for_selector("article img[src]")
    first.locator("#undo", has_text="5").wait_for()
    tile(second, 4).locator(".keep").click()
    until(lambda: sum(",keep," in line for line in server.decisions()) == 6, "kept in the other tab")
    key(first, "u")
    first.locator("#trouble", has_text="decided anew elsewhere").wait_for()
    assert sum(",keep," in line for line in server.decisions()) == 6
    until(lambda: pressed(first, 4, "keep"), "this tab shows what stands")


def test_a_killed_server_has_lost_nothing_and_the_page_says_that_it_is_gone(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)
    tile(page, 1).locator(".reject").click()
    tile(page, 2).locator(".keep").click()
    decided(server, 2)
    server.stop(signal.SIGKILL)
    tile(page, 3).locator(".reject").click()
    page.locator("#trouble", has_text="The server does not answer").wait_for()
    assert not pressed(page, 3, "reject")
    again = tab(serve(checkout).address)
    assert pressed(again, 1, "reject")
    assert pressed(again, 2, "keep")
    assert not pressed(again, 3, "reject")


def test_undo_goes_on_after_a_reload(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)
    key(page, "r", "ArrowRight", "r")
    decided(server, 2)
    page.locator("#undo", has_text="2").wait_for()
    page.reload()
    page.wait_for_selector("article img[src]")
    page.locator("#undo").click()
    decided(server, 1)
    page.locator("#undo").click()
    decided(server, 0)


def test_new_verdicts_appear_while_the_page_is_open(checkout, serve, tab):
    server = serve(checkout)
    page = tab(server.address)
    path = checkout / "data" / "verdicts.csv"
    tables.write(tables.read(path, made_by="filter")[:12], path)
    tile(page, 0).locator(".keep").click()
    until(lambda: page.locator("article").count() == 12, "the new table")


def test_a_photo_that_cannot_be_read_says_so(checkout, serve, tab):
    path = checkout / "data" / "verdicts.csv"
    first = tables.read(path, made_by="filter").sort_values(["query", "file"])["file"].iloc[1]
    (checkout / "data" / "raw" / first).write_bytes(b"no photo")
    page = tab(serve(checkout).address)
    page.locator(".photo.broken").wait_for()
    assert page.locator(".photo.broken").count() == 1


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window_and_everything_has_a_name(checkout, serve, tab, width, scheme):
    page = tab(serve(checkout).address, width=width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    red, green, blue = map(
        int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))
    )
    assert red == green == blue  # neutral: colours are judged on it
    assert (red < 80) == (scheme == "dark")
    nameless = """[...document.querySelectorAll("button, input, select, img")].filter((e) =>
        !(e.getAttribute("aria-label") || e.querySelector("img")?.alt || e.textContent.trim()
          || e.labels?.length || e.alt || !e.checkVisibility())
    ).map((e) => e.outerHTML)"""
    assert page.evaluate(nameless) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    outlined = page.evaluate("""(() => { const shown = document.activeElement.matches("[type=radio]")
        ? document.activeElement.nextElementSibling : document.activeElement;
        return getComputedStyle(shown).outlineStyle; })()""")
    assert outlined == "solid"
    tile(page, 0).locator(".photo").click()
    assert page.evaluate("document.querySelector('#large').scrollWidth") <= width
    for name in ("Keep", "Reject", "← Previous", "Next →", "Close"):
        assert page.locator("#large").get_by_role("button", name=name, exact=True).is_visible()
    page.locator("#large").get_by_role("button", name="Reject", exact=True).click()
    page.locator("#large .reject[aria-pressed=true]").wait_for()


def test_ten_thousand_photos_are_there_in_two_seconds(checkout, serve, tab, crops):
    """Thirty photos stand for all; what is measured is the page, not decoding."""
    known = tables.read(checkout / "data" / "verdicts.csv", made_by="filter")
    rows = pd.concat([known] * 334, ignore_index=True)[:10_000]
    rows["query"] = [f"query {number % 41:02}" for number in range(len(rows))]
    rows["file"] = [f"{query}/{number:05}.png" for number, query in enumerate(rows["query"])]
    rows["sha256"] = [files.sha256(str(number).encode()) for number in range(len(rows))]
    for number, file in enumerate(rows["file"]):
        path = checkout / "data" / "raw" / file
        path.parent.mkdir(exist_ok=True)
        path.hardlink_to(checkout / "data" / "raw" / known["file"][number % 30])
    tables.write(rows, checkout / "data" / "verdicts.csv")
    server = serve(checkout)
    tab(server.address)  # the browser itself is warm
    times = []
    for count in (1, 2, 3):  # the best of three: other work on the machine is no fault of the page
        start = time.monotonic()
        page = tab(server.address)
        key(page, *["ArrowRight"] * count, "r")
        decided(server, count)
        times.append(time.monotonic() - start)
    took = min(times)
    assert took < 2, f"{took:.2f} s until a key was answered"
    assert page.locator("article").count() < 200
    key(page, "End")
    until(lambda: active(page) == 9_999, "the last photo")
    until(lambda: page.locator("article.active img").get_attribute("src"), "its picture")
    key(page, "k")
    decided(server, 4)
    for _ in range(60):  # through the whole list
        page.mouse.wheel(0, -9000)
        page.wait_for_timeout(20)
    assert page.locator("article").count() < 200
    until(lambda: tile(page, active(page)).count() == 1, "the active photo stays")
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    print(f"interactive after {took:.2f} s, heap {heap / 1e6:.0f} MB, {len(page.asked)} requests")
    assert heap < 60e6
