"""Python as an agent's tool: sessions, limits, functions of the host, what the model is told."""

import asyncio
import datetime
import gc
import importlib
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass

import psutil
import pytest
from langchain.agents import create_agent
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.testing import Reply, Script, ScriptedChatModel
from agentkit.tools import sql_tools
from agentkit.tools._making import declared, is_untrusted, make_tool, permission_of
from agentkit.tools.python import MODULES, PythonTool, python_tool

LOST = "The session was ended: what was defined in it is lost."
NEW = "The session is new: what earlier calls defined, if there were any, is not in it."
NOTHING = "The code ran. It printed nothing, and its last line has no value."


def thread(name):
    return {"configurable": {"thread_id": name}}


def request(code):
    return {"type": "tool_call", "id": "1", "name": "python", "args": {"code": code}}


def run(made, code, name="a"):
    return made.invoke(request(code), thread(name))


def workers():
    """The interpreter's processes that this process has started and not ended."""
    found = psutil.Process().children(recursive=True)
    return [each for each in found if each.is_running() and each.status() != "zombie"]


def workers_beside(known):
    """Those of them that do not end: a process that was told to may take its time."""
    _, left = psutil.wait_procs([each for each in workers() if each not in known], timeout=20)
    return left


@pytest.fixture(scope="module")
def python():
    with python_tool(timeout=20) as made:
        yield made


@pytest.fixture
def make():
    """Makes tools that are closed after the test."""
    made = []

    def factory(**options):
        made.append(python_tool(**options))
        return made[-1]

    yield factory
    for each in made:
        each.close()


# what a call tells


def test_the_last_value_and_what_was_printed_are_told_and_kept(python):
    message = run(python, "print('one')\nprint('two')\n[1, 'b']")
    assert message.content == "Result: [1, 'b']\nPrinted:\none\ntwo\n"
    artifact = message.artifact
    assert artifact.pop("seconds") > 0
    assert artifact == {
        "code": "print('one')\nprint('two')\n[1, 'b']",
        "stdout": "one\ntwo\n",
        "result": "[1, 'b']",
        "error": None,
        "sources": [],
    }


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = 1; x + 1", "Result: 2"),
        ("x = 1; x;", "Result: 1"),
        ("sum([\n    1,\n    2,\n])  # three\n\n# the end", "Result: 3"),
        ("'''a\nb'''", "Result: 'a\\nb'"),
        ("lambda x=1: x", "Result: <function"),
        ("range(3)", "Result: range(0, 3)"),
        ("class A:\n    def __repr__(self):\n        return 'an A'\nA()", "Result: an A"),
        ("f'{3!r:>{4}}'", "Result: '   3'"),
        ("[1, 2, 3][1:2]", "Result: [2]"),
        ("1,", "Result: (1,)"),
        ("(y := 3)", "Result: 3"),
        ("import asyncio\nasync def f():\n    return 4\nawait f()", "Result: 4"),
        ("x = 1\r\nx\r\n", "Result: 1"),
        ("é = 'ß'; é", "Result: 'ß'"),
        ("'\ud83d\ude00'", "Result: '😀'"),
        ("_ + 1", "Result: 6"),
    ],
)
def test_the_value_of_the_last_expression_is_shown(make, code, told):
    made = make()
    run(made, "5")  # `_` is the last value, as in an interactive session
    assert run(made, code).content.startswith(told)


@pytest.mark.parametrize(
    "code",
    [
        "x = 1",
        "x: int = 1",
        "x = y = 2",
        "x = [1]\nx[0] = 2",
        "x = 1\nx += 1",
        "None",
        "import math",
        "for x in [1]:\n    x",
        "if True: 1; 2",
        "def f():\n    return 1",
        "",
        "# nothing",
        "assert True",
        "return 1",
        "if True: return [1]\n'not reached'",
    ],
)
def test_code_without_a_last_value_says_so(python, code):
    assert run(python, code).content == NOTHING


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = 1\ny = x / 0", "  line 2: y = x / 0\nZeroDivisionError: division by zero"),
        (
            "def f(x):\n    return x.y\n\nf(3)",
            "  line 4: f(3)\n  line 2, in f: return x.y\n"
            "AttributeError: 'int' object has no attribute 'y'",
        ),
        ("x = (", "  line 1: x = (\nSyntaxError: unexpected EOF while parsing"),
        ("print('a'))", "  line 1: print('a'))\nSyntaxError: "),
        ("assert 1 + 1 == 3", "AssertionError: assert 2 == 3"),
        ("x = 1\nx; 1 / 0", "  line 2: x; 1 / 0\nZeroDivisionError"),
        ("eval('1 +')", "  line 1: eval('1 +')\nSyntaxError: "),
    ],
)
def test_an_error_is_told_by_its_lines(python, code, told):
    message = run(python, code)
    assert message.content.startswith("Traceback (most recent call last):\n")
    assert told in message.content
    assert message.artifact["error"] in message.content
    assert message.artifact["result"] is None


