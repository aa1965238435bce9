"""The page of `agentkit view` in a real browser, over LangGraph's development server."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from agentkit.serving import development_server, view_app
from tests.support.browser import browsing
from tests.support.mcp_servers import serving

APP = Path(__file__).parent / "support" / "viewed_app"
QUESTION = "How long may I keep a book?"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

pytestmark = [pytest.mark.studio, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewed") / "app"
    shutil.copytree(APP, folder)
    os.mkfifo(folder / "gate")
    return folder


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(browser, folder):
    environment = {**os.environ, "VIEWED_APP_FOLDER": str(folder)}
    with (
        development_server(folder / "langgraph.json", environment=environment) as server,
        serving(view_app(server)) as port,
    ):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def tab(browser, address):
    """A new window, on which nothing may go wrong and which may call nothing but the page."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme="light")
    context.set_default_timeout(15_000)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda sent: sent.url.startswith(address) or wrong.append(sent.url))
    yield page
    assert page.title() == "agentkit view"
    context.close()
    assert wrong == []


@pytest.fixture
def show(tab, address):
    """Opens the page at a graph."""

    def show(graph):
        tab.goto(f"{address}/#{graph}")
        tab.reload()
        tab.locator("#send:enabled").wait_for()
        return tab

    return show


def ask(page, question):
    page.get_by_role("textbox", name="Question").fill(question)
    page.keyboard.press("Enter")


def answered(page, answer):
    page.locator("#turns .answer").filter(has_text=answer).wait_for()
    page.locator("#send:enabled").wait_for()


def step(page, name):
    return page.locator("#steps li").filter(has=page.get_by_text(name, exact=True))


def node(page, name):
    return page.locator(f'#drawing [data-node="{name}"]')


def test_an_answer_leads_to_the_words_of_the_document_that_it_cites(show):
    page = show("library")
    ask(page, QUESTION)
    answered(page, "Books may be kept for four weeks 1.")
    page.get_by_role("button", name="Show source 1").click()
    source = page.locator('[data-source="1"]')
    assert source.locator("summary").evaluate("it => it === document.activeElement")
    assert source.get_by_role("link").get_attribute("href") == "https://library.example/loans"
    marked = source.locator("mark").all_inner_texts()
    assert " ".join(marked) == "Books may be kept for four weeks"
    page.get_by_text("1 other document, not cited").wait_for()


def test_a_routers_answer_leads_to_what_each_route_stands_on(show):
    page = show("door")
    ask(page, "What is the dearest, and how long may I keep a book?")
    answered(page, "The dearest cost 1.5 1; books are for a month 2.")
    prices, rules = (
        page.get_by_role("region", name=f"Route {name}") for name in ("prices", "rules")
    )
    page.get_by_role("button", name="Show source 1").click()
    query = prices.get_by_label("Query", exact=True)
    assert query.evaluate("it => it === document.activeElement")
    assert query.inner_text() == "1SELECT MAX(price) AS price FROM sale"
    assert prices.locator("td").all_inner_texts() == ["1.5"]
    page.get_by_role("button", name="Show source 2").click()
    assert page.locator(":focus").inner_text() == "2Loans"
    assert "four weeks" in " ".join(rules.locator("mark").all_inner_texts())
    # the steps of a route stand behind it
    names = page.locator("#steps li .name").all_inner_texts()
    after = names.index("rules")
    assert names[after + 1 : after + 5] == ["read_question", "retrieve_question", "fuse", "answer"]


def test_a_reply_leads_to_what_is_remembered(show):
    page = show("diary")
    page.get_by_role("tab", name="Settings").click()
    page.get_by_role("textbox", name="user", exact=True).fill("somebody")
    ask(page, "My cat is called Minka.")
    answered(page, "It is Minka")
    page.get_by_role("button", name="New").click()
    ask(page, "What is my cat called?")
    answered(page, "It is Minka m1.")
    page.get_by_role("button", name="Show source m1").click()
    assert "My cat is called Minka." in page.locator(":focus").inner_text()


