"""The page in a real browser: scripts/test.sh browser.

What it looks like is for people to judge: PRESSBOX_SCREENSHOTS names a folder for the pictures.
"""

import base64
import copy
import io
import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from support import ROOT
from support.models import stated, with_byproducts

from pressbox.data.corpus import load_corpus
from pressbox.learning import evaluation
from pressbox.page import report
from pressbox.provenance.statement import Facts, Revision, SignedBy, Statement

# Only the image with the browser holds them. Without them no test has run: pytest fails (5).
webdriver = pytest.importorskip("selenium.webdriver", reason="run scripts/test.sh browser")
axe = pytest.importorskip("axe_core_python.base", reason="run scripts/test.sh browser")

from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

PHONE, DESKTOP = 390, 1280
BACKGROUNDS = {"light": "rgb(251, 250, 247)", "dark": "rgb(22, 22, 21)"}
EVIL = "<script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
UNBROKEN = "Taumatawhakatangihangakoauauotamateaturipukakapikimaungahoronukupokaiwhenuakitanatahu"


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium. The container is its sandbox, in which it has no right to make its own."""
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--user-data-dir=/tmp/browser",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    # What its own first page asked for is not ours.
    driver.get("about:blank")
    driver.get_log("browser"), driver.get_log("performance")
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def given(fit):
    """What the page of the embedded corpus's model is made of."""
    corpus = load_corpus()
    vectorizer = {
        "sublinear_tf": True,
        "ngram_range": (1, 2),
        "min_df": 2,
        "stop_words": "english",
    }
    # As train.py has it, but for C in the model that is replaced.
    estimator = {"solver": "lbfgs", "max_iter": 100, "tol": 0.1}
    models = [fit(corpus.train, vectorizer, {**estimator, "C": c}) for c in (1, 30)]
    answers = [evaluation.evaluate(model, corpus.test) for model in models]
    statements = [
        stated("sports", model.digest, corpus, metrics)
        for model, (metrics, _) in zip(models, answers, strict=True)
    ]
    signer = SignedBy(
        fingerprint="D4021E7D4529EC2E3058A92277DDEEAA3A5411D4",
        user_id="Pressbox Demo <demo@pressbox.example>",
        expires=None,
        demo=True,
        experiments_only=False,
    )
    code = Revision("3dda74b" + 33 * "0", dirty=True)
    facts = [
        replace(Facts.of(signer, Statement(statement), model.labels), code=code)
        for model, statement in zip(models, statements, strict=True)
    ]
    words = [
        report.strongest_words(model.vocabulary, model.coefficients, model.labels)
        for model in models
    ]
    return {
        "facts": facts[1],
        "statement": with_byproducts(statements[1], certificate=models[1].certificate).content,
        "parameters": models[1].parameters,
        "details": answers[1][1],
        "words": words[1],
        "previous": report.remembered(facts[0], answers[0][1], words[0]),
    }


@pytest.fixture(scope="session")
def hostile(given):
    """The same, in which whatever can be long is long, and whatever can be markup is markup."""
    order = [EVIL, UNBROKEN, *given["details"]["order"][2:]]
    names = dict(zip(given["details"]["order"], order, strict=True))
    details = copy.deepcopy(given["details"])
    details["order"] = order
    details["only_in_test"] = [order[-1]]
    details["labels"] = {names[label]: scores for label, scores in details["labels"].items()}
    details["mistakes"][0] |= {"text": EVIL, "label": EVIL, "predicted": UNBROKEN}
    details["mistakes"][1] |= {"text": UNBROKEN * 3, "label": UNBROKEN}
    words = {names[label]: terms for label, terms in given["words"].items()}
    words[EVIL] = [[EVIL, 2.0], [UNBROKEN, 1.0], *words[EVIL]]
    facts = replace(
        given["facts"],
        labels=order,
        source=UNBROKEN + EVIL,
        name=UNBROKEN[:80],
        signer=replace(given["facts"].signer, user_id=f"{UNBROKEN} {EVIL}"),
    )
    return {**given, "details": details, "facts": facts, "words": words}