def test_what_was_printed_before_an_error_is_told(python):
    message = run(python, "print('so far')\n1 / 0")
    assert message.content.endswith("ZeroDivisionError: division by zero\nPrinted:\nso far\n")
    assert message.artifact["stdout"] == "so far\n"


def test_an_error_in_earlier_code_says_so(make):
    made = make()
    run(made, "def f():\n    return 1 / 0")
    assert "  line 2, in f of earlier code: return 1 / 0" in run(made, "f()").content


def test_the_error_of_a_value_that_cannot_be_shown_is_told(python):
    told = run(python, "10 ** 5000").content
    assert told.startswith("ValueError: Exceeds the limit (4300 digits)")


def test_a_long_traceback_and_a_long_message_are_shortened(python):
    told = run(python, "def f():\n    return f()\nf()").content
    assert "more …" in told
    assert len(told.splitlines()) < 12
    assert len(run(python, "raise ValueError('x' * 10**6)").content) < 3_000


def test_output_is_cut_and_counted(make):
    made = make(max_output=20)
    message = run(made, "print('x' * 100)\n'y' * 100")
    assert message.content == (
        f"Result: 'yyyyyyyyyyyyyyyyyyy…\nPrinted (the first 20 of 101 characters):\n{'x' * 20}"
    )
    assert len(message.artifact["stdout"]) == 20


def test_a_large_last_value_is_shown_and_not_lost(make):
    made = make(timeout=20)
    assert run(made, "x = [0] * 1_000_000\nx").content.startswith("Result: [0, 0, 0")
    assert run(made, "len(x)").content == "Result: 1000000"


def test_code_of_more_characters_than_may_be_is_refused(python):
    message = run(python, "x = 1\n" * 10_000)
    assert message.status == "error"
    assert message.content == "The code has 60,000 characters; give no more than 50,000 at once."


# sessions


def test_names_are_kept_for_a_thread_and_hidden_from_others(make):
    made = make()
    run(made, "secret = 42", "a")
    assert run(made, "secret", "a").content == "Result: 42"
    other = run(made, "secret", "b").content
    assert "NameError: name 'secret' is not defined" in other
    assert other.endswith(NEW)


def test_a_missing_name_in_a_session_that_is_not_new_is_told_without_a_hint(make):
    made = make()
    run(made, "x = 1")
    assert run(made, "y").content.endswith("NameError: name 'y' is not defined")


def test_a_call_outside_of_any_run_has_a_session_of_its_own(python):
    python.invoke({"code": "x = 1"})
    assert "NameError" in python.invoke({"code": "x"})


async def test_the_tool_is_async_too(python):
    assert await python.ainvoke({"code": "1 + 1"}) == "Result: 2"


async def test_sync_calls_work_where_an_event_loop_runs(python):
    assert python.invoke({"code": "1 + 1"}) == "Result: 2"  # as in a notebook's cell


async def test_a_session_is_shared_by_sync_and_async_calls(make):
    made = make()
    run(made, "x = 1")
    assert (await made.ainvoke(request("x"), thread("a"))).content == "Result: 1"


async def test_the_event_loop_goes_on_while_a_function_waits(make):
    release = threading.Event()

    def wait():
        return release.wait(20)

    waits = make(functions=[wait], timeout=30).ainvoke(request("wait()"), thread("a"))
    waiting = asyncio.create_task(waits)
    assert (await make().ainvoke(request("1"), thread("b"))).content == "Result: 1"
    release.set()
    assert (await waiting).content == "Result: True"