def test_each_step_shows_its_input_output_prompt_tokens_and_seconds(show):
    page = show("library")
    ask(page, QUESTION)
    answered(page, "four weeks")
    assert re.fullmatch(
        r"4 steps · 1 model call · \d+ \+ \d+ tokens · \d+\.\d\d s",
        page.locator("#totals").inner_text(),
    )
    answer = step(page, "answer")
    assert re.search(r"\d+ \+ \d+ tokens · \d+\.\d\d s", answer.inner_text())
    answer.locator("summary").first.click()
    answer.get_by_text("Input", exact=True).click()
    answer.get_by_text(QUESTION).first.wait_for()
    answer.get_by_text("Prompt rag.answer").click()
    answer.locator(".message").last.wait_for()
    assert (
        "Answer the question from the documents alone"
        in answer.locator(".message").first.inner_text()
    )
    assert "four weeks [1]" in answer.locator(".message").last.inner_text()
    answer.get_by_text("Output", exact=True).click()
    output = answer.locator("details:has(> summary:text-is('Output'))")
    output.get_by_text("citations", exact=True).wait_for()


def test_each_step_and_its_node_say_what_they_do(show):
    page = show("library")
    told = "Answer from the documents, or say that they hold no answer."
    assert node(page, "answer").locator("title").text_content() == f"answer: {told}"
    ask(page, QUESTION)
    answered(page, "four weeks")
    step(page, "answer").locator("summary").first.click()
    step(page, "answer").get_by_text(told).wait_for()


def test_the_running_node_is_lit_until_it_is_done(show, folder):
    page = show("slow")
    ask(page, "What does the gate say?")
    waiting = node(page, "wait_for_the_gate")
    page.locator('#drawing [data-state="running"]').wait_for()
    assert waiting.get_attribute("aria-label") == "wait_for_the_gate, running"
    assert page.get_by_role("button", name="Stop").is_visible()
    (folder / "gate").write_text("open")
    answered(page, "The gate said open.")
    assert waiting.get_attribute("data-state") == "done"


def test_a_run_can_be_stopped(show, folder):
    page = show("slow")
    ask(page, "What does the gate say?")
    page.locator('#drawing [data-state="running"]').wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("#send:enabled").wait_for()
    assert node(page, "wait_for_the_gate").get_attribute("data-state") == "stopped"
    assert page.locator("#turns .answer").inner_text().strip() == ""
    (folder / "gate").write_text("late")  # lets the thread that reads it end


def test_a_query_is_approved_and_its_rows_are_a_table(show):
    page = show("shop")
    ask(page, "What was sold?")
    page.get_by_role("heading", name="May this query run?").wait_for()
    assert node(page, "approve_query").get_attribute("data-state") == "waiting"
    page.get_by_role("button", name="Approve", exact=True).click()
    answered(page, "Pens, mostly.")
    names = page.locator("#steps li .name").all_inner_texts()
    assert names[0] == "read_question"  # what led to the question is still there
    assert names[-3:] == ["approve_query", "run_query", "answer"]
    assert names.count("approve_query") == 1
    table = page.get_by_role("region", name="Rows", exact=True).get_by_role("table")
    assert table.locator("th").all_inner_texts() == ["id", "item", "price"]
    assert table.locator("tbody tr").count() == 100
    page.get_by_role("button", name="Show all 120 rows").click()
    assert table.locator("tbody tr").count() == 120
    assert table.locator("tbody tr").nth(1).locator("td").all_inner_texts() == ["2", "pen", "1.5"]
    assert "SELECT id, item, price FROM sale" in page.get_by_label("Query", exact=True).inner_text()


def test_a_query_runs_as_a_person_edited_it(show):
    page = show("shop")
    ask(page, "What was sold?")
    page.get_by_label("Query – change it").fill("SELECT COUNT(*) AS sales FROM sale")
    page.get_by_role("button", name="Run as edited").click()
    answered(page, "Pens, mostly.")
    assert page.locator("td").all_inner_texts() == ["120"]


def test_an_edit_that_would_write_is_asked_about_again(show):
    page = show("shop")
    ask(page, "What was sold?")
    page.get_by_label("Query – change it").fill("DELETE FROM sale")
    page.get_by_role("button", name="Run as edited").click()
    page.locator(".approval .problem").filter(has_text=re.compile("delete", re.I)).wait_for()
    page.get_by_label("Why not").fill("Not today.")
    page.get_by_role("button", name="Reject").click()
    answered(page, "The query was declined, so there is no answer. Not today.")


def test_a_call_of_a_tool_is_approved(show):
    page = show("desk")
    ask(page, "Book room 3 at 10.")
    page.get_by_role("heading", name="May book_room be called?").wait_for()
    page.get_by_role("button", name="Approve", exact=True).click()
    answered(page, "Room 3 is booked for 10:00.")