def default(given):
    """The same as in a clone without a change, sealed on a day that is fixed."""
    facts = replace(
        given["facts"],
        code=replace(given["facts"].code, dirty=False),
        drift=[],
        sealed_at="2026-11-26T09:00:00Z",
        signer=replace(
            given["facts"].signer,
            user_id="Pressbox demo key (published, proves nothing) <demo@pressbox.example>",
        ),
    )
    return {**given, "facts": facts, "previous": None}


def made(facts, statement, parameters, details, words, previous):
    """The page of these."""
    statement = with_byproducts(statement, evaluation=details, replaced=previous)
    return report.page(facts, statement, parameters, words)


@pytest.fixture(scope="session")
def pages(given, hostile, tmp_path_factory):
    """Files, by name."""
    folder = tmp_path_factory.mktemp("pages")
    contents = {
        "sports": made(**given),
        "hostile": made(**hostile),
        "old": made(**{**given, "details": None, "previous": None}),
        "default": made(**default(given)),
    }
    for name, content in contents.items():
        (folder / f"{name}.html").write_text(content)
    return folder


@pytest.fixture
def show(browser, pages):
    """Open a page in a fresh state: show("sports", PHONE, "dark")."""

    def show(name="sports", width=DESKTOP, theme="light", media=""):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == PHONE},
        )
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"media": media, "features": [{"name": "prefers-color-scheme", "value": theme}]},
        )
        browser.get((pages / f"{name}.html").as_uri())
        eventually(browser, fresh)
        return browser

    return show


def eventually(browser, condition):
    # Another process of the browser keeps what is stored: a page that follows at once may miss it.
    WebDriverWait(browser, 10).until(condition)


def fresh(browser):
    """Whether the page shown is one for whom nothing was stored; else the next one is."""
    if browser.execute_script(
        "return localStorage.length || document.documentElement.dataset.theme"
    ):
        browser.execute_script("localStorage.clear()")
        browser.refresh()
        return False
    return True


def shows_when_opened_again(colour):
    def shows(browser):
        browser.refresh()
        return background(browser) == colour

    return shows


def background(browser):
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


def press(browser, element, key=Keys.ENTER):
    """Press a key on what the keyboard alone can reach."""
    for _ in range(200):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element == element:
            element.send_keys(key)
            return
    pytest.fail("the keyboard does not reach it")


@pytest.mark.parametrize("name", ["sports", "hostile", "old"])
def test_it_opens_without_a_complaint_or_a_request(name, show, browser, pages):
    browser.get_log("browser"), browser.get_log("performance")
    show(name)
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"]) for entry in browser.get_log("performance")]
    requests = {
        message["message"]["params"]["request"]["url"]
        for message in messages
        if message["message"]["method"] == "Network.requestWillBeSent"
    }
    assert requests == {(pages / f"{name}.html").as_uri()}


def test_markup_of_the_corpus_is_not_run(show):
    browser = show("hostile")
    assert browser.execute_script("return window.evil") is None
    assert browser.find_elements(By.TAG_NAME, "img") == []
    assert EVIL in [quote.text for quote in browser.find_elements(By.TAG_NAME, "blockquote")]


def test_its_policy_keeps_out_every_other_script(show, pages):
    page = (pages / "sports.html").read_text()
    (pages / "tampered.html").write_text(
        page.replace("</body>", "<script>window.evil = 1</script></body>")
    )
    browser = show("tampered")
    assert browser.execute_script("return window.evil") is None
    assert "Content Security Policy" in browser.get_log("browser")[0]["message"]


def column(browser, number):
    return [
        row.find_elements(By.CSS_SELECTOR, "th, td")[number].text
        for row in browser.find_elements(By.CSS_SELECTOR, "#sports tbody tr")
    ]


def sorts(browser):
    headers = browser.find_elements(By.CSS_SELECTOR, "#sports thead th")
    return [header.get_attribute("aria-sort") for header in headers]


