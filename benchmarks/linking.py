"""Schema linking: how much of what a question needs is found in schemas of 10, 100, 1,000 tables.

The schemas are generated: entities of a dozen business domains, each with its lines, types,
histories, archives and other companions, joined by foreign keys. A question asks for one entity, an
entity and what it belongs to, or an entity and its companion; half of the questions call an entity
by another name, which stands in the table's comment in half of these cases and nowhere in the
others. Recall is the share of the needed tables that are linked. The first question, which builds
the index of words and embeds the tables, is timed apart.
"""

import argparse
import asyncio
import random
import statistics
import time
from dataclasses import dataclass
from typing import Any

from agentkit import embeddings
from agentkit.databases.linking import SchemaLinker
from agentkit.databases.schema import Column, ForeignKey, Schema, Table, count_tokens
from benchmarks._report import parser, report

# entity: another name for it, what it belongs to
DOMAINS: dict[str, dict[str, tuple[str, str | None]]] = {
    "sales": {
        "customer": ("client", None),
        "quotation": ("price offer", "customer"),
        "invoice": ("bill", "customer"),
        "discount": ("rebate", "customer"),
        "campaign": ("promotion", None),
        "territory": ("sales area", None),
        "shipment": ("delivery", "invoice"),
        "refund": ("money back", "invoice"),
    },
    "staff": {
        "employee": ("worker", "department"),
        "department": ("team", None),
        "salary": ("pay", "employee"),
        "vacation": ("holiday leave", "employee"),
        "appraisal": ("performance review", "employee"),
        "applicant": ("job candidate", "vacancy"),
        "vacancy": ("open position", "department"),
        "training": ("course", None),
    },
    "stock": {
        "warehouse": ("storage site", None),
        "article": ("product", "supplier"),
        "supplier": ("vendor", None),
        "purchase": ("procurement", "supplier"),
        "batch": ("production lot", "article"),
        "shelf": ("storage rack", "warehouse"),
        "stocktake": ("inventory count", "warehouse"),
        "returned_good": ("sent-back item", "article"),
    },
    "finance": {
        "account": ("ledger", None),
        "payment": ("money transfer", "account"),
        "budget": ("spending plan", "costcentre"),
        "costcentre": ("expense unit", None),
        "loan": ("credit", "account"),
        "tax": ("levy", None),
        "asset": ("fixed property", "costcentre"),
        "currency": ("exchange rate", None),
    },
    "clinic": {
        "patient": ("sick person", None),
        "physician": ("doctor", "ward"),
        "ward": ("hospital unit", None),
        "prescription": ("medication order", "patient"),
        "diagnosis": ("illness finding", "patient"),
        "appointment": ("consultation visit", "patient"),
        "vaccine": ("immunisation", None),
        "surgery": ("operation", "patient"),
    },
    "school": {
        "pupil": ("student", "classroom"),
        "teacher": ("instructor", None),
        "classroom": ("study group", None),
        "exam": ("test paper", "subject"),
        "subject": ("field of study", None),
        "grade": ("school mark", "pupil"),
        "timetable": ("weekly schedule", "classroom"),
        "scholarship": ("study grant", "pupil"),
    },
    "transport": {
        "vehicle": ("car", "depot"),
        "driver": ("chauffeur", "depot"),
        "route": ("itinerary", None),
        "depot": ("garage", None),
        "accident": ("crash", "vehicle"),
        "fuelling": ("petrol fill-up", "vehicle"),
        "toll": ("road charge", "route"),
        "cargo": ("freight", "route"),
    },
    "hotel": {
        "guest": ("visitor", None),
        "room": ("accommodation", None),
        "booking": ("reservation", "guest"),
        "minibar": ("room drinks", "room"),
        "housekeeping": ("cleaning", "room"),
        "restaurant": ("dining place", None),
        "event": ("function", None),
        "complaint": ("grievance", "guest"),
    },
    "support": {
        "ticket": ("help request", "agent"),
        "agent": ("support person", None),
        "callback": ("return call", "ticket"),
        "escalation": ("raised case", "ticket"),
        "survey": ("satisfaction poll", "ticket"),
        "knowledge_page": ("help text", None),
        "outage": ("downtime", None),
        "contract": ("service agreement", None),
    },
    "energy": {
        "meter": ("consumption counter", "household"),
        "household": ("home", None),
        "reading": ("measured value", "meter"),
        "tariff": ("price plan", None),
        "powerplant": ("generating station", None),
        "turbine": ("windmill", "powerplant"),
        "blackout": ("power cut", "powerplant"),
        "inspection": ("safety check", "powerplant"),
    },
    "media": {
        "author": ("writer", None),
        "magazine": ("periodical", None),
        "story": ("news piece", "author"),
        "photograph": ("picture", "story"),
        "subscription": ("standing order", "magazine"),
        "advert": ("commercial", "magazine"),
        "podcast": ("audio show", "author"),
        "correction": ("erratum", "story"),
    },
    "city": {
        "citizen": ("resident", None),
        "building": ("house", "street"),
        "street": ("road", None),
        "permit": ("official licence", "citizen"),
        "fine": ("penalty", "citizen"),
        "playground": ("children's park", "street"),
        "council_vote": ("ballot", None),
        "library_card": ("reader pass", "citizen"),
    },
}
COMPANIONS = "line type history archive note document status audit contact".split()
COLUMNS = (
    "code name title description created_at updated_at amount quantity price start_date end_date "
    "priority owner region email phone remark is_active external_reference version"
).split()