def test_a_call_of_a_tool_is_edited_once_its_arguments_can_be_read(show):
    page = show("desk")
    ask(page, "Book room 3 at 10.")
    arguments = page.get_by_label("Arguments – change it")
    arguments.fill('{"room": "4", "hour": 11')
    page.get_by_role("button", name="Run as edited").click()
    page.get_by_text("Arguments cannot be read").wait_for()
    arguments.fill('{"room": "4", "hour": 11}')
    page.get_by_role("button", name="Run as edited").click()
    answered(page, "Room 4 is booked for 11:00.")


def test_who_approves_a_call_is_told_of_characters_that_are_not_seen(show):
    page = show("desk")
    ask(page, "Book room 3 at 10.")
    page.get_by_role("heading", name="May book_room be called?").wait_for()
    assert page.get_by_text("What you see may not be what runs").count() == 0
    page.get_by_label("Why not").fill("No.")
    page.get_by_role("button", name="Reject").click()
    answered(page, "No.")
    page.get_by_role("button", name="New").click()
    ask(page, "Book room 3 at 10 slyly.")
    told = page.locator(".approval .problem").filter(has_text="What you see may not be what runs")
    told.wait_for()
    assert told.inner_text().endswith("(U+202E, U+200B).")


def test_a_call_that_is_rejected_is_not_made(show):
    page = show("desk")
    ask(page, "Book room 3 at 10.")
    page.get_by_label("Why not").fill("It is taken.")
    page.get_by_role("button", name="Reject").click()
    answered(page, "It is taken.")


def test_what_a_run_waits_for_is_asked_again_after_the_page_was_left(show):
    page = show("poll")
    ask(page, "How many are there?")
    page.get_by_role("heading", name="The run waits for an answer").wait_for()
    page.reload()
    page.locator("#thread-list button").first.click()
    page.get_by_role("textbox", name="Answer").fill("41")
    page.get_by_role("button", name="Answer").click()
    answered(page, "It is 42.")


def test_strangers_text_is_only_ever_text(show):
    page = show("library")
    ask(page, "What is rude?")
    answered(page, HOSTILE)
    source = page.locator('[data-source="1"]')
    assert HOSTILE in source.inner_text()
    assert source.get_by_role("link").count() == 0  # javascript: is no address of the web
    step(page, "answer").locator("summary").first.click()
    for summary in step(page, "answer").locator("details details summary").all():
        summary.click()
    assert page.locator("main img, main script").count() == 0
    page = show("shop")
    ask(page, "What was sold?")
    page.get_by_role("button", name="Approve", exact=True).click()
    answered(page, "Pens")
    assert page.locator("td").nth(1).inner_text() == HOSTILE
    assert page.locator("main img, main script").count() == 0


def test_a_failure_is_told_and_its_node_shown(show):
    page = show("broken")
    ask(page, "Can it be done?")
    page.get_by_role("alert").filter(has_text="It cannot be done").wait_for()
    assert node(page, "fail").get_attribute("data-state") in ("failed", "stopped")
    assert page.locator("main img").count() == 0


def test_a_setting_holds_for_the_next_run_and_a_wrong_one_is_told(show):
    page = show("library")
    page.get_by_role("tab", name="Settings").click()
    page.get_by_role("spinbutton", name="k", exact=True).fill("1")
    page.get_by_role("tab", name="Settings (1 changed)").wait_for()
    ask(page, QUESTION)
    answered(page, "four weeks")
    assert page.locator("[data-source]").count() == 1
    assert page.get_by_text("not cited").count() == 0
    page.get_by_role("spinbutton", name="k", exact=True).fill("0")
    ask(page, QUESTION)
    page.get_by_role("alert").filter(has_text="The setting k is an integer (1 to 100).").wait_for()


def test_a_prompt_is_changed_from_the_step_that_used_it(show):
    page = show("library")
    ask(page, QUESTION)
    answered(page, "four weeks")
    step(page, "answer").locator("summary").first.click()
    page.get_by_text("Prompt rag.answer").click()
    page.get_by_role("button", name="Change this prompt").first.click()
    prompt = page.get_by_role("textbox", name="rag.answer")
    assert prompt.input_value().startswith("Answer the question from the documents alone")
    prompt.fill("Always answer in one word, and cite.")
    page.get_by_role("button", name="New").click()
    ask(page, QUESTION)
    answered(page, "Weeks")