@pytest.mark.parametrize("reach", [press, lambda browser, element: element.click()])
def test_the_table_sorts(reach, show):
    browser = show()
    sports, f1 = column(browser, 0), column(browser, 3)
    # The worst comes first.
    assert f1 == sorted(f1, key=float)
    assert sorts(browser) == [*[None] * 3, "ascending", *[None] * 2]
    buttons = browser.find_elements(By.CSS_SELECTOR, "#sports thead th button")
    names = ["Sport", "Precision", "Recall", "F1", "Tested", "Trained"]
    assert [button.text for button in buttons] == names

    reach(browser, buttons[3])
    assert sorts(browser)[3] == "descending"
    assert column(browser, 3) == sorted(f1, key=float, reverse=True)

    # 100% is more than 92%, though its first digit is not.
    reach(browser, buttons[1])
    assert sorts(browser) == [None, "ascending", *[None] * 4]
    shares = [int(text.rstrip("%")) for text in column(browser, 1)]
    assert shares == sorted(shares)
    assert shares[-1] == 100

    reach(browser, buttons[0])
    assert column(browser, 0) == sorted(sports) != sports


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("corner", [(0, 0), (1, 1)])
def test_a_header_cell_sorts_wherever_it_is_pressed(corner, width, show):
    browser = show(width=width)
    header = browser.find_elements(By.CSS_SELECTOR, "#sports thead th")[1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", header)
    place = browser.execute_script(
        """
        const box = arguments[0].getBoundingClientRect();
        return [box.left + 2 + arguments[1] * (box.width - 4),
            box.top + 2 + arguments[2] * (box.height - 4)]""",
        header,
        *corner,
    )
    browser.execute_script("document.elementFromPoint(...arguments[0]).click()", place)
    assert sorts(browser)[1] == "ascending"


ARROWS = """
return [...document.querySelectorAll("#sports thead th button")].map((button) =>
    ["::before", "::after"].map((part) => getComputedStyle(button, part).content)
        .join("").match(/[↕↑↓]/g)?.join(""))"""


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_an_arrow_says_how_a_column_is_sorted_or_that_it_can_be(width, show):
    browser = show(width=width)
    assert browser.execute_script(ARROWS) == list("↕↕↕↑↕↕")
    buttons = browser.find_elements(By.CSS_SELECTOR, "#sports thead th button")
    buttons[3].click()
    assert browser.execute_script(ARROWS) == list("↕↕↕↓↕↕")
    buttons[0].click()
    assert browser.execute_script(ARROWS) == list("↑↕↕↕↕↕")


def matrix(browser):
    """The box of the matrix, how far it is scrolled, what it hides, whether its edges fade."""
    box = browser.find_element(By.CSS_SELECTOR, "#confusion .wide")
    left, hidden, mask = browser.execute_script(
        "const box = arguments[0]; return [box.scrollLeft, box.scrollWidth - box.clientWidth,"
        "getComputedStyle(box).maskImage]",
        box,
    )
    hint = browser.find_element(By.CSS_SELECTOR, "#confusion .hint")
    return box, left, hidden, mask, hint.is_displayed()


def test_the_matrix_on_a_phone_shows_that_it_scrolls_and_the_keyboard_scrolls_it(show):
    browser = show(width=PHONE)
    box, left, hidden, mask, hinted = matrix(browser)
    assert left == 0 < 100 < hidden
    assert "gradient(to left" in mask
    assert hinted
    press(browser, box, Keys.ARROW_RIGHT)
    eventually(browser, lambda browser: matrix(browser)[1] > 0)
    eventually(browser, lambda browser: matrix(browser)[3].count("rgba(0, 0, 0, 0)") == 2)
    box.send_keys(Keys.END)
    browser.execute_script("arguments[0].scrollLeft = 9999", box)
    # At its end nothing more is to be seen but what is before.
    eventually(browser, lambda browser: "gradient(to right" in matrix(browser)[3])
    assert matrix(browser)[3].count("rgba(0, 0, 0, 0)") == 1


def test_a_matrix_that_fits_promises_nothing_more(show):
    _, _, hidden, mask, hinted = matrix(show(width=DESKTOP))
    assert (hidden, mask, hinted) == (0, "none", False)


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_theme_is_the_systems_until_it_is_switched_and_then_remembered(system, show):
    other = {"light": "dark", "dark": "light"}[system]
    browser = show(theme=system)
    assert background(browser) == BACKGROUNDS[system]
    switch = browser.find_element(By.ID, "theme")
    assert switch.get_attribute("aria-pressed") == str(system == "dark").lower()

    press(browser, switch, Keys.SPACE)
    assert background(browser) == BACKGROUNDS[other]
    assert switch.get_attribute("aria-pressed") == str(other == "dark").lower()

    eventually(browser, shows_when_opened_again(BACKGROUNDS[other]))
    browser.find_element(By.ID, "theme").click()
    assert background(browser) == BACKGROUNDS[system]


def test_each_copy_button_copies_its_value(show, given):
    browser = show()
    browser.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    facts = given["facts"]
    values = [facts.model_digest, facts.environment_digest, facts.data_digest]
    values += [facts.code.commit, facts.signer.fingerprint]
    buttons = browser.find_elements(By.CLASS_NAME, "copy")
    for button, value in zip(buttons, values, strict=True):
        press(browser, button)
        copied = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
        assert copied == value
        assert button.text == "Copied"
        said = browser.find_element(By.ID, "said")
        assert said.get_attribute("textContent") == "Copied"


def test_where_the_clipboard_is_denied_the_value_is_selected(show, given):
    browser = show()
    browser.execute_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    button = browser.find_element(By.CLASS_NAME, "copy")
    button.click()
    selected = browser.execute_script("return String(getSelection())")
    assert selected.strip() == given["facts"].model_digest
    assert button.text == "Selected"


@pytest.mark.parametrize("width", [320, PHONE, 768, DESKTOP])
@pytest.mark.parametrize("name", ["sports", "hostile", "old"])
def test_the_page_does_not_scroll_sideways(name, width, show):
    browser = show(name, width)
    assert browser.execute_script("return document.scrollingElement.scrollWidth") <= width


# Each line of text as [left, top, right, bottom, text, whether it is in a box that scrolls].
LINES = """
const lines = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || parent.closest("svg, .hidden")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
        if (box.width < 1) continue;
        const top = scrollY + box.top, shrink = box.height / 5;
        lines.push([box.left, top + shrink, box.right, top + box.height - shrink,
                    node.data.trim(), Boolean(parent.closest(".wide"))]);
    }
}
return lines;
"""


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("name", ["sports", "hostile"])
def test_no_text_lies_on_another_or_beyond_the_edge(name, width, show):
    lines = show(name, width).execute_script(LINES)
    assert len(lines) > 200
    beyond = [line for line in lines if not line[5] and (line[0] < 0 or line[2] > width)]
    assert beyond == []
    lines.sort(key=lambda line: line[1])
    for number, (left, _, right, bottom, *rest) in enumerate(lines):
        for other in lines[number + 1 :]:
            if other[1] >= bottom - 1:
                break
            assert other[0] >= right - 1 or other[2] <= left + 1, (rest, other)


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_tables_fit_without_being_scrolled(width, show):
    boxes = show("sports", width).execute_script("""
        return [...document.querySelectorAll(".wide")].filter((box) => box.querySelector("table"))
            .map((box) => [box.scrollWidth, box.clientWidth])""")
    assert len(boxes) == 2
    assert all(needs <= has for needs, has in boxes)


@pytest.mark.parametrize("name", ["sports", "hostile"])
def test_pictures_are_drawn_in_full(name, show):
    beyond = show(name).execute_script("""
        return [...document.querySelectorAll("svg.picture")].flatMap((svg) => {
            const frame = svg.getBoundingClientRect();
            return [...svg.querySelectorAll("text, path")].filter((part) => {
                const box = part.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1 ||
                    box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            }).map((part) => part.outerHTML);
        })""")
    assert beyond == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "width"), [("sports", PHONE), ("sports", DESKTOP), ("old", PHONE)]
)
def test_axe_finds_no_fault(name, width, theme, show):
    browser = show(name, width, theme)
    browser.execute_script(axe.AXE_SCRIPT)
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}
    assert [(rule["id"], rule["nodes"]) for rule in found["violations"]] == []