def test_many_threads_use_one_tool_and_one_session_takes_turns(make):
    made = make(max_sessions=3, timeout=30)
    for name in "abcd":
        run(made, "seen = []", name)  # the fourth ends the first

    def work(number):
        for _ in range(5):
            run(made, f"seen.append({number})", "d")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert run(made, "len(seen), len(set(seen))", "d").content == "Result: (30, 6)"


async def test_more_conversations_than_sessions_are_all_served(make):
    before = len(workers())
    made = make(max_sessions=2, timeout=30)
    calls = (made.ainvoke(request(f"{n} * 2"), thread(str(n))) for n in range(12))
    assert [each.content for each in await asyncio.gather(*calls)] == [
        f"Result: {n * 2}" for n in range(12)
    ]
    assert len(workers()) <= before + 2


def test_the_session_used_least_recently_is_ended_first(make):
    made = make(max_sessions=2)
    run(made, "x = 'a'", "a")
    run(made, "x = 'b'", "b")
    run(made, "x", "a")
    run(made, "x = 'c'", "c")
    assert run(made, "x", "a").content == "Result: 'a'"
    assert run(made, "x", "b").content.endswith(NEW)


def test_a_closed_tool_has_no_processes_and_starts_anew(make):
    before = workers()
    made = make()
    run(made, "x = 1")
    assert len(workers()) == len(before) + 1
    made.close()
    assert workers_beside(before) == []
    assert run(made, "x").content.endswith(NEW)


async def test_a_tool_is_closed_as_a_context_manager():
    before = workers()
    async with python_tool() as made:
        await made.ainvoke(request("1"), thread("a"))
        assert len(workers()) == len(before) + 1
    assert workers_beside(before) == []
    with python_tool() as made:
        run(made, "1")
    assert workers_beside(before) == []


def test_the_processes_of_a_tool_that_is_not_needed_any_more_end():
    before = workers()
    made = python_tool()
    run(made, "x = 1")
    assert len(workers()) == len(before) + 1
    del made
    gc.collect()
    assert workers_beside(before) == []


def test_no_process_outlives_the_one_that_started_it():
    program = (
        "from agentkit.tools.python import python_tool\n"
        "made = python_tool()\n"
        "made.invoke({'code': '1'}, {'configurable': {'thread_id': 'a'}})\n"
        "print(*(s.worker_pid for s in made._sandbox._sessions.values()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    with suppress(psutil.NoSuchProcess):  # it has ended already
        psutil.Process(int(done.stdout)).wait(timeout=20)


def test_a_process_that_died_is_told_and_replaced(make):
    made = make()
    run(made, "x = 1")
    (session,) = made._sandbox._sessions.values()
    os.kill(session.worker_pid, 9)
    message = run(made, "x")
    assert message.content.startswith("The sandbox's process ended: ")
    assert message.content.endswith(LOST)
    assert run(made, "1 + 1").content == "Result: 2"


async def test_a_tool_that_is_closed_while_code_runs_lets_it_end(make):
    started, release = asyncio.Event(), asyncio.Event()

    async def wait():
        started.set()
        await release.wait()
        return "waited"

    made = make(functions=[wait], timeout=60)
    call = asyncio.create_task(made.ainvoke(request("await wait()"), thread("a")))
    await started.wait()
    closing = asyncio.create_task(made.aclose())
    release.set()
    await closing
    assert (await call).status == "success"
    assert (await made.ainvoke(request("1"), thread("a"))).content == "Result: 1"


async def test_a_cancelled_call_leaves_the_tool_working(make):
    started = asyncio.Event()

    async def wait():
        started.set()
        await asyncio.Event().wait()

    made = make(functions=[wait], timeout=60)
    call = asyncio.create_task(made.ainvoke(request("await wait()"), thread("a")))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await made.ainvoke(request("1 + 1"), thread("a"))).content == "Result: 2"


# in an agent


def model(*codes):
    """Runs each code in turn, whose values are 1, 2 and so on, and then says "Done."."""
    script = Script().when(f"Result: {len(codes)}", reply="Done.")
    for number in reversed(range(len(codes))):
        call = {"name": "python", "args": {"code": codes[number]}}
        asked = f"Result: {number}" if number else "Go"
        script = script.when(asked, reply=Reply(tool_calls=[call]))
    return ScriptedChatModel(script)


def told(state):
    return [message.content for message in state["messages"] if message.type == "tool"]