def test_a_prompt_is_edited_in_place_among_the_settings(show):
    page = show("library")
    page.get_by_role("tab", name="Settings").click()
    page.locator("#settings").get_by_text("rag.answer", exact=True).click()
    prompt = page.get_by_role("textbox", name="rag.answer")
    own = prompt.input_value()
    assert own.startswith("Answer the question from the documents alone")
    prompt.fill("Always answer in one word, and cite.")
    page.get_by_role("tab", name="Settings (1 changed)").wait_for()
    ask(page, QUESTION)
    answered(page, "Weeks")
    page.get_by_role("button", name="Use the graph's own").click()
    assert prompt.input_value() == own
    page.get_by_role("button", name="New").click()
    ask(page, QUESTION)
    answered(page, "Books may be kept for four weeks")


def test_a_conversation_is_found_again_and_run_again_from_an_earlier_state(show):
    page = show("library")
    ask(page, QUESTION)
    answered(page, "four weeks")
    page.reload()
    page.locator("#thread-list button").first.click()
    answered(page, "Books may be kept for four weeks 1.")
    assert page.locator("#turns .question").all_inner_texts() == [QUESTION]
    page.get_by_role("tab", name="History").click()
    before = page.locator("#history li").filter(has_text="before answer")
    states = page.locator("#history li").count()
    before.get_by_role("button", name="Run again from here").click()
    page.get_by_role("tab", name="Graph").click()
    step(page, "answer").wait_for()
    answered(page, "Books may be kept for four weeks 1.")
    assert page.locator("#steps li").count() == 1
    page.get_by_role("tab", name="History").click()
    page.locator("#history li").nth(states).wait_for()  # the fork has added to them


def state(page, before):
    """The newest state of the history that is before a step."""
    page.get_by_role("tab", name="History").click()
    return page.locator("#history li").filter(has_text=f"before {before}").first


def edit(item, changed):
    """Opens a state to be edited, and changes its values."""
    item.get_by_role("button", name="Edit this state").click()
    field = item.get_by_role("textbox", name="The state, as JSON")
    values = json.loads(field.input_value())
    field.fill(json.dumps({**values, **changed(values)}))


def test_an_earlier_state_is_edited_before_it_is_run_again(show):
    page = show("shop")
    ask(page, "What was sold?")
    page.get_by_role("button", name="Approve", exact=True).click()
    answered(page, "Pens, mostly.")
    edited = "SELECT COUNT(*) AS sales FROM sale"
    item = state(page, "run_query")
    states = page.locator("#history li").count()
    edit(item, lambda values: {"pending": [edited], "tried": []})
    item.get_by_role("button", name="Run from the edited state").click()
    page.locator("td", has_text=re.compile("^120$")).wait_for()
    answered(page, "Pens, mostly.")
    page.locator("#history li").nth(states).wait_for()
    assert page.locator("#turns .question").all_inner_texts() == ["What was sold?"]
    assert page.get_by_label("Query", exact=True).inner_text() == edited
    # `attempts` adds to what was there, unless it is told to be replaced
    item = state(page, "answer")
    states = page.locator("#history li").count()
    edit(item, lambda values: {"attempts": [], "rows": [[7]]})
    item.get_by_role("button", name="Run from the edited state").click()
    page.locator("td", has_text=re.compile("^7$")).wait_for()
    answered(page, "Pens, mostly.")
    page.locator("#history li").nth(states).wait_for()
    newest = page.locator("#history li").first
    newest.get_by_text("State", exact=True).click()
    attempts = newest.locator("dt:text-is('attempts') + dd")
    attempts.filter(has_text=re.compile("^empty$")).wait_for()


def test_a_question_is_edited_and_the_conversation_is_what_it_was_until_then(show):
    page = show("library")
    ask(page, QUESTION)
    answered(page, "four weeks")
    ask(page, "What is rude?")
    page.locator("#turns .question").nth(1).wait_for()
    page.locator("#send:enabled").wait_for()
    page.get_by_role("tab", name="History").click()
    item = page.locator("#history li").filter(has_text="before retrieve_question").last
    changed = "May I keep a book?"

    def reworded(values):
        (message,) = values["messages"]
        return {"messages": [{**message, "content": changed}], "searched": changed}

    edit(item, reworded)
    item.get_by_role("button", name="Run from the edited state").click()
    page.get_by_text(changed, exact=True).first.wait_for()
    answered(page, "four weeks")
    assert page.locator("#turns .question").all_inner_texts() == [changed]


