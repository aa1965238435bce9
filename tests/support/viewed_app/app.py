"""The graphs that the tests of the page look at, with models that a script plays."""

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from agentkit import (
    Route,
    create_memory_chat,
    create_rag,
    create_router,
    create_text_to_sql,
    create_tool_agent,
)
from agentkit.testing import HashEmbeddings, Reply, Script, ScriptedChatModel

FOLDER = Path(os.environ["VIEWED_APP_FOLDER"])
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
UNSEEN = "3\u202e4\u200b"
LOANS = "Books may be kept for four weeks. Films and music are lent for one week."
ROWS = 120


def documents():
    store = InMemoryVectorStore(HashEmbeddings())
    rules = Document(
        id="loans",
        page_content=LOANS,
        metadata={"title": "Loans", "source": "https://library.example/loans"},
    )
    rude = Document(
        id="rude",
        page_content=HOSTILE,
        metadata={"title": HOSTILE, "source": f"javascript:alert(1)//{'x' * 400}"},
    )
    store.add_documents([rules, rude])
    return store


def database():
    file = FOLDER / "shop.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS sale (id INTEGER, item TEXT, price REAL)")
        connection.execute("DELETE FROM sale")
        sales = [(number, HOSTILE if number == 1 else "pen", 1.5) for number in range(1, ROWS + 1)]
        connection.executemany("INSERT INTO sale VALUES (?, ?, ?)", sales)
    connection.close()
    return str(file)


def book_room(room: str, hour: int) -> str:
    """Book a room of the library."""
    return f"Room {room} is booked for {hour}:00."


def booking(messages):
    """Books a room first, and then says what came of it."""
    if messages[-1].type == "tool":
        return f"{messages[-1].text} [1]"
    room = UNSEEN if "slyly" in messages[-1].text else "3"
    return Reply(tool_calls=[{"name": "book_room", "args": {"room": room, "hour": 10}}])


library = create_rag(
    ScriptedChatModel(
        Script()
        .when("answer in one word", reply="Weeks [1].")
        .when("rewrites it as one", reply="How long may I keep a film?")
        .when("What is rude?", reply=f"{HOSTILE} [1].")
        .when("Answer the question", reply="Books may be kept for four weeks [1].")
    ),
    documents(),
    name="library",
)
shop = create_text_to_sql(
    ScriptedChatModel(
        Script()
        .when("Write one read-only SQL", reply={"query": "SELECT id, item, price FROM sale"})
        .when("Answer the question from the rows", reply="Pens, mostly.")
    ),
    database(),
    approve="always",
    name="shop",
)
prices = create_text_to_sql(
    ScriptedChatModel(
        Script()
        .when("Write one read-only SQL", reply={"query": "SELECT MAX(price) AS price FROM sale"})
        .when("Answer the question from the rows", reply="The dearest cost 1.5.")
    ),
    database(),
    name="prices",
)
PARTS = [
    {"question": "What is the dearest?", "routes": ["prices"], "confidence": 0.9},
    {"question": "How long may I keep a book?", "routes": ["rules"], "confidence": 0.9},
]
door = create_router(
    ScriptedChatModel(
        Script()
        .when("Say which route", reply={"parts": PARTS})
        .when("Parts of a question", reply="The dearest cost 1.5 [1]; books are for a month [2].")
    ),
    [Route("prices", prices, "what was sold"), Route("rules", library, "the library's rules")],
    name="door",
)
diary = create_memory_chat(
    ScriptedChatModel(
        Script()
        .when("Find what is worth remembering", reply={"learnt": []})
        .when("Reply to the user", reply="It is Minka [m1].")
    ),
    name="diary",
)
desk = create_tool_agent(ScriptedChatModel(Script(booking)), [book_room], name="desk")


class Said(TypedDict, total=False):
    question: str
    answer: str


def ask_a_person(state: Said) -> Said:
    number = interrupt({"wanted": "a number", "hint": HOSTILE})
    return {"answer": f"It is {number + 1}."}


async def wait_for_the_gate(state: Said) -> Said:
    # a named pipe: reading it ends when somebody writes to it
    said = await asyncio.to_thread((FOLDER / "gate").read_text)
    return {"answer": f"The gate said {said}."}


def fail(state: Said) -> Said:
    raise ValueError(f"It cannot be done: {HOSTILE}")


def one_step(step: Any) -> Any:
    return StateGraph(Said).add_node(step).add_edge(START, step.__name__).compile()


poll = one_step(ask_a_person)
slow = one_step(wait_for_the_gate)
broken = one_step(fail)
