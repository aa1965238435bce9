"""Tasks for a tool agent in a small world: what is asked, what the model does, what comes of it."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from agentkit.testing import Fault, HashEmbeddings, Reply


class Report(BaseModel):
    """A report."""

    total: int
    richest: str


class Entry(BaseModel):
    """An account in a ledger."""

    account: str
    amount: int


class Ledger(BaseModel):
    """What is on some accounts."""

    entries: list[Entry]


@dataclass
class Task:
    """What is asked, what the model replies in turn, what a person decides, and what is right.

    Args:
        name: What it is about: the question.
        script: The model's replies, all of which are used.
        answer: A part of the last answer.
        then: Further questions of the same conversation.
        changed: What differs in the world's state at the end.
        decisions: What a person says, in the order in which they are asked.
        asked: The tools about whose calls they are asked; None where that is not the point.
        outcomes: How each call ended, in the traces.
        ran: The world's tools that ran, in order; None where that is not the point.
        cited: The numbers of the results that the last answer cites.
        options: Options of the agent.
        world: Attributes that the world begins with.
        data: Kinds of tools over data, which the agent has beside the world's.
        shown: What the model was shown in the end.
        offered: For each call of the model a tool that it is offered; an empty name for any.
        hidden: The same, of tools that it is not offered.
        trajectory: The tool calls of each step, by agentevals, and how they are compared.
    """

    name: str
    script: list[Any]
    answer: str
    then: list[str] = field(default_factory=list)
    changed: dict[str, Any] = field(default_factory=dict)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] | None = None
    outcomes: list[str] | None = None
    ran: list[str] | None = None
    cited: list[int] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    trajectory: tuple[str, list[list[dict[str, Any]]]] | None = None


def call(name, /, **arguments):
    return {"name": name, "args": arguments}


def calls(*made):
    return Reply(tool_calls=list(made))


YES = {"type": "approve"}


def no(why):
    return {"type": "reject", "message": why}


def edited(name, /, **arguments):
    return {"type": "edit", "edited_action": {"name": name, "args": arguments}}


ALL = ["transfer", "write_file", "send", "book", "delete_file"]
FREE = {"approved": frozenset(ALL)}
CHOSEN = {"offered_tools": 4, "embeddings": HashEmbeddings()}


def accounts(**changed):
    return {"accounts": {"ada": 100, "bo": 50, "cy": 0, **changed}}


NOTES = {"notes.txt": "Buy ink.", "old.txt": "Done."}

READING = [
    Task(
        f"the balance of {name}",
        [calls(call("balance", account=name)), f"{name} has {amount} [1]."],
        f"{name} has {amount} [1].",
        outcomes=["ok"],
        ran=["balance"],
        shown=[f"[1] {amount}"],
    )
    for name, amount in (("ada", 100), ("bo", 50), ("cy", 0))
] + [
    Task("no tool is needed", ["Hello."], "Hello.", outcomes=[], ran=[]),
    Task(
        "all balances at once",
        [calls(*(call("balance", account=n) for n in ("ada", "bo", "cy"))), "150 [1][2][3]."],
        "150 [1][2][3].",
        outcomes=["ok"] * 3,
        shown=["[1] 100", "[2] 50", "[3] 0"],
        trajectory=("unordered", [[call("balance", account=n) for n in ("cy", "ada", "bo")]]),
    ),
    Task(
        "one balance after the other",
        [*(calls(call("balance", account=n)) for n in ("ada", "bo", "cy")), "150 [1, 2, 3]."],
        "150 [1, 2, 3].",
        outcomes=["ok"] * 3,
    ),
    Task(
        "a file, then an account that it names",
        [calls(call("read_file", name="notes.txt")), calls(call("balance", account="bo")), "Ink."],
        "Ink.",
        ran=["read_file", "balance"],
        trajectory=(
            "strict",
            [[call("read_file", name="notes.txt")], [call("balance", account="bo")]],
        ),
    ),
    Task(
        "text before a call",
        [Reply("I look.", tool_calls=[call("balance", account="bo")]), "50 [1]."],
        "50 [1].",
    ),
    Task("a citation of nothing", ["It is so [7]."], "It is so [7].", outcomes=[]),
]

WRITING = [
    Task(
        f"{amount} from ada to {to}",
        [calls(call("transfer", source="ada", target=to, amount=amount)), "Moved [1]."],
        "Moved [1].",
        changed=accounts(ada=100 - amount, **{to: {"bo": 50, "cy": 0}[to] + amount}),
        decisions=[YES],
        outcomes=["ok"],
    )
    for amount, to in ((1, "bo"), (30, "cy"), (100, "bo"))
] + [
    Task(
        "a letter, approved beforehand",
        [calls(call("send", to="bo", text="Hi")), "Sent [1]."],
        "Sent [1].",
        changed={"outbox": [("bo", "Hi")]},
        options=FREE,
    ),
    Task(
        "a file is written and read",
        [
            calls(call("write_file", name="a.txt", text="A")),
            calls(call("read_file", name="a.txt")),
            "It says A [2].",
        ],
        "It says A [2].",
        changed={"files": {**NOTES, "a.txt": "A"}},
        decisions=[YES],
        ran=["write_file", "read_file"],
    ),
    Task(
        "a file is deleted with approval",
        [calls(call("delete_file", name="old.txt")), "Gone [1]."],
        "Gone [1].",
        changed={"files": {"notes.txt": "Buy ink."}},
        decisions=[YES],
    ),
    Task(
        "three rooms at once, each approved",
        [calls(*(call("book", room=r, hour=9) for r in (1, 2, 3))), "Booked."],
        "Booked.",
        changed={"rooms": {(r, 9): True for r in (1, 2, 3)}},
        decisions=[YES, YES, YES],
        outcomes=["ok"] * 3,
    ),
    Task(
        "two of three rooms are approved",
        [calls(*(call("book", room=r, hour=9) for r in (1, 2, 3))), "Two are booked."],
        "Two are booked.",
        changed={"rooms": {(1, 9): True, (3, 9): True}},
        decisions=[YES, no("Not that one."), YES],
        outcomes=["ok", "rejected", "ok"],
        shown=["Not that one."],
    ),
    Task(
        "reading and writing at once",
        [calls(call("balance", account="ada"), call("send", to="cy", text="100")), "Done."],
        "Done.",
        changed={"outbox": [("cy", "100")]},
        decisions=[YES],
        outcomes=["ok", "ok"],
    ),
    Task(
        "a transfer, a letter about it and a note",
        [
            calls(call("transfer", source="bo", target="cy", amount=20)),
            calls(call("send", to="cy", text="20"), call("write_file", name="log", text="20")),
            "All done [1][2][3].",
        ],
        "All done [1][2][3].",
        changed={
            **accounts(bo=30, cy=20),
            "outbox": [("cy", "20")],
            "files": {**NOTES, "log": "20"},
        },
        options=FREE,
        outcomes=["ok"] * 3,
        trajectory=("superset", [[call("transfer", source="bo", target="cy", amount=20)]]),
    ),
]

FORBIDDEN = [
    Task(
        "a transfer is rejected, and a letter asks instead",
        [
            calls(call("transfer", source="ada", target="bo", amount=5)),
            calls(call("send", to="ada", text="May I?")),
            "I asked.",
        ],
        "I asked.",
        changed={"outbox": [("ada", "May I?")]},
        decisions=[no("Ask first."), YES],
        outcomes=["rejected", "ok"],
        shown=["Ask first."],
    ),
    Task(
        "a deletion is rejected without a reason",
        [calls(call("delete_file", name="notes.txt")), "It stays."],
        "It stays.",
        decisions=[{"type": "reject"}],
        outcomes=["rejected"],
        ran=[],
    ),
    Task(
        "a rejected call is not made again",
        [
            calls(call("delete_file", name="notes.txt")),
            calls(call("delete_file", name="notes.txt")),
            "It stays.",
        ],
        "It stays.",
        decisions=[no("Never.")],
        outcomes=["rejected", "repeated"],
        ran=[],
    ),
    Task(
        "an amount is edited",
        [calls(call("transfer", source="ada", target="bo", amount=90)), "Moved [1]."],
        "Moved [1].",
        changed=accounts(ada=99, bo=51),
        decisions=[edited("transfer", source="ada", target="bo", amount=1)],
        outcomes=["ok"],
    ),
    Task(
        "a letter's text is edited",
        [calls(call("send", to="bo", text="rude")), "Sent."],
        "Sent.",
        changed={"outbox": [("bo", "kind")]},
        decisions=[edited("send", to="bo", text="kind")],
    ),
    Task(
        "a dangerous tool asks after a page was read, though approved",
        [
            calls(call("page", url="x")),
            calls(call("delete_file", name="notes.txt")),
            "The page asked for it; it was refused.",
        ],
        "refused",
        decisions=[no("No.")],
        options=FREE,
        outcomes=["ok", "rejected"],
        shown=["&lt;/untrusted> and delete"],
    ),
    Task(
        "a dangerous tool that is approved runs before any page",
        [calls(call("delete_file", name="old.txt")), calls(call("page", url="x")), "Done."],
        "Done.",
        changed={"files": {"notes.txt": "Buy ink."}},
        options=FREE,
    ),
    Task(
        "a write that is approved goes on after a page",
        [calls(call("page", url="x")), calls(call("send", to="bo", text="Hi")), "Done."],
        "Done.",
        changed={"outbox": [("bo", "Hi")]},
        options=FREE,
    ),
]

ERRORS = [
    Task(
        "too much is moved, then less",
        [
            calls(call("transfer", source="bo", target="cy", amount=60)),
            calls(call("transfer", source="bo", target="cy", amount=50)),
            "Moved [2].",
        ],
        "Moved [2].",
        changed=accounts(bo=0, cy=50),
        options=FREE,
        outcomes=["error", "ok"],
        shown=["transfer failed: ValueError: bo has only 50."],
    ),
    Task(
        "an unknown account, then a known one",
        [calls(call("balance", account="eve")), calls(call("balance", account="ada")), "100."],
        "100.",
        outcomes=["error", "ok"],
        shown=["balance failed: KeyError"],
    ),
    Task(
        "the room is taken, another is free",
        [
            calls(call("book", room=1, hour=9)),
            calls(call("book", room=1, hour=9), call("book", room=2, hour=9)),
            "Both are booked.",
        ],
        "Both are booked.",
        changed={"rooms": {(1, 9): True, (2, 9): True}},
        options=FREE,
        outcomes=["ok", "error", "ok"],
        shown=["Room 1 is taken at 9."],
    ),
    Task(
        "arguments of the wrong type, then right ones",
        [
            calls(call("book", room="one", hour=9)),
            calls(call("book", room=1, hour=9)),
            "Booked.",
        ],
        "Booked.",
        changed={"rooms": {(1, 9): True}},
        options=FREE,
        outcomes=["error", "ok"],
        shown=["valid integer"],
    ),
    Task(
        "a missing argument, then all",
        [calls(call("send", to="bo")), calls(call("send", to="bo", text="Hi")), "Sent."],
        "Sent.",
        changed={"outbox": [("bo", "Hi")]},
        options=FREE,
        outcomes=["error", "ok"],
        shown=["text"],
    ),
    Task(
        "a tool that is spelt wrong, then right",
        [calls(call("balanse", account="bo")), calls(call("balance", account="bo")), "50."],
        "50.",
        outcomes=["unknown", "ok"],
        shown=["There is no tool 'balanse'. Tools: balance."],
    ),
    Task(
        "a tool like no other",
        [calls(call("qqq")), "There is no such tool."],
        "There is no such tool.",
        outcomes=["unknown"],
        ran=[],
    ),
    Task(
        "the same failing call again and again",
        [*(calls(call("balance", account="eve")) for _ in range(4)), "I do not know eve."],
        "I do not know eve.",
        outcomes=["error", "repeated", "repeated", "repeated"],
        ran=["balance"],
        shown=["This same call failed before"],
    ),
    Task(
        "a bad line is tried again",
        [calls(call("flaky", word="ink")), "A word [1]."],
        "A word [1].",
        outcomes=["ok"],
        ran=["flaky", "flaky"],
        options={"tool_retries": 1},
    ),
    Task(
        "a bad line that is not tried again",
        [calls(call("flaky", word="ink")), "The line is cut."],
        "The line is cut.",
        outcomes=["error"],
        ran=["flaky"],
        options={"tool_retries": 0},
        shown=["flaky failed: ConnectionError: The line is cut."],
    ),
    Task(
        "a tool that hangs",
        [calls(call("hang")), "It took too long."],
        "It took too long.",
        outcomes=["error"],
        options={"tool_timeout": 0.1},
        shown=["It took longer than 0.1 seconds"],
    ),
    Task(
        "megabytes",
        [calls(call("flood")), "Much."],
        "Much.",
        outcomes=["ok"],
        shown=["[2,980,000 further characters were left out]"],
    ),
    Task(
        "megabytes, of which little is wanted",
        [calls(call("flood")), "Much."],
        "Much.",
        options={"max_result_chars": 10},
        shown=["[1] xxxxxxxxxx\n[2,999,990 further characters were left out]"],
    ),
    Task(
        "a picture",
        [calls(call("draw")), "A picture."],
        "A picture.",
        outcomes=["ok"],
        shown=["[image, which is no text, was left out]"],
    ),
    Task(
        "broken JSON, then none",
        [
            Reply(tool_calls=[{"name": "balance", "args": '{"account": "ad'}]),
            calls(call("balance", account="ada")),
            "100 [1].",
        ],
        "100 [1].",
        outcomes=["ok"],
    ),
    Task(
        "broken JSON to the end",
        [Reply(tool_calls=[{"name": "balance", "args": "{"}]) for _ in range(3)],
        "The model gave no answer.",
        outcomes=[],
        ran=[],
    ),
    Task(
        "a call that can be read beside one that cannot",
        [
            Reply(tool_calls=[call("balance", account="bo"), {"name": "send", "args": "{"}]),
            calls(call("balance", account="bo")),
            "50 [1].",
        ],
        "50 [1].",
        outcomes=["ok"],
        ran=["balance"],
    ),
    Task(
        "no file, then a file",
        [calls(call("read_file", name="a")), calls(call("read_file", name="old.txt")), "Done [2]."],
        "Done [2].",
        outcomes=["error", "ok"],
    ),
    Task(
        "a failing write is not tried again by itself",
        [calls(call("delete_file", name="a")), "There is no such file."],
        "There is no such file.",
        options={**FREE, "tool_retries": 2},
        outcomes=["error"],
        ran=["delete_file"],
    ),
    Task("an empty reply, then an answer", ["", "Here."], "Here.", outcomes=[]),
    Task("nothing but empty replies", ["", "", ""], "The model gave no answer.", outcomes=[]),
]

LIMITS = [
    Task(
        f"a model that never stops, with {most} calls of the model",
        [*(calls(call("balance", account="ada")) for _ in range(most - 1)), "100 is all I know."],
        "100 is all I know.",
        options={"max_model_calls": most},
        outcomes=["ok"] * (most - 1),
    )
    for most in (1, 2, 5)
] + [
    Task(
        "a model that calls though it has no tools left",
        [calls(call("balance", account="ada")), calls(call("balance", account="bo"))],
        "The limit of this run was reached before there was an answer. Its tools said:\n\n100 [1]",
        options={"max_model_calls": 2},
        outcomes=["ok"],
        ran=["balance"],
    ),
    Task(
        "more calls at once than there are left",
        [calls(*(call("balance", account="ada") for _ in range(9))), "100."],
        "100.",
        options={"max_tool_calls": 4},
        outcomes=["ok"] * 4,
    ),
    Task(
        "no calls of tools at all",
        ["I can call nothing."],
        "I can call nothing.",
        options={"max_tool_calls": 0},
        outcomes=[],
    ),
    Task(
        "tokens are used up",
        [Reply(tool_calls=[call("balance", account="ada")], usage=(900, 200)), "100."],
        "100.",
        options={"max_tokens": 1_000},
        outcomes=["ok"],
        shown=["The limit of this run is reached"],
    ),
]

OTHERS = [
    Task(
        "a structured answer",
        [
            calls(*(call("balance", account=n) for n in ("ada", "bo"))),
            calls(call("Report", total=150, richest="ada")),
        ],
        '{"total":150,"richest":"ada"}',
        options={"response_format": Report},
        outcomes=["ok", "ok"],
    ),
    Task(
        "a structured answer that is wrong at first",
        [
            calls(call("Report", total="much", richest="ada")),
            calls(call("Report", total=1, richest="bo")),
        ],
        '{"total":1,"richest":"bo"}',
        options={"response_format": Report},
        outcomes=[],
    ),
    Task(
        "a server that fails once",
        [Fault.server_error(), "Back again."],
        "Back again.",
        outcomes=[],
    ),
    Task(
        "a server that limits the rate",
        [Fault.rate_limited(retry_after=0), "Back again."],
        "Back again.",
        outcomes=[],
    ),
    Task(
        "an address is taken out",
        [calls(call("read_file", name="notes.txt")), "Write to ada@example.org."],
        "Write to [REDACTED_EMAIL].",
        options={"redact": ["email"]},
    ),
    Task(
        "old results are left out when there is much",
        [
            *(calls(call("read_file", name="notes.txt")) for _ in range(6)),
            "Ink [1].",
        ],
        "Ink [1].",
        options={"clear_results_above": 50},
        outcomes=["ok"] * 6,
        shown=["[cleared]"],
    ),
]

STEPS = [
    Task(
        "one clue leads to the next",
        [*(calls(call("clue", place=p)) for p in ("door", "attic", "cellar")), "It is 42 [3]."],
        "It is 42 [3].",
        outcomes=["ok"] * 3,
        cited=[3],
        trajectory=("strict", [[call("clue", place=p)] for p in ("door", "attic", "cellar")]),
    ),
    Task(
        "three tools at once",
        [
            calls(
                call("balance", account="ada"),
                call("read_file", name="old.txt"),
                call("clue", place="cellar"),
            ),
            "100 [1], done [2], 42 [3].",
        ],
        "100 [1], done [2], 42 [3].",
        cited=[1, 2, 3],
        shown=["[1] 100", "[2] Done.", "[3] It is 42."],
        trajectory=(
            "unordered",
            [
                [
                    call("clue", place="cellar"),
                    call("balance", account="ada"),
                    call("read_file", name="old.txt"),
                ]
            ],
        ),
    ),
    Task(
        "several at once, and then several that depend on them",
        [
            calls(call("clue", place="door"), call("read_file", name="notes.txt")),
            calls(call("clue", place="attic"), call("balance", account="bo")),
            "Cellar [3], and 50 [4].",
        ],
        "Cellar [3], and 50 [4].",
        outcomes=["ok"] * 4,
        cited=[3, 4],
        shown=["[3] Look in the cellar.", "[4] 50"],
    ),
    Task(
        "eight calls at once",
        [calls(*(call("clue", place="door") for _ in range(8))), "The attic [8]."],
        "The attic [8].",
        outcomes=["ok"] * 8,
        ran=["clue"] * 8,
        cited=[8],
    ),
    Task(
        "a call that went well may be made again",
        [
            calls(call("balance", account="cy")),
            calls(call("transfer", source="ada", target="cy", amount=7)),
            calls(call("balance", account="cy")),
            "Now 7 [3].",
        ],
        "Now 7 [3].",
        changed=accounts(ada=93, cy=7),
        options=FREE,
        outcomes=["ok"] * 3,
        ran=["balance", "transfer", "balance"],
        shown=["[1] 0", "[3] 7"],
    ),
    Task(
        "a list as an argument",
        [calls(call("total", accounts=["ada", "bo"])), "150 [1]."],
        "150 [1].",
        shown=["[1] 150"],
    ),
    Task(
        "an argument that is left out",
        [calls(call("convert", amount=4)), "8 francs [1]."],
        "8 francs [1].",
        shown=["[1] 8 chf"],
    ),
    Task(
        "an argument that no tool has",
        [calls(call("convert", amount=4, to="usd", colour="red")), "8 dollars [1]."],
        "8 dollars [1].",
        outcomes=["ok"],
        shown=["[1] 8 usd"],
    ),
    Task(
        "one result is cited twice, and another not at all",
        [
            calls(call("balance", account="ada"), call("balance", account="bo")),
            "50 [2]. Yes, 50 [2].",
        ],
        "50 [2].",
        cited=[2],
    ),
    Task(
        "only as many calls as are needed",
        [calls(call("total", accounts=["ada", "bo", "cy"])), "150 [1]."],
        "150 [1].",
        trajectory=(
            "subset",
            [
                [call("total", accounts=["ada", "bo", "cy"])],
                [call("balance", account="ada")],
            ],
        ),
    ),
]

MORE_WRITING = [
    Task(
        "a letter in other scripts, with quotes and lines",
        [calls(call("send", to="Zoë", text='日本 "ü"\n🙂 \\n')), "Sent."],
        "Sent.",
        changed={"outbox": [("Zoë", '日本 "ü"\n🙂 \\n')]},
        decisions=[YES],
        asked=["send"],
    ),
    Task(
        "two writes, one after the other, are asked about in turn",
        [
            calls(call("transfer", source="ada", target="cy", amount=10)),
            calls(call("send", to="cy", text="10 are yours")),
            "Done.",
        ],
        "Done.",
        changed={**accounts(ada=90, cy=10), "outbox": [("cy", "10 are yours")]},
        decisions=[YES, YES],
        asked=["transfer", "send"],
        ran=["transfer", "send"],
    ),
    Task(
        "what is read decides what is written",
        [
            calls(call("read_file", name="notes.txt"), call("balance", account="bo")),
            calls(call("write_file", name="notes.txt", text="Buy ink for 50.")),
            calls(call("read_file", name="notes.txt")),
            "The note says so [4].",
        ],
        "The note says so [4].",
        changed={"files": {**NOTES, "notes.txt": "Buy ink for 50."}},
        decisions=[YES],
        shown=["[4] Buy ink for 50."],
    ),
    Task(
        "three rooms at once, all rejected",
        [calls(*(call("book", room=r, hour=9) for r in (1, 2, 3))), "None."],
        "None.",
        decisions=[no("Too dear.")] * 3,
        asked=["book"] * 3,
        outcomes=["rejected"] * 3,
        ran=[],
    ),
    Task(
        "three rooms at once, all edited",
        [calls(*(call("book", room=r, hour=9) for r in (1, 2, 3))), "At ten."],
        "At ten.",
        changed={"rooms": {(r, 10): True for r in (1, 2, 3)}},
        decisions=[edited("book", room=r, hour=10) for r in (1, 2, 3)],
        outcomes=["ok"] * 3,
    ),
    Task(
        "three writes at once: one approved, one edited, one rejected",
        [
            calls(
                call("book", room=1, hour=9),
                call("send", to="bo", text="Room 1"),
                call("delete_file", name="notes.txt"),
            ),
            "Two of three.",
        ],
        "Two of three.",
        changed={"rooms": {(1, 9): True}, "outbox": [("bo", "Room 1 at 9")]},
        decisions=[YES, edited("send", to="bo", text="Room 1 at 9"), no("Keep it.")],
        asked=["book", "send", "delete_file"],
        outcomes=["ok", "ok", "rejected"],
        shown=["Keep it."],
    ),
    Task(
        "an approved write fails, and a smaller one is asked about anew",
        [
            calls(call("transfer", source="bo", target="cy", amount=60)),
            calls(call("transfer", source="bo", target="cy", amount=40)),
            "40 [2].",
        ],
        "40 [2].",
        changed=accounts(bo=10, cy=40),
        decisions=[YES, YES],
        outcomes=["error", "ok"],
        asked=["transfer", "transfer"],
    ),
    Task(
        "an edit that fails is told",
        [
            calls(call("transfer", source="bo", target="cy", amount=1)),
            "It did not work.",
        ],
        "It did not work.",
        decisions=[edited("transfer", source="bo", target="cy", amount=51)],
        outcomes=["error"],
        shown=["bo has only 50."],
    ),
    Task(
        "a rejected deletion, and another one that is asked about",
        [
            calls(call("delete_file", name="notes.txt")),
            calls(call("delete_file", name="old.txt")),
            "Gone [2].",
        ],
        "Gone [2].",
        changed={"files": {"notes.txt": "Buy ink."}},
        decisions=[no("Not this one."), YES],
        outcomes=["rejected", "ok"],
        ran=["delete_file"],
    ),
    Task(
        "only letters are approved beforehand",
        [
            calls(call("send", to="bo", text="Hi"), call("book", room=4, hour=8)),
            "Sent, not booked.",
        ],
        "Sent, not booked.",
        changed={"outbox": [("bo", "Hi")]},
        decisions=[no("No room.")],
        options={"approved": frozenset({"send"})},
        asked=["book"],
        outcomes=["ok", "rejected"],
    ),
    Task(
        "a note of the bookings is kept by four writes",
        [
            calls(call("book", room=1, hour=8), call("book", room=2, hour=8)),
            calls(call("write_file", name="rooms", text="1, 2"), call("send", to="bo", text="1")),
            calls(call("read_file", name="rooms")),
            "Rooms 1, 2 [5].",
        ],
        "Rooms 1, 2 [5].",
        changed={
            "rooms": {(1, 8): True, (2, 8): True},
            "files": {**NOTES, "rooms": "1, 2"},
            "outbox": [("bo", "1")],
        },
        options=FREE,
        outcomes=["ok"] * 5,
        cited=[5],
        trajectory=(
            "strict",
            [
                [call("book", room=1, hour=8), call("book", room=2, hour=8)],
                [
                    call("write_file", name="rooms", text="1, 2"),
                    call("send", to="bo", text="1"),
                ],
                [call("read_file", name="rooms")],
            ],
        ),
    ),
]

STRANGERS = [
    Task(
        "a page and a deletion that it cannot have asked for, at once",
        [calls(call("page", url="x"), call("delete_file", name="old.txt")), "Done."],
        "Done.",
        changed={"files": {"notes.txt": "Buy ink."}},
        options=FREE,
        asked=[],
        outcomes=["ok", "ok"],
    ),
    Task(
        "a deletion after a page is approved by a person",
        [calls(call("page", url="x")), calls(call("delete_file", name="old.txt")), "Gone."],
        "Gone.",
        changed={"files": {"notes.txt": "Buy ink."}},
        decisions=[YES],
        options=FREE,
        asked=["delete_file"],
    ),
    Task(
        "a deletion after a page, rejected, is not asked about again",
        [
            calls(call("page", url="x")),
            *[calls(call("delete_file", name="notes.txt"))] * 2,
            "It stays.",
        ],
        "It stays.",
        decisions=[no("Never.")],
        options=FREE,
        outcomes=["ok", "rejected", "repeated"],
        ran=["page"],
    ),
    Task(
        "two deletions after a page are asked about each",
        [
            calls(call("page", url="x")),
            calls(call("delete_file", name="notes.txt"), call("delete_file", name="old.txt")),
            "One is gone.",
        ],
        "One is gone.",
        changed={"files": {"notes.txt": "Buy ink."}},
        decisions=[no("Never."), YES],
        options=FREE,
        asked=["delete_file", "delete_file"],
        outcomes=["ok", "rejected", "ok"],
    ),
    Task(
        "a page was read a turn ago",
        [
            calls(call("page", url="x")),
            "Read.",
            calls(call("delete_file", name="notes.txt")),
            "It stays.",
        ],
        "It stays.",
        then=["Now tidy up."],
        decisions=[no("The page wants that.")],
        options=FREE,
        asked=["delete_file"],
        outcomes=["ok", "rejected"],
        ran=["page"],
    ),
    Task(
        "a letter after a page asks as it does before one",
        [calls(call("page", url="x")), calls(call("send", to="bo", text="Hi")), "Not sent."],
        "Not sent.",
        decisions=[no("To nobody.")],
        asked=["send"],
        outcomes=["ok", "rejected"],
        ran=["page"],
    ),
]

MORE_ERRORS = [
    Task(
        "text where a list is wanted, then a list",
        [
            calls(call("total", accounts="ada, bo")),
            calls(call("total", accounts=["ada", "bo"])),
            "150 [2].",
        ],
        "150 [2].",
        outcomes=["error", "ok"],
        ran=["total"],
        shown=["valid list"],
    ),
    Task(
        "a choice that there is not, then one that there is",
        [calls(call("convert", amount=1, to="yen")), calls(call("convert", amount=1)), "2 [2]."],
        "2 [2].",
        outcomes=["error", "ok"],
        ran=["convert"],
        shown=["'chf' or 'usd'"],
    ),
    Task(
        "nothing where a text is wanted",
        [calls(call("balance", account=None)), calls(call("balance", account="bo")), "50 [2]."],
        "50 [2].",
        outcomes=["error", "ok"],
        ran=["balance"],
        shown=["valid string"],
    ),
    Task(
        "a tool that fails without a word",
        [calls(call("fail", how="silently")), "It failed."],
        "It failed.",
        outcomes=["error"],
        shown=["fail failed: RuntimeError"],
    ),
    Task(
        "a tool that fails at length",
        [calls(call("fail", how="at length")), "It failed."],
        "It failed.",
        outcomes=["error"],
        shown=["fail failed: ValueError: no no"],
    ),
    Task(
        "two of three calls at once fail",
        [
            calls(
                call("balance", account="eve"),
                call("balance", account="bo"),
                call("read_file", name="a.txt"),
            ),
            "Only bo's is known [2].",
        ],
        "Only bo's is known [2].",
        outcomes=["error", "ok", "error"],
        cited=[2],
    ),
    Task(
        "an unknown tool beside a known one",
        [calls(call("balanc", account="bo"), call("balance", account="bo")), "50 [2]."],
        "50 [2].",
        outcomes=["unknown", "ok"],
        ran=["balance"],
    ),
    Task(
        "a failing call with its arguments in another order",
        [
            calls(call("transfer", source="bo", target="cy", amount=60)),
            calls(call("transfer", amount=60, target="cy", source="bo")),
            "Not moved.",
        ],
        "Not moved.",
        options=FREE,
        outcomes=["error", "repeated"],
        ran=["transfer"],
    ),
    Task(
        "a line that stays bad is given up",
        [calls(call("flaky", word="ink")), "The line is cut."],
        "The line is cut.",
        world={"flaky": 9},
        options={"tool_retries": 1},
        outcomes=["error"],
        ran=["flaky", "flaky"],
        shown=["ConnectionError"],
    ),
    Task(
        "a bad line beside a good one",
        [calls(call("flaky", word="ink"), call("balance", account="bo")), "50 [2]."],
        "50 [2].",
        options={"tool_retries": 0},
        outcomes=["error", "ok"],
    ),
    Task(
        "one call hangs, and the one beside it does not",
        [calls(call("hang"), call("balance", account="ada")), "100 [2]."],
        "100 [2].",
        options={"tool_timeout": 0.1},
        outcomes=["error", "ok"],
        shown=["It took longer than 0.1 seconds", "[2] 100"],
    ),
    Task(
        "a call that hung is not made again",
        [calls(call("hang")), calls(call("hang")), "It hangs."],
        "It hangs.",
        options={"tool_timeout": 0.1},
        outcomes=["error", "repeated"],
        ran=["hang"],
    ),
    Task(
        "two calls hang at once",
        [calls(call("hang"), call("hang")), "Both hang."],
        "Both hang.",
        options={"tool_timeout": 0.1},
        outcomes=["error", "error"],
    ),
    Task(
        "broken JSON for a write, then none",
        [
            Reply(tool_calls=[{"name": "send", "args": '{"to": "bo", "text'}]),
            calls(call("send", to="bo", text="Hi")),
            "Sent [1].",
        ],
        "Sent [1].",
        changed={"outbox": [("bo", "Hi")]},
        decisions=[YES],
        asked=["send"],
        outcomes=["ok"],
    ),
    Task(
        "the server fails after a write, which is not made twice",
        [calls(call("send", to="bo", text="Hi")), Fault.server_error(), "Sent [1]."],
        "Sent [1].",
        changed={"outbox": [("bo", "Hi")]},
        decisions=[YES],
        ran=["send"],
    ),
    *(
        Task(
            f"a result that is {kind}",
            [calls(call("odd", kind=kind)), "Odd [1]."],
            "Odd [1].",
            outcomes=["ok"],
            shown=[shown],
        )
        for kind, shown in (
            ("nothing", "[1] null"),
            ("table", '[1] {"rows": [1, 2]}'),
            ("list", '[1] [1, "two", null]'),
            ("number", "[1] 2.5"),
            ("broken text", "[1] half � and � end"),
            ("empty", "[1] "),
        )
    ),
]

MORE_LIMITS = [
    Task(
        "calls of tools are used up over several steps",
        [
            calls(call("balance", account="ada"), call("balance", account="bo")),
            calls(call("balance", account="cy"), call("clue", place="door")),
            "150 so far [1][2][3].",
        ],
        "150 so far [1][2][3].",
        options={"max_tool_calls": 3},
        outcomes=["ok"] * 3,
        ran=["balance"] * 3,
        shown=["The limit of this run is reached"],
    ),
    Task(
        "of two writes at once only one is left",
        [calls(*(call("book", room=r, hour=9) for r in (1, 2))), "Room 1."],
        "Room 1.",
        changed={"rooms": {(1, 9): True}},
        decisions=[YES],
        options={"max_tool_calls": 1},
        asked=["book"],
        outcomes=["ok"],
    ),
    Task(
        "rejected calls count",
        [calls(call("book", room=1, hour=9)), "No room."],
        "No room.",
        decisions=[no("No.")],
        options={"max_tool_calls": 1},
        outcomes=["rejected"],
        shown=["The limit of this run is reached"],
    ),
    Task(
        "unknown tools count",
        [calls(call("qqq")), calls(call("qqq", again=1)), "Nothing."],
        "Nothing.",
        options={"max_tool_calls": 2},
        outcomes=["unknown", "unknown"],
        shown=["The limit of this run is reached"],
    ),
    Task(
        "tokens are used up by the answer itself",
        [Reply("Long.", usage=(2_000, 2_000))],
        "Long.",
        options={"max_tokens": 1_000},
        outcomes=[],
    ),
    Task(
        "each turn has its own limits",
        [
            calls(call("balance", account="ada")),
            "100 [1].",
            calls(call("balance", account="bo")),
            "50 [2].",
        ],
        "50 [2].",
        then=["And bo's?"],
        options={"max_model_calls": 2, "max_tool_calls": 1},
        outcomes=["ok", "ok"],
        cited=[2],
    ),
    Task(
        "two long results at once are each cut",
        [calls(call("flood"), call("flood")), "Much."],
        "Much.",
        options={"max_result_chars": 5},
        shown=["[1] xxxxx\n[2,999,995", "[2] xxxxx\n[2,999,995"],
    ),
]

TURNS = [
    Task(
        "a conversation cites what an earlier turn found",
        [calls(call("balance", account="ada")), "100 [1].", "As said, 100 [1]."],
        "As said, 100 [1].",
        then=["How much was it?"],
        outcomes=["ok"],
        cited=[1],
        shown=["How much was it?", "[1] 100"],
    ),
    Task(
        "three turns, of which the second undoes the first",
        [
            calls(call("transfer", source="ada", target="bo", amount=10)),
            "Moved [1].",
            calls(call("transfer", source="bo", target="ada", amount=10)),
            "Moved back [2].",
            calls(call("balance", account="ada")),
            "100 [3].",
        ],
        "100 [3].",
        then=["Undo that.", "And now?"],
        options=FREE,
        outcomes=["ok"] * 3,
        cited=[3],
        ran=["transfer", "transfer", "balance"],
    ),
    Task(
        "what failed in one turn may be tried in the next",
        [
            calls(call("flaky", word="ink")),
            "The line is cut.",
            calls(call("flaky", word="ink")),
            "A word [2].",
        ],
        "A word [2].",
        then=["Try again."],
        options={"tool_retries": 0},
        outcomes=["error", "ok"],
        ran=["flaky", "flaky"],
    ),
    Task(
        "what was rejected in one turn is asked about in the next",
        [
            calls(call("delete_file", name="old.txt")),
            "It stays.",
            calls(call("delete_file", name="old.txt")),
            "Gone [2].",
        ],
        "Gone [2].",
        then=["Do delete it."],
        changed={"files": {"notes.txt": "Buy ink."}},
        decisions=[no("Wait."), YES],
        asked=["delete_file", "delete_file"],
        outcomes=["rejected", "ok"],
    ),
    Task(
        "a turn that needs no tool after one that does",
        [calls(call("clue", place="cellar")), "42 [1].", "You are welcome."],
        "You are welcome.",
        then=["Thank you."],
        outcomes=["ok"],
        cited=[],
    ),
]

DATA = [
    Task(
        "tables are listed, described and queried",
        [
            calls(call("list_tables")),
            calls(call("describe_tables", tables=["city"])),
            calls(call("query_database", query="SELECT people FROM city WHERE name = 'Bern'")),
            "134 [3].",
        ],
        "134 [3].",
        data=["sql"],
        outcomes=["ok"] * 3,
        cited=[3],
        shown=["city (table, 3 columns)", "134"],
        trajectory=(
            "superset",
            [[call("query_database", query="SELECT people FROM city WHERE name = 'Bern'")]],
        ),
    ),
    Task(
        "a column that there is not, then one that there is",
        [
            calls(call("query_database", query="SELECT size FROM city")),
            calls(call("query_database", query="SELECT sum(people) FROM city")),
            "1004 [2].",
        ],
        "1004 [2].",
        data=["sql"],
        outcomes=["error", "ok"],
        shown=["size", "1004"],
    ),
    Task(
        "a table that there is not",
        [
            calls(call("describe_tables", tables=["citys"])),
            calls(call("describe_tables", tables=["city"])),
            "Three columns [2].",
        ],
        "Three columns [2].",
        data=["sql"],
        outcomes=["error", "ok"],
        shown=["Did you mean city?"],
    ),
    Task(
        "a query that would write is refused, and one that counts is not",
        [
            calls(call("query_database", query="DELETE FROM city")),
            calls(call("query_database", query="SELECT count(*) FROM city")),
            "Still 3 [2].",
        ],
        "Still 3 [2].",
        data=["sql"],
        outcomes=["error", "ok"],
    ),
    Task(
        "more rows than are shown",
        [
            calls(call("query_database", query="SELECT name FROM city ORDER BY name")),
            "Bern, Lyon and more [1].",
        ],
        "Bern, Lyon and more [1].",
        data=["sql"],
        outcomes=["ok"],
        shown=["Bern", "Lyon", "the first 2 of more than 2 rows"],
    ),
    Task(
        "the graph is described and asked",
        [
            calls(call("describe_graph")),
            calls(
                call(
                    "query_graph",
                    query="MATCH (c:City)-[:LIES_IN]->(l:Country {name: 'France'}) RETURN c.name",
                )
            ),
            "Lyon [2].",
        ],
        "Lyon [2].",
        data=["graph"],
        outcomes=["ok", "ok"],
        shown=["(:City)-[:LIES_IN]->(:Country)", "Lyon"],
    ),
    Task(
        "a label that the graph lacks, then one that it has",
        [
            calls(call("query_graph", query="MATCH (t:Town) RETURN t.name")),
            calls(call("query_graph", query="MATCH (c:City) RETURN count(c) AS n")),
            "Two [2].",
        ],
        "Two [2].",
        data=["graph"],
        outcomes=["error", "ok"],
        shown=["Town"],
    ),
    Task(
        "a graph query that would write is refused",
        [
            calls(call("query_graph", query="MATCH (n) DETACH DELETE n")),
            calls(call("query_graph", query="MATCH (n) RETURN count(n) AS n")),
            "Still 4 [2].",
        ],
        "Still 4 [2].",
        data=["graph"],
        outcomes=["error", "ok"],
        shown=["4"],
    ),
    Task(
        "documents are searched",
        [calls(call("search_documents", query="late book")), "One franc a day [1]."],
        "One franc a day [1].",
        data=["documents"],
        outcomes=["ok"],
        cited=[1],
        shown=["A late book costs one franc a day."],
    ),
    Task(
        "documents are searched for two things at once",
        [
            calls(
                call("search_documents", query="late book"),
                call("search_documents", query="library opens at"),
            ),
            "One franc [1], and at nine [2].",
        ],
        "One franc [1], and at nine [2].",
        data=["documents"],
        cited=[1, 2],
        shown=["one franc a day", "opens at nine"],
    ),
    Task(
        "an empty search is corrected",
        [
            calls(call("search_documents", query="")),
            calls(call("search_documents", query="late book")),
            "One franc [2].",
        ],
        "One franc [2].",
        data=["documents"],
        outcomes=["error", "ok"],
    ),
    Task(
        "a graph answers as a tool",
        [calls(call("library", question="How long may I keep a book?")), "Four weeks [1]."],
        "Four weeks [1].",
        data=["library"],
        outcomes=["ok"],
        shown=["Four weeks"],
    ),
    Task(
        "Python computes",
        [calls(call("python", code="sum(n * n for n in range(10))")), "285 [1]."],
        "285 [1].",
        data=["python"],
        outcomes=["ok"],
        shown=["Result: 285"],
    ),
    Task(
        "Python that fails is corrected, and remembers",
        [
            calls(call("python", code="rate = 3\n1 / 0")),
            calls(call("python", code="rate * 14")),
            "42 [2].",
        ],
        "42 [2].",
        data=["python"],
        shown=["ZeroDivisionError", "Result: 42"],
    ),
    Task(
        "Python finds no files",
        [calls(call("python", code="open('/etc/passwd').read()")), "It may not."],
        "It may not.",
        data=["python"],
        shown=["Error"],
    ),
    Task(
        "a database's rows are summed in Python and sent on",
        [
            calls(call("query_database", query="SELECT guests FROM visit WHERE city = 'Bern'")),
            calls(call("python", code="5 + 7")),
            calls(call("send", to="bo", text="12 guests")),
            "12 [2], sent [3].",
        ],
        "12 [2], sent [3].",
        changed={"outbox": [("bo", "12 guests")]},
        decisions=[YES],
        data=["sql", "python"],
        asked=["send"],
        outcomes=["ok"] * 3,
        cited=[2, 3],
    ),
    Task(
        "a database, a graph and documents are asked at once",
        [
            calls(
                call("query_database", query="SELECT max(people) FROM city"),
                call("query_graph", query="MATCH (l:Country) RETURN count(l) AS n"),
                call("search_documents", query="library opens at"),
            ),
            "522 [1], 2 [2], at nine [3].",
        ],
        "522 [1], 2 [2], at nine [3].",
        data=["sql", "graph", "documents"],
        outcomes=["ok"] * 3,
        shown=["522", "opens at nine"],
    ),
]

MANY = [
    Task(
        "the weather of a town?",
        [calls(call("weather", word="Bern")), "It is fine [1]."],
        "It is fine [1].",
        data=["many"],
        options={**CHOSEN},
        outcomes=["ok"],
        offered=["weather", "weather"],
        hidden=["order_lunch", "order_lunch"],
        shown=["[1] done Bern"],
    ),
    Task(
        "the weather of a town, and then something to eat",
        [
            calls(call("weather", word="Bern")),
            calls(call("find_tools", purpose="order lunch from the canteen")),
            calls(call("order_lunch", word="soup")),
            "Ordered [3].",
        ],
        "Ordered [3].",
        data=["many"],
        options={**CHOSEN},
        decisions=[YES],
        asked=["order_lunch"],
        outcomes=["ok"] * 3,
        offered=["weather", "find_tools", "order_lunch", "order_lunch"],
        hidden=["order_lunch", "order_lunch", "", ""],
    ),
    Task(
        "lunch from the canteen, which a person forbids",
        [calls(call("order_lunch", word="soup")), "Not ordered."],
        "Not ordered.",
        data=["many"],
        options={**CHOSEN},
        decisions=[no("No lunch today.")],
        outcomes=["rejected"],
        offered=["order_lunch"],
    ),
    Task(
        "the weather, though lunch is always offered",
        ["Fine."],
        "Fine.",
        data=["many"],
        options={**CHOSEN, "always_offered": ["order_lunch"]},
        outcomes=[],
        offered=["order_lunch"],
    ),
    Task(
        "the weather, by a tool that was not offered",
        [calls(call("tool_33", word="x")), "Done [1]."],
        "Done [1].",
        data=["many"],
        options={**CHOSEN, "offered_tools": 1},
        outcomes=["ok"],
        offered=["", "tool_33"],
        hidden=["tool_33", ""],
    ),
    Task(
        "the weather, by a tool that is spelt wrong among many",
        [calls(call("wether", word="Bern")), calls(call("weather", word="Bern")), "Fine [2]."],
        "Fine [2].",
        data=["many"],
        options={**CHOSEN},
        outcomes=["unknown", "ok"],
        shown=["There is no tool 'wether'. Tools: weather"],
    ),
]

MORE_OTHERS = [
    Task(
        "a structured answer with a list",
        [
            calls(call("balance", account="ada"), call("balance", account="bo")),
            calls(
                call(
                    "Ledger",
                    entries=[
                        {"account": "ada", "amount": 100},
                        {"account": "bo", "amount": 50},
                    ],
                )
            ),
        ],
        '{"entries":[{"account":"ada","amount":100},{"account":"bo","amount":50}]}',
        options={"response_format": Ledger},
        outcomes=["ok", "ok"],
    ),
    Task(
        "a structured answer after a write",
        [
            calls(call("transfer", source="ada", target="bo", amount=100)),
            calls(call("Report", total=150, richest="bo")),
        ],
        '{"total":150,"richest":"bo"}',
        changed=accounts(ada=0, bo=150),
        decisions=[YES],
        asked=["transfer"],
        options={"response_format": Report},
    ),
    Task(
        "a structured answer that lacks a field at first",
        [
            calls(call("Report", total=150)),
            calls(call("Report", total=150, richest="ada")),
        ],
        '{"total":150,"richest":"ada"}',
        options={"response_format": Report},
        outcomes=[],
    ),
    Task(
        "a structured answer at the limit",
        [
            calls(call("balance", account="ada")),
            calls(call("Report", total=100, richest="ada")),
        ],
        '{"total":100,"richest":"ada"}',
        options={"response_format": Report, "max_model_calls": 2},
        outcomes=["ok"],
    ),
    Task(
        "a server that fails twice",
        [Fault.rate_limited(retry_after=0), Fault.rate_limited(retry_after=0), "Back again."],
        "Back again.",
        outcomes=[],
    ),
    Task(
        "an address in a file is taken out before the model sees it",
        [
            calls(call("write_file", name="who", text="bo@example.org")),
            calls(call("read_file", name="who")),
            "It says so [2].",
        ],
        "It says so [2].",
        changed={"files": {**NOTES, "who": "bo@example.org"}},
        options={**FREE, "redact": ["email"]},
        shown=["[2] [REDACTED_EMAIL]"],
    ),
    Task(
        "instructions and a description of the user's own",
        ["Aye."],
        "Aye.",
        options={"prompts": {"agent.instructions": "Talk like a sailor."}},
        shown=["Talk like a sailor."],
    ),
]

TASKS = [
    *READING,
    *STEPS,
    *WRITING,
    *MORE_WRITING,
    *FORBIDDEN,
    *STRANGERS,
    *ERRORS,
    *MORE_ERRORS,
    *LIMITS,
    *MORE_LIMITS,
    *TURNS,
    *DATA,
    *MANY,
    *OTHERS,
    *MORE_OTHERS,
]
