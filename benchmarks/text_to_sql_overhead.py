"""What a question to a database costs when the model costs nothing, beside LlamaIndex.

Both ask the same model twice, for a query and for an answer, about the same tables of the music
shop in `examples/`, and run the query on the same SQLite file. agentkit also looks the question's
words up among the values, checks the query twice over, runs it read-only within limits, looks for
values that are not there, checks the answer's numbers, and keeps its state.
"""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agentkit import create_text_to_sql
from agentkit.testing import Script, ScriptedChatModel
from benchmarks._report import median_seconds, parser, report

SHOP = Path(__file__).parent.parent / "examples" / "music_shop"
ANSWER = "Here is what the shop's books say."

Ask = Callable[[str], Awaitable[str]]


def questions() -> dict[str, str]:
    """The shop's questions, and their queries."""
    lines = (SHOP / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["question"]: row["query"] for row in map(json.loads, lines)}


def agentkit(known: dict[str, str]) -> Ask:
    """`create_text_to_sql`."""
    numbers = itertools.count()

    def drafted(messages: list[Any]) -> dict[str, Any]:
        question = messages[-1].text.split("</question>")[0].removeprefix("<question>\n").strip()
        query = f"{known[question]} -- {next(numbers)}"  # so that none has been checked before
        return {"query": query, "assumptions": [], "clarification": ""}

    script = Script(record=False).when("<rows>", reply=ANSWER).when("<schema>", reply=drafted)
    graph = create_text_to_sql(ScriptedChatModel(script), str(SHOP / "music_shop.sqlite"))

    async def ask(question: str) -> str:
        answer: str = (await graph.ainvoke({"question": question}))["answer"]
        return answer

    return ask


def llama_index(known: dict[str, str]) -> Ask:
    """`NLSQLTableQueryEngine`."""
    from llama_index.core import MockEmbedding, SQLDatabase
    from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
    from llama_index.core.query_engine import NLSQLTableQueryEngine
    from sqlalchemy import create_engine

    class Model(CustomLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(context_window=32_000, num_output=256)

        def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
            if prompt.rstrip().endswith("SQLQuery:"):
                question = prompt.rpartition("Question: ")[2].partition("\n")[0].strip()
                return CompletionResponse(text=known[question])
            return CompletionResponse(text=ANSWER)

        def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
            yield self.complete(prompt)

    database = SQLDatabase(create_engine(f"sqlite:///{SHOP / 'music_shop.sqlite'}"))
    engine = NLSQLTableQueryEngine(
        sql_database=database,
        llm=Model(),
        tables=list(database.get_usable_table_names()),
        embed_model=MockEmbedding(embed_dim=2),
    )

    async def ask(question: str) -> str:
        return str(await engine.aquery(question))

    return ask


async def measure(*, times: int) -> list[dict[str, Any]]:
    """A row for each library."""
    known = questions()
    asked = list(known)
    rows = []
    for name, make in {"agentkit": agentkit, "LlamaIndex": llama_index}.items():
        ask = make(known)

        async def numbered(number: int, ask: Ask = ask) -> None:
            assert await ask(asked[number % len(asked)]) == ANSWER

        seconds = await median_seconds(numbered, times=times)
        rows.append({"what": name, "ms a question": seconds * 1000})
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--questions", type=int, default=200)
    given = options.parse_args()
    rows = asyncio.run(measure(times=given.questions))
    settings = {"questions": given.questions}
    report("text-to-SQL overhead", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