async def test_names_are_kept_within_a_run_and_not_between_runs(make):
    first = "try:\n    x = x + 100\nexcept NameError:\n    x = 1\nx"
    agent = create_agent(model(first, "x + 1"), [make()])
    for _ in range(2):
        state = await agent.ainvoke({"messages": [("user", "Go")]})
        assert told(state) == ["Result: 1", "Result: 2"]


def test_names_are_kept_for_an_agents_thread(make):
    agent = create_agent(model("x = 1\nx", "x + 1"), [make()], checkpointer=InMemorySaver())
    state = agent.invoke({"messages": [("user", "Go")]}, thread("a"))
    assert told(state) == ["Result: 1", "Result: 2"]
    assert state["messages"][-1].text == "Done."


# limits


@pytest.fixture
def small(make):
    return make(timeout=0.5, max_memory=16 * 2**20)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("while True: pass", "TimeoutError: feed time limit exceeded"),
        ("x = []\nwhile True: x.append(['y'] * 100)", "MemoryError: "),
        ("'x' * 10**9", "MemoryError: memory limit exceeded"),
    ],
)
def test_a_limit_ends_the_session_and_says_so(small, code, error):
    run(small, "kept = 1")
    message = run(small, f"print('so far')\n{code}")
    assert error in message.content
    assert message.content.endswith(LOST)
    assert run(small, "kept").content.endswith(NEW)


def test_too_deep_a_recursion_is_an_error_like_others(small):
    run(small, "kept = 1")
    assert "RecursionError" in run(small, "def f(): return f()\nf()").content
    assert run(small, "kept").content == "Result: 1"


def test_sleeping_takes_no_time(small):
    message = run(small, "import asyncio, time\ntime.sleep(60)\nawait asyncio.sleep(60)\n'awake'")
    assert message.content == "Result: 'awake'"


@pytest.mark.parametrize("awaits", [True, False])
def test_a_function_that_hangs_is_held_against_the_time(make, awaits):
    never = threading.Event()

    async def hang_async():
        await asyncio.Event().wait()

    def hang():
        never.wait(60)

    made = make(functions=[hang, hang_async], timeout=0.2)
    message = run(made, "print('so far')\n" + ("await hang_async()" if awaits else "hang()"))
    never.set()
    assert message.content == (
        "TimeoutError: the code, with the functions it called, took longer than 0.2 seconds\n"
        f"Printed:\nso far\n\n{LOST}"
    )
    assert run(made, "1").content == "Result: 1"


def test_functions_that_hang_hold_up_nothing_else(make):
    never = threading.Event()

    def hang():
        never.wait(60)

    made = make(functions=[hang], timeout=0.1, max_sessions=20)
    calls = [threading.Thread(target=run, args=(made, "hang()", str(n))) for n in range(20)]
    for each in calls:
        each.start()
    assert run(make(), "1").content == "Result: 1"
    for each in calls:
        each.join()
    never.set()


def test_calls_of_functions_are_counted(make):
    calls = []

    def ping():
        calls.append(1)

    made = make(functions=[ping], max_calls=3)
    message = run(made, "for _ in range(10): ping()")
    assert "RuntimeError: One run of code may call no more than 3 functions." in message.content
    assert len(calls) == 3
    run(made, "for _ in range(3): ping()")  # each run anew
    assert len(calls) == 6


@pytest.mark.parametrize("option", ["timeout", "max_memory", "max_output", "max_sessions"])
def test_a_limit_of_nothing_is_refused(option):
    with pytest.raises(ConfigurationError, match=f"{option} must be above zero; got 0"):
        python_tool(**{option: 0})


# functions of the host


def price(item: str, *, currency: str = "CHF") -> float:
    """The price of an item.

    Not told.
    """
    return {"tea": 3.5, "cake": 6.0}[item]


async def rate(currency: str) -> float:
    """How many francs one unit of a currency is."""
    await asyncio.sleep(0)
    return {"EUR": 1.0}[currency]


def test_functions_are_called_by_name_sync_and_async(make):
    made = make(functions=[price, rate])
    code = "import asyncio\nsum(await asyncio.gather(rate('EUR'), rate('EUR'))) * price('tea')"
    assert run(made, code).content == "Result: 7.0"
    assert run(made, "await rate(currency='EUR')").content == "Result: 1.0"