def luminance(colour):
    channels = [value / 255 for value in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def rgb(text):
    return [int(number) for number in re.findall(r"\d+", text)[:3]]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_can_be_read_on_the_colours_of_the_matrix(theme, show):
    browser = show(theme=theme)
    ink, *cells = browser.execute_script("""
        const style = (node) => getComputedStyle(node);
        const svg = document.querySelector("#confusion svg");
        return [style(svg.querySelector("text.fill-ink")).fill,
            ...[...svg.querySelectorAll(".fill-cell, .fill-miss")]
                .map((cell) => [style(cell).fill, Number(style(cell).opacity)])]""")
    paper = rgb(background(browser))
    assert len(cells) > 30
    for colour, opacity in cells:
        mixed = [opacity * c + (1 - opacity) * p for c, p in zip(rgb(colour), paper, strict=True)]
        assert contrast(rgb(ink), mixed) >= 4.5


def test_without_its_script_it_is_read_just_as_well(show, pages):
    page = (pages / "sports.html").read_text()
    # The policy lets no script in.
    plain, count = re.subn("script-src &#39;[^&]*&#39;", "script-src &#39;none&#39;", page)
    assert count == 1
    (pages / "plain.html").write_text(plain)
    browser = show("plain")
    assert not any(button.is_displayed() for button in browser.find_elements(By.TAG_NAME, "button"))
    headers = browser.find_elements(By.CSS_SELECTOR, "#sports thead th")
    names = ["Sport", "Precision", "Recall", "F1", "Tested", "Trained"]
    assert [header.text for header in headers] == names
    assert len(column(browser, 0)) == 14
    assert not browser.find_element(By.CLASS_NAME, "hint").is_displayed()
    assert show("plain", PHONE).find_element(By.CLASS_NAME, "hint").is_displayed()


def test_on_paper_it_is_light_and_whole_and_has_no_buttons(show, given, screenshots):
    browser = show(theme="dark")
    browser.find_element(By.ID, "theme").click()
    browser.find_element(By.ID, "theme").click()
    answer = browser.execute_cdp_cmd(
        "Page.printToPDF",
        {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True},
    )
    path = screenshots / "sports.pdf"
    path.write_bytes(base64.b64decode(answer["data"]))
    text = subprocess.run(
        ["pdftotext", "-layout", path, "-"], capture_output=True, check=True, text=True
    ).stdout
    assert given["facts"].model_digest in text
    assert "Copy" not in text
    assert "Dark theme" not in text
    assert all(label in text for label in given["facts"].labels)
    # The pages are cut at A4's width without its margins: nothing may be wider.
    browser = show(width=672, theme="dark", media="print")
    assert browser.execute_script("return document.scrollingElement.scrollWidth") <= 672
    assert background(browser) == "rgb(255, 255, 255)"


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory):
    named = os.environ.get("PRESSBOX_SCREENSHOTS")
    return Path(named) if named else tmp_path_factory.mktemp("screenshots")