@dataclass
class Question:
    """A question, and the tables that its query needs."""

    text: str
    needs: set[str]


def generated(size: int, chance: random.Random) -> tuple[Schema, list[Question]]:
    """A schema of so many tables, and a hundred questions to it."""
    entities = [
        (domain, entity, other, parent)
        for domain, members in DOMAINS.items()
        for entity, (other, parent) in members.items()
    ]
    per_entity = max(1, -(-size // len(entities)))
    tables: dict[str, Table] = {}
    questions: list[Question] = []
    for domain, entity, other, parent in entities:
        if len(tables) >= size:
            break
        in_comment = chance.random() < 0.5
        name = f"{domain}_{entity}"
        above = f"{domain}_{parent}" if parent else None
        tables[name] = _table(name, above, f"each {other}" if in_comment else None, chance)
        for companion in COMPANIONS[: per_entity - 1]:
            tables[f"{name}_{companion}"] = _table(f"{name}_{companion}", name, None, chance)
        called = entity.replace("_", " ") if chance.random() < 0.5 else other
        questions += _questions(name, called, above, chance)
    known = {name: _without_loose_keys(table, tables) for name, table in tables.items()}
    asked = [question for question in questions if question.needs <= set(known)]
    return Schema("postgres", known), chance.sample(asked, min(100, len(asked)))


def _table(name: str, above: str | None, comment: str | None, chance: random.Random) -> Table:
    columns = [Column("id", "INTEGER", nullable=False)]
    if above:
        columns.append(Column(f"{above}_id", "INTEGER"))
    others = chance.sample(COLUMNS, chance.randrange(4, 11))
    columns += [Column(column, "VARCHAR(80)", is_text=True) for column in others]
    keys = (ForeignKey((f"{above}_id",), above, ("id",)),) if above else ()
    return Table(name, tuple(columns), None, ("id",), keys, comment)


def _without_loose_keys(table: Table, tables: dict[str, Table]) -> Table:
    kept = tuple(key for key in table.foreign_keys if key.table in tables)
    return Table(table.name, table.columns, None, ("id",), kept, table.comment)


def _questions(name: str, called: str, above: str | None, chance: random.Random) -> list[Question]:
    companion = chance.choice(COMPANIONS)
    asked = [
        Question(f"How many {called} records were created last month?", {name}),
        Question(
            f"What is the latest {companion} of every {called}?", {name, f"{name}_{companion}"}
        ),
    ]
    if above:
        whose = above.partition("_")[2].replace("_", " ")
        text = f"Which {whose} has the highest total amount of {called}?"
        asked.append(Question(text, {name, above}))
    return asked


async def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each size, by words alone and with embeddings."""
    rows = []
    for size in given.sizes:
        schema, questions = generated(size, random.Random(given.seed))
        for name, made in {
            "words": None,
            f"words and {given.embeddings}": given.embeddings,
        }.items():
            linker = SchemaLinker(schema, embeddings=embeddings(made) if made else None)
            rows.append(await _row(name, linker, schema, questions, given.max_tokens))
    return rows


async def _row(
    name: str, linker: SchemaLinker, schema: Schema, questions: list[Question], max_tokens: int
) -> dict[str, Any]:
    start = time.perf_counter()
    await linker.alink(questions[0].text, max_tokens=max_tokens)
    first = time.perf_counter() - start
    found, needed, tokens, seconds = 0, 0, [], []
    for question in questions:
        start = time.perf_counter()
        linked = await linker.alink(question.text, max_tokens=max_tokens)
        seconds.append(time.perf_counter() - start)
        tokens.append(count_tokens(linked.render()))
        found += len(question.needs & set(linked.tables))
        needed += len(question.needs)
    return {
        "tables, by": f"{len(schema.tables)}, {name}",
        "recall": round(found / needed, 4),
        "tokens": round(statistics.fmean(tokens)),
        "whole schema's tokens": count_tokens(schema.render()),
        "ms a question": round(statistics.median(seconds) * 1000, 1),
        "first question's seconds": round(first, 2),
        "questions": len(questions),
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000])
    options.add_argument("--embeddings", default="local")
    options.add_argument("--max-tokens", type=int, default=4_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    rows = asyncio.run(measure(given))
    settings = {"seed": given.seed, "max tokens": given.max_tokens, "embeddings": given.embeddings}
    report("schema linking", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