async def test_async_functions_run_on_the_loop_of_who_calls_the_tool(make):
    here = asyncio.get_running_loop()

    async def same():
        return asyncio.get_running_loop() is here

    made = make(functions=[same])
    assert (await made.ainvoke(request("await same()"), thread("a"))).content == "Result: True"


def test_the_model_is_told_what_functions_there_are(make):
    description = make(functions=[price, rate], max_calls=7).description
    assert "def price(item: str, *, currency: str = 'CHF') -> float: The price of an item." in (
        description
    )
    assert "async def rate(currency: str) -> float: How many francs" in description
    assert "7 times" in description
    assert "Not told" not in description


def test_the_error_of_a_function_is_an_exception_of_the_code(make):
    made = make(functions=[price])
    assert "  line 1: price('rum')\nKeyError: 'rum'" in run(made, "price('rum')").content
    code = "try:\n    price('rum')\nexcept KeyError as e:\n    x = 'none'\nx"
    assert run(made, code).content == "Result: 'none'"
    assert "TypeError" in run(made, "price(1, 2, 3)").content


def test_an_error_that_the_sandbox_has_not_is_told_by_name(make):
    class ClosedError(Exception):
        pass

    def fail(kind: str):
        raise {"closed": ClosedError("on Sundays"), "late": TimeoutError("too late")}[kind]

    made = make(functions=[fail])
    run(made, "kept = 1")
    assert "RuntimeError: ClosedError: on Sundays" in run(made, "fail('closed')").content
    assert "RuntimeError: TimeoutError: too late" in run(made, "fail('late')").content
    assert run(made, "kept").content == "Result: 1"  # nothing of it was a limit


class Item(BaseModel):
    name: str


@dataclass
class Box:
    items: list[Item]


def test_models_and_dataclasses_become_dicts(make):
    def box():
        return Box([Item(name="tea")]), datetime.date(2026, 1, 2)

    assert run(make(functions=[box]), "box()").content == (
        "Result: ({'items': [{'name': 'tea'}]}, datetime.date(2026, 1, 2))"
    )


def test_only_plain_data_passes(make):
    given = []

    def take(value):
        given.append(value)

    def give():
        return {"x": [threading.Lock()]}

    def give_itself():
        value = []
        value.append(value)
        return value

    def give_much():
        return [0] * 200_000

    made = make(functions=[take, give, give_itself, give_much])
    told = run(made, "give()").content
    assert "TypeError: What give returned is or holds a lock: only numbers, text" in told
    assert "line 1: give_itself()" in run(made, "give_itself()").content
    assert "holds more than 100,000 values" in run(made, "give_much()").content
    told = run(made, "class A: pass\ntake([A()])").content
    assert "What take was given is or holds a MontyClassProxy" in told
    assert "TypeError" in run(made, "take(len)").content
    assert given == []
    run(made, "take({'a': [1, 2.5, None, b'x', (True,), {3}]})")
    assert given == [{"a": [1, 2.5, None, b"x", (True,), {3}]}]


def test_what_a_function_gives_and_gets_are_copies(make):
    shared = {"rows": [1, 2]}

    def rows():
        return shared

    def add(target):
        target["rows"].append(3)

    made = make(functions=[rows, add])
    run(made, "mine = rows()\nmine['rows'].clear()\nadd(mine)\nmine['x'] = 1")
    assert shared == {"rows": [1, 2]}
    assert run(made, "mine").content == "Result: {'rows': [], 'x': 1}"


def test_text_that_utf8_cannot_hold_is_an_error_of_the_code(make):
    def broken():
        return "\ud800"

    assert "Error: " in run(make(functions=[broken]), "broken()").content


class Word(BaseModel):
    word: str
    times: int = 1


def test_a_tool_is_called_as_a_function(make):
    @tool(args_schema=Word)
    def repeat_word(word: str, times: int = 1) -> list[str]:
        """Repeat a word."""
        if times > 9:
            raise ToolException("Too often.")
        return [word] * times

    repeat_word.handle_tool_error = True
    made = make(functions=[repeat_word])
    assert "def repeat_word(word: str, times: int = 1): Repeat a word." in made.description
    assert run(made, "repeat_word('a', 2)").content == "Result: ['a', 'a']"
    assert run(made, "repeat_word(times=1, word='a')").content == "Result: ['a']"
    assert "RuntimeError: ToolException: Too often." in run(made, "repeat_word('a', 10)").content
    assert "ValueError: ValidationError" in run(made, "repeat_word('a', 'b')").content
    assert "TypeError: missing a required argument: 'word'" in run(made, "repeat_word()").content


