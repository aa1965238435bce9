"""The code in the project's Markdown, its data, and a model that plays along."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from agentkit.testing import Reply, Script

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

ABOUT_CLIMATE = "MATCH (p:Paper)-[:ABOUT]->(:Topic {name: 'Climate'}) RETURN count(p) AS papers"
IN_GERMANY = "SELECT COUNT(*) AS customers FROM customer WHERE country = 'Germany'"
BOOK = {"name": "book_room", "args": {"room": "3", "hour": 10}}
SEARCH = {"name": "search_documents", "args": {"query": "loan period of books"}}
BOOKED = "Room 3 is booked for 10:00 [1]. Books may be kept for four weeks [2]."
PARTS = [
    {"question": "How long may I keep a book?", "routes": ["library"], "confidence": 0.9},
    {"question": "How many customers live in Germany?", "routes": ["shop"], "confidence": 0.9},
]
COMBINED = "You may keep it for four weeks [1]; 14 customers live in Germany [2]."
LINZ = {"text": "The user moved to Linz in May.", "kind": "event", "message": 1}


def blocks(page, language):
    """The blocks of a language on a page, in order; those that are files of their own are none."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def files(page):
    """The blocks of a page that are files or changes to files: language, path and content."""
    text = page.read_text(encoding="utf-8")
    return re.findall(
        r"^```\{code-block\} (\w+)\n:caption: `(\S+)`\n\n(.*?)^```",
        text,
        flags=re.DOTALL | re.MULTILINE,
    )


def write_data(folder):
    """What the pages' programs work with: documents, a database, a graph."""
    shutil.copytree(ROOT / "examples" / "documents", folder / "documents")
    shop = folder / "examples" / "music_shop"
    shutil.copytree(ROOT / "examples" / "music_shop", shop)
    shutil.copy(shop / "music_shop.sqlite", folder / "shop.sqlite")
    network = ROOT / "examples" / "research_network" / "load.py"
    subprocess.run([sys.executable, network, folder / "network.lbug"], check=True)


def script():
    """A model that plays along with every page."""
    return (
        Script()
        .when("Write search queries", reply={"queries": ["loan period of books"]})
        .when("Order the documents", reply={"numbers": [1]})
        .when("Take one step back", reply={"broader": "How does borrowing work?"})
        .when("Split the question", reply={"questions": ["How long may I keep a book?"]})
        .when("Write one short passage", reply="Books may be kept for some weeks.")
        .when("Give the numbers of the documents that help", reply={"numbers": [1]})
        .when("Say which route answers", reply={"parts": PARTS})
        .when("Parts of a question", reply=COMBINED)
        .when("Write one read-only SQL", reply={"query": IN_GERMANY})
        .when("Write one read-only Cypher", reply={"query": ABOUT_CLIMATE})
        .when("query on a graph returned", reply="91 papers are about Climate.")
        .when("Answer the question from the rows", reply="14 customers live in Germany.")
        .when("Rewrite the last question", reply="When is the library open on Sundays?")
        .when("Answer the question", reply="Four weeks [1].")
        .when("Do what is asked", reply=_booking)
        .when("Find what is worth remembering", reply={"learnt": [LINZ]})
        .when("Reply to the user", reply=_chatting)
    )


def _booking(messages):
    has_results = messages[-1].type == "tool"
    return Reply(text=BOOKED) if has_results else Reply(tool_calls=[BOOK, SEARCH])


def _chatting(messages):
    return "In Linz [m1]." if "Where do I live?" in messages[-1].text else "I see."