def test_a_state_is_edited_with_the_keyboard_alone_and_what_is_no_json_is_told(show):
    page = show("library")
    ask(page, QUESTION)
    answered(page, "four weeks")
    item = state(page, "answer")
    item.get_by_role("button", name="Edit this state").focus()
    page.keyboard.press("Enter")
    field = item.get_by_role("textbox", name="The state, as JSON")
    assert field.evaluate("it => it === document.activeElement")
    page.keyboard.press("Escape")
    assert page.locator(":focus").inner_text() == "Edit this state"
    assert not field.is_visible()
    page.keyboard.press("Enter")
    for wrong, told in [
        ('{"documents": [', "This is no JSON: "),
        ("[]", "A state is a JSON object, with a value for each name."),
    ]:
        field.fill(wrong)
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Run from the edited state"
        page.keyboard.press("Enter")
        item.get_by_role("alert").filter(has_text=told).wait_for()
    assert page.locator("#turns .question").count() == 1


def test_the_page_is_used_with_the_keyboard_alone(show):
    page = show("library")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the question"
    page.keyboard.press("Enter")
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    answered(page, "four weeks")
    page.get_by_role("tab", name="Graph").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(":focus").get_attribute("id") == "tab-settings"
    assert page.get_by_role("tabpanel", name="Settings").is_visible()
    page.keyboard.press("ArrowLeft")
    node(page, "answer").focus()
    page.keyboard.press("Enter")
    assert step(page, "answer").locator("details").first.get_attribute("open") is not None
    assert page.locator(":focus").inner_text().startswith("✓")


def test_a_screen_reader_is_told_what_happens_and_every_control_has_a_name(show):
    page = show("shop")
    ask(page, "What was sold?")
    page.get_by_role("status").filter(has_text="The run waits for you.").wait_for()
    page.get_by_role("button", name="Approve", exact=True).click()
    answered(page, "Pens, mostly.")
    assert page.get_by_role("status").inner_text() == "Answered: Pens, mostly."
    page.get_by_role("tab", name="Settings").click()
    session = page.context.new_cdp_session(page)
    tree = session.send("Accessibility.getFullAXTree")["nodes"]
    controls = [
        part["name"]["value"]
        for part in tree
        if not part["ignored"]
        and part["role"]["value"]
        in ("button", "textbox", "combobox", "spinbutton", "tab", "region")
    ]
    assert len(controls) > 20
    assert all(controls)


PAIRS = [
    ("--ink", "--paper"),
    ("--ink", "--panel"),
    ("--quiet", "--paper"),
    ("--quiet", "--panel"),
    ("--quiet", "--sunken"),
    ("--accent", "--panel"),
    ("--on-accent", "--accent"),
    ("--bad", "--paper"),
    ("--good", "--panel"),
    ("--ink", "--lit-paper"),
    ("--bad", "--lit-paper"),
    ("--ink", "--mark"),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_the_contrast_that_wcag_asks_for(show, theme):
    page = show("library")
    page.get_by_role("combobox", name="Theme").select_option(theme)
    colours = page.evaluate(
        """(names) => names.map((name) => {
            const probe = document.body.appendChild(document.createElement("i"));
            probe.style.color = `var(${name})`;
            const colour = getComputedStyle(probe).color;
            probe.remove();
            return colour.match(/\\d+(\\.\\d+)?/g).slice(0, 3).map(Number);
        })""",
        [name for pair in PAIRS for name in pair],
    )
    for at, pair in enumerate(PAIRS):
        assert contrast(*colours[2 * at : 2 * at + 2]) >= 4.5, pair
    dark = sum(
        page.evaluate(
            "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)"
        )
    )
    assert (dark < 200) == (theme == "dark")
    page.reload()
    assert page.get_by_role("combobox", name="Theme").input_value() == theme


def contrast(one, other):
    """Source: WCAG 2.2, "contrast ratio" and "relative luminance"."""
    lighter, darker = sorted([luminance(one), luminance(other)], reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    parts = [part / 255 for part in colour]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_on_a_narrow_window_one_part_is_shown_at_a_time(show):
    page = show("library")
    page.set_viewport_size({"width": 390, "height": 800})
    parts = page.get_by_role("navigation", name="Parts of the page")
    assert page.locator("#chat").is_visible()
    assert not page.locator("#details").is_visible()
    ask(page, QUESTION)
    answered(page, "four weeks")
    ask(page, "What is rude?")  # its document has a source of one long word
    page.locator("#turns .source").get_by_text("javascript:").wait_for()
    assert page.locator("#turns").evaluate("it => it.scrollWidth <= it.clientWidth")
    parts.get_by_role("button", name="Details").click()
    assert node(page, "answer").is_visible()
    assert not page.locator("#chat").is_visible()
    parts.get_by_role("button", name="Conversations").click()
    page.locator("#thread-list button").first.click()
    assert page.locator("#chat").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