def test_rows_of_a_database_are_data_for_code_and_sources_are_kept(make, make_database):
    script = ["CREATE TABLE city (name TEXT, people INT)"]
    script += ["INSERT INTO city VALUES ('Bern', 134), ('Chur', 39)"]
    *_, query = sql_tools(make_database("sqlite", script))
    made = make(functions=[query])
    statement = "SELECT name, people FROM city"
    message = run(made, f"sum(p for _, p in query_database('{statement}')['rows'])")
    assert message.content == "Result: 173"
    assert message.artifact["sources"] == [{"title": "The database's rows", "query": statement}]
    told = run(made, "query_database('SELECT x FROM city')").content
    assert "RuntimeError: ToolException: " in told
    assert permission_of(made) == "read"


def test_a_tool_with_text_and_a_foreign_artifact_gives_its_text(make):
    @tool(response_format="content_and_artifact")
    def look() -> tuple[str, object]:
        """Look."""
        return "a text", {"raw": "not for the model"}

    assert run(make(functions=[look]), "look()").content == "Result: 'a text'"


def test_an_interrupt_in_a_function_pauses_the_graph(make):
    def approve() -> str:
        """Ask."""
        return interrupt("May I?")

    made = make(functions=[approve], timeout=30)
    agent = create_agent(
        ScriptedChatModel(
            Script()
            .when("Result: 'yes'", reply="Done.")
            .when("Go", reply=Reply(tool_calls=[{"name": "python", "args": {"code": "approve()"}}]))
        ),
        [made],
        checkpointer=InMemorySaver(),
    )
    state = agent.invoke({"messages": [("user", "Go")]}, thread("a"))
    assert state["__interrupt__"][0].value == "May I?"
    state = agent.invoke(Command(resume="yes"), thread("a"))
    assert state["messages"][-1].text == "Done."


def unnamed():
    """Functions that cannot be called by a name of their own."""

    def _hidden():
        pass

    def sum():
        pass

    return [(lambda: 1, "<lambda>"), (_hidden, "_hidden"), (sum, "Python's own")]


@pytest.mark.parametrize(("function", "named"), unnamed())
def test_a_function_that_cannot_be_called_by_name_is_refused(function, named):
    with pytest.raises(ConfigurationError, match=named):
        python_tool(functions=[function])


def test_two_functions_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match="Two functions are called 'price'"):
        python_tool(functions=[price, price])


async def nothing(**_):
    return "", {}


def test_a_tool_whose_names_are_not_pythons_is_renamed_or_refused():
    schema = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    made = make_tool(nothing, "Does nothing.", schema, name="do-nothing")
    assert "def do_nothing(x: str): Does nothing." in python_tool(functions=[made]).description
    schema = {"type": "object", "properties": {"x-y": {"type": "string"}}}
    made = make_tool(nothing, "Does nothing.", schema, name="nothing")
    with pytest.raises(ConfigurationError, match="'x-y' is not a valid parameter name"):
        python_tool(functions=[made])


# what the tool declares


def test_the_tool_is_named_typed_and_only_reads(python):
    assert isinstance(python, PythonTool)
    assert (python.name, list(python.args)) == ("python", ["code"])
    assert (permission_of(python), is_untrusted(python)) == ("read", False)


def test_the_tool_may_do_what_its_functions_may():
    @tool
    def send() -> None:
        """Send."""

    dangerous = declared(send, permission="danger", untrusted=True)
    made = python_tool(functions=[price, dangerous])
    assert (permission_of(made), is_untrusted(made)) == ("danger", True)
    assert permission_of(python_tool(functions=[price])) == "write"
    assert permission_of(python_tool(functions=[price], permission="read")) == "read"


# what the description says of the sandbox


