"""A graph of two prompts, and a model that does badly until it is told or shown how."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field

from agentkit import Prompt
from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Score
from agentkit.testing import Script, ScriptedChatModel

CAPITALS = dict(
    line.split()
    for line in """France Paris|Italy Rome|Spain Madrid|Japan Tokyo|Peru Lima|Kenya Nairobi
Cuba Havana|Egypt Cairo|Norway Oslo|Sweden Stockholm|Poland Warsaw|Greece Athens|Turkey Ankara
Iran Tehran|Iraq Baghdad|Ghana Accra|Mali Bamako|Chad Ndjamena|Sudan Khartoum|Nepal Kathmandu
India Delhi|China Beijing|Austria Vienna|Hungary Budapest|Serbia Belgrade|Ireland Dublin
Iceland Reykjavik|Finland Helsinki|Estonia Tallinn|Latvia Riga|Ukraine Kyiv|Russia Moscow
Canada Ottawa|Chile Santiago|Bolivia Sucre|Ecuador Quito|Angola Luanda|Zambia Lusaka
Malawi Lilongwe|Rwanda Kigali""".replace("\n", "|").split("|")
)
EASY_TO_REWRITE = frozenset(list(CAPITALS)[::4])
EASY_TO_ANSWER = frozenset(list(CAPITALS)[::3])
"""What the model does right with no help: each prompt brings something by itself."""

REWRITE_HINT = "Extract the keyword of the question."
ANSWER_HINT = "Answer from the context in one word."


class Rewritten(BaseModel):
    """A search query."""

    query: str = Field(description="what to look up")
    keywords: list[str] = Field(default_factory=list)


REWRITE = Prompt("geo.rewrite", "Rewrite the question.", {"question": str}, Rewritten)
ANSWER = Prompt(
    "geo.answer", "Answer from the context.", {"context": list[str], "question": str}, str
)
APOLOGY = Prompt("geo.apology", "Say that nothing was found.", {"question": str}, str)
PROMPTS = [REWRITE, ANSWER, APOLOGY]


@dataclass
class Context:
    model: BaseChatModel


class State(TypedDict, total=False):
    question: str
    query: str
    found: list[str]
    answer: str


def look_up(state: State) -> dict[str, Any]:
    capital = CAPITALS.get(state["query"])
    return {"found": [f"The capital of {state['query']} is {capital}"] if capital else ["Nothing."]}


async def rewrite(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    model = runtime.context.model
    return {"query": (await REWRITE.ainvoke(model, question=state["question"])).query}


async def answer(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    told = {"context": state["found"], "question": state["question"]}
    return {"answer": await ANSWER.ainvoke(runtime.context.model, **told)}


async def apologise(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    return {"answer": await APOLOGY.ainvoke(runtime.context.model, question=state["question"])}


def rewrite_sync(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    model = runtime.context.model
    return {"query": REWRITE.invoke(model, question=state["question"]).query}


def answer_sync(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    told = {"context": state["found"], "question": state["question"]}
    return {"answer": ANSWER.invoke(runtime.context.model, **told)}


def apologise_sync(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    return {"answer": APOLOGY.invoke(runtime.context.model, question=state["question"])}


def build(*, sync: bool = False) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Rewrite → look up → answer; a branch that no run takes apologises."""
    graph = StateGraph(State, context_schema=Context)
    graph.add_node("rewrite", rewrite_sync if sync else rewrite)
    graph.add_node("look_up", look_up)
    graph.add_node("answer", answer_sync if sync else answer)
    graph.add_node("apologise", apologise_sync if sync else apologise)
    graph.add_edge(START, "rewrite").add_edge("rewrite", "look_up")
    graph.add_conditional_edges(
        "look_up", lambda state: "answer" if state["found"] else "apologise"
    )
    return graph.compile(name="geography")


def reply(messages: Sequence[BaseMessage]) -> Any:
    """What the model replies: right where an instruction or a demo helps, or it is easy."""
    told, asked = messages[0].text, messages[-1].text
    shown = any(message.type == "ai" for message in messages)
    country = next(name for name in CAPITALS if f"of {name}?" in asked)
    if "<context>" not in asked:
        good = "keyword" in told or shown or country in EASY_TO_REWRITE
        query = country if good else f"capital city of {country}"
        return {"query": query, "keywords": [country]}
    found = re.search(r"is (\w+)\n", asked)
    capital = found[1] if found else "unknown"
    good = "one word" in told or shown or country in EASY_TO_ANSWER
    return capital if good else f"I believe that it may be {capital}"


def written(messages: Sequence[BaseMessage]) -> str:
    """What the model that writes instructions replies, in the form that it is asked for."""
    asked = "\n".join(message.text for message in messages)
    hint = ANSWER_HINT if "from the context" in asked.split("Rewrite the question")[0] else ""
    hint = hint or (REWRITE_HINT if "Rewrite the question" in asked else ANSWER_HINT)
    last = asked.split("Respond with")[-1]
    fields = [name for name in re.findall(r"\[\[ ## (\w+) ## \]\]", last) if name != "completed"]
    if fields:
        shown = {"module_advice": json.dumps({"geo.rewrite": hint, "geo.answer": hint})}
        return "\n\n".join(f"[[ ## {name} ## ]]\n{shown.get(name, hint)}" for name in fields)
    if names := re.findall(r"`(\w+)`", last):
        return json.dumps(dict.fromkeys(names, hint))
    return f"```\n{hint}\n```"


def model() -> ScriptedChatModel:
    return ScriptedChatModel(Script(reply))


def writer() -> ScriptedChatModel:
    return ScriptedChatModel(Script(written), model_name="writer")


def examples() -> list[Example]:
    return [
        Example(country, {"question": f"What is the capital of {country}?"}, {"answer": capital})
        for country, capital in CAPITALS.items()
    ]


def parts() -> dict[str, Any]:
    """The data as `optimize` takes it: of the held-out ten, one is easy."""
    every = examples()
    return {"dataset": every[20:], "validation": every[10:20], "test": every[:10]}


def exact(example: Example, output: Any) -> Score:
    """Whether the answer is the capital and nothing else."""
    right = output["answer"] == example.expected["answer"]
    told = f"expected {example.expected['answer']}, got {output['answer']}"
    return Score(float(right), "" if right else told)