def shot(browser, width, height):
    """The top of the page as a PNG."""
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    answer = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
    )
    return base64.b64decode(answer["data"])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_screenshot_is_taken_for_people_to_look_at(width, theme, show, screenshots):
    browser = show(width=width, theme=theme)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    content = shot(browser, width, height)
    (screenshots / f"sports-{width}-{theme}.png").write_bytes(content)
    # PNG says its size in its header.
    assert int.from_bytes(content[16:20]) == width
    assert int.from_bytes(content[20:24]) == height


# The headings of the first screen, which ends with the section on quality.
HEADINGS = """
return [...document.querySelectorAll("nav a, #quality h2, #quality dt")]
    .map((heading) => heading.textContent)"""


def test_the_picture_in_the_docs_has_the_headings_of_the_page(show, screenshots):
    """docs/page.png is the page.png that this leaves beside the other screenshots."""
    browser = show("default")
    headings = browser.execute_script(HEADINGS)
    height = browser.execute_script(
        "return Math.round(document.getElementById('quality').getBoundingClientRect().bottom)"
    )
    # Few colours, few bytes.
    picture = Image.open(io.BytesIO(shot(browser, DESKTOP, height))).convert("RGB").quantize(256)
    told = PngInfo()
    told.add_text("Headings", json.dumps(headings))
    path = screenshots / "page.png"
    picture.save(path, optimize=True, pnginfo=told)
    assert path.stat().st_size < 150_000
    with Image.open(ROOT / "docs" / "page.png") as kept:
        assert (kept.width, json.loads(kept.info["Headings"])) == (DESKTOP, headings), (
            "run scripts/test.sh browser, look at .cache/screenshots/page.png, copy it to docs/"
        )