def test_the_modules_that_the_description_names_are_those_there_are(python):
    names = sorted(name for name in sys.stdlib_module_names if not name.startswith("_"))
    code = (
        f"found = []\nfor name in {names}:\n    try:\n        exec(f'import {{name}}')\n"
        "        found.append(name)\n    except ImportError:\n        pass\n' '.join(found)"
    )
    found = run(python, code).artifact["result"].strip("'").split()
    assert found == sorted(MODULES)
    assert ", ".join(found) in python.description


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("class inheritance", "class A: pass\nclass B(A): pass"),
        ("no exception classes", "class E(Exception): pass"),
        ("property", "class A:\n    @property\n    def x(self): return 1"),
        ("classmethod", "class A:\n    @classmethod\n    def x(cls): return 1"),
        ("staticmethod", "class A:\n    @staticmethod\n    def x(): return 1"),
        ("yield", "def f():\n    yield 1"),
        ("del", "x = {1: 2}\ndel x[1]"),
        ("async with", "async def f():\n    async with x: pass"),
        ("async for", "async def f():\n    async for y in x: pass"),
        ("except*", "try: pass\nexcept* ValueError: pass"),
        ("from … import *", "from math import *"),
        ("type aliases", "type X = int"),
        *((name, name) for name in ["super", "dir", "vars", "globals", "input"]),
        *((name, name) for name in ["callable", "issubclass", "bytearray"]),
        ("no third-party package", "import numpy"),
        ("no files", "open('/etc/passwd')"),
        ("no files", "import pathlib\npathlib.Path('/').iterdir()"),
        ("no environment variables", "import os\nos.environ['PATH']"),
        ("no network", "import socket"),
        ("no other processes", "import subprocess"),
    ],
)
def test_what_the_description_says_is_lacking_is_lacking(python, said, code):
    assert said in python.description
    assert run(python, code).artifact["error"]


@pytest.mark.parametrize(
    "code",
    [
        "class A:\n    x = 1\n    def f(self): return self.x\nA().f()",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nA(1).x",
        "with_ = [x for x in range(3) if x]\nwith_",
        "match [1, 2]:\n    case [a, b]: c = a + b\nc",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    x = str(e)\nx",
        "sorted({'b': 1, 'a': 2}.items(), key=lambda pair: pair[1])",
        "import re, json, math\nmath.pi",
        "from datetime import date, timedelta\ndate(2026, 1, 31) + timedelta(days=30)",
        "from collections import Counter\nCounter('hello').most_common(1)",
        "'%s %.2f' % ('a', 1) + '{:>5}'.format(2) + f'{3!r}'",
    ],
)
def test_everyday_python_runs(python, code):
    message = run(python, code)
    assert (message.artifact["error"], message.status) == (None, "success")
    assert message.artifact["result"] is not None


@pytest.mark.parametrize(
    "lazy", ["(print(x) for x in [1])", "map(print, [1])", "filter(print, [1])", "zip(Prints())"]
)
def test_what_python_computes_late_is_computed_at_once(python, lazy):
    iterator = (
        "class Prints:\n    done = False\n    def __iter__(self):\n        return self\n"
        "    def __next__(self):\n        if self.done:\n            raise StopIteration\n"
        "        self.done = True\n        print(1)\n"
    )
    assert run(python, f"{iterator}x = {lazy}").artifact["stdout"] == "1\n"
    assert "Generator expressions, map, filter and zip are computed at once." in python.description


def test_the_clock_is_in_utc(python):
    told = run(python, "from datetime import datetime\ndatetime.now().isoformat()")
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    shown = datetime.datetime.fromisoformat(told.artifact["result"].strip("'"))
    assert abs(now - shown) < datetime.timedelta(minutes=5)
    assert "the clock is in UTC" in python.description


def test_the_description_names_the_limits(make):
    description = make(timeout=7, max_memory=32 * 2**20).description
    assert "stopped after 7 seconds or at 32 MiB" in description


def test_the_extra_is_named_where_the_interpreter_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    monkeypatch.delitem(sys.modules, "agentkit.tools._sandbox")
    with pytest.raises(MissingExtraError, match=r"pip install 'agentkit-graphs\[python\]'"):
        importlib.import_module("agentkit.tools._sandbox")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_process_is_refused_with_what_to_do():
    program = (
        "import os\n"
        "from agentkit.tools.python import python_tool\n"
        "made = python_tool()\n"
        "made.invoke({'code': '1'})\n"
        "if os.fork() == 0:\n"
        "    print(made.invoke({'code': '1'}), flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Start the process by 'spawn', or fork before the tool's first call." in done.stdout
