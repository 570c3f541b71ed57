"""``reports/report.html`` in a real Chromium, opened from disk with the network cut."""

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture
def report(chromium, judged):
    """Open the report in a browser of its own; what went wrong in it is in ``page.complaints``."""
    contexts = []

    def open_report(*, width=1100, height=800, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.asked = [], []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda said: page.complaints.append(said.text))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto((judged / "reports/report.html").as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()


WIDTHS = "[...document.images].map(picture => picture.complete && picture.naturalWidth)"
BORDER = "document.querySelector('.slider').style.getPropertyValue('--at')"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 830, 1100])
def test_it_opens_from_disk_complete_quiet_and_as_wide_as_the_screen(report, scheme, width):
    page = report(width=width, color_scheme=scheme)
    assert page.locator("img").count() == 2 * 4 + 4 + 3 + 1
    page.wait_for_function(f"{WIDTHS}.every(Boolean)")
    assert page.evaluate(OVERFLOW) == 0
    assert page.complaints == []
    assert all(address.startswith(("file:", "data:")) for address in page.asked)


def test_the_verdict_is_what_is_seen_first_on_a_phone(report):
    page = report(width=390, height=844)
    verdict = page.locator("h1")
    assert "too few photos to tell" in verdict.inner_text().lower()
    box = verdict.bounding_box()
    assert box["y"] + box["height"] < 844
    sizes = page.evaluate(
        "[...document.querySelectorAll('p, td, th, caption, figcaption, small, summary')]"
        ".map(part => parseFloat(getComputedStyle(part).fontSize))"
    )
    assert min(sizes) > 11


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper(report, scheme):
    page = report(color_scheme=scheme)
    colors = page.evaluate(
        "['body', '.soft', 'td small'].map(part => getComputedStyle(document.querySelector(part)).color)"
        ".concat(getComputedStyle(document.body).backgroundColor)"
    )
    *inks, paper = ([int(part) for part in color[4:-1].split(",")] for color in colors)

    def luminance(rgb):
        linear = [(v / 255 / 12.92) if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert (luminance(paper) > 0.5) == (scheme == "light")
    for ink in inks:  # WCAG 2, level AA
        darker, lighter = sorted((luminance(ink), luminance(paper)))
        assert (lighter + 0.05) / (darker + 0.05) > 4.5


def test_dragging_across_a_photo_moves_the_border_between_gray_and_colored(report):
    page = report()
    photo = page.locator(".slider .photos").first
    photo.scroll_into_view_if_needed()
    box = photo.bounding_box()
    before = photo.screenshot()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, middle, steps=5)
    page.mouse.up()
    page.wait_for_function(f"80 < parseFloat({BORDER}) && parseFloat({BORDER}) < 100")
    assert photo.screenshot() != before  # a screenshot waits for what is to be painted


def test_the_keyboard_moves_it_too(report):
    page = report()
    page.locator(".slider input").first.focus()
    page.keyboard.press("Home")
    page.wait_for_function(f"{BORDER} === '0%'")


def test_hostile_names_are_shown_and_do_nothing(report):
    page = report()
    assert page.title() == "Ungray: is this colorizer any good?"
    assert page.locator("td", has_text="onerror=").count() > 0
    assert page.locator("td.name", has_text="onerror=").count() > 0  # a photo's name, not its hash
    assert page.locator("img[src=x]").count() == 0


def test_the_words_it_speaks_in_are_told_where_they_are_first_used(report):
    page = report()
    text = page.locator("main").inner_text()
    assert text.index("how different two colors look") < text.index("Before and after")
    for figure in page.locator("th[scope=row]").all():
        assert figure.locator("small").text_content().strip()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(report, faults, width, scheme):
    page = report(width=width, color_scheme=scheme)
    page.wait_for_function(f"{WIDTHS}.every(Boolean)")
    assert faults(page) == []
    for folded in page.locator("summary").all():
        folded.click()
    assert faults(page) == []


SCROLLED = "document.activeElement.matches('.wide') ? document.activeElement.scrollLeft : -1"


def test_on_a_phone_what_is_wide_is_scrolled_by_key(report):
    page = report(width=390, height=844)
    table = page.get_by_role("region", name="What matters most")
    for _ in range(20):
        page.keyboard.press("Tab")
        if table.evaluate("table => table === document.activeElement"):
            break
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"{SCROLLED} > 0")
    page.set_viewport_size({"width": 1600, "height": 800})
    page.wait_for_function("!document.querySelector('.wide').hasAttribute('tabindex')")  # no stop any more


def test_what_is_folded_opens_by_mouse_and_by_key(report):
    page = report()
    folded = page.locator("summary", has_text="All other figures")
    row = page.get_by_text("95th percentile of pixels")
    assert not row.is_visible()
    folded.click()
    row.wait_for(state="visible")
    page.keyboard.press("Enter")
    row.wait_for(state="hidden")


def test_captions_stand_above_what_they_name(report):
    page = report()
    page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true; })")
    above = """[...document.querySelectorAll("figure")].map((figure) =>
        figure.querySelector("figcaption").getBoundingClientRect().bottom
        <= figure.querySelector("img").getBoundingClientRect().top)"""
    assert all(page.evaluate(above))


def test_on_paper_nothing_is_folded_also_where_no_script_runs(report):
    page = report(width=700, java_script_enabled=False)
    page.emulate_media(media="print")
    for name in ("All other figures", "The best by CIEDE2000", "How it was judged"):
        assert page.get_by_role("region", name=name, exact=True).is_visible()


def test_on_paper_nothing_is_folded_and_nothing_cut(report):
    page = report(width=700, color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".slider input").first.is_hidden()
    cut = "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert page.evaluate(cut) == 0
