"""Makes the graph of a research network that never was: the same one every time.

Run it as `python examples/research_network/make_graph.py [FOLDER]`.
"""

import datetime
import itertools
import random
import sys
from collections.abc import Iterator
from pathlib import Path

DEFAULT = Path(__file__).parent
SEED = 7
ROWS_A_LINE = 20

# the first property of a label is its key
NODES = {
    "Institution": {
        "id": "INT64",
        "name": "STRING",
        "city": "STRING",
        "country": "STRING",
        "founded": "INT64",
    },
    "Researcher": {
        "id": "INT64",
        "name": "STRING",
        "email": "STRING",
        "h_index": "INT64",
        "active": "BOOLEAN",
        "languages": "STRING[]",
    },
    "Topic": {"id": "INT64", "name": "STRING"},
    "Venue": {"id": "INT64", "name": "STRING", "kind": "STRING", "impact": "DOUBLE"},
    "Paper": {
        "id": "INT64",
        "title": "STRING",
        "published": "DATE",
        "pages": "INT64",
        "open_access": "BOOLEAN",
        "keywords": "STRING[]",
    },
    "ResearchGrant": {
        "id": "INT64",
        "code": "STRING",
        "amount": "DOUBLE",
        "start_date": "DATE",
        "end_date": "DATE",
    },
}
RELATIONSHIPS = {
    "WORKS_AT": (
        [("Researcher", "Institution")],
        {"role": "STRING", "since": "DATE", "until": "DATE"},
    ),
    "ADVISED": ([("Researcher", "Researcher")], {"since": "INT64", "completed": "BOOLEAN"}),
    "INTERESTED_IN": ([("Researcher", "Topic")], {}),
    "PART_OF": ([("Topic", "Topic")], {}),
    "WROTE": ([("Researcher", "Paper")], {"position": "INT64", "corresponding": "BOOLEAN"}),
    "CITES": ([("Paper", "Paper")], {}),
    "ABOUT": ([("Paper", "Topic")], {"weight": "DOUBLE"}),
    "PUBLISHED_IN": ([("Paper", "Venue")], {"volume": "INT64"}),
    "LEADS": ([("Researcher", "ResearchGrant")], {"since": "DATE"}),
    "FUNDED": (
        [("ResearchGrant", "Paper"), ("ResearchGrant", "Researcher")],
        {"share": "DOUBLE"},
    ),
}

TOWNS = {
    "Brackwater": "Canada",
    "Rivière-Grise": "Canada",
    "Hohenried": "Germany",
    "Mühlgrund": "Germany",
    "Nordvåg": "Norway",
    "Skarsund": "Norway",
    "Vale do Sal": "Brazil",
    "Serra Fria": "Brazil",
    "Montclairon": "France",
    "Kazehama": "Japan",
    "Te Awarere": "New Zealand",
    "Pieni Lahti": "Finland",
}
KINDS = [
    "University of {}",
    "{} Institute of Earth Sciences",
    "{} Polytechnic",
    "{} Observatory",
    "College of {}",
]
# every topic and what it is part of; the climate is what most papers are about
TOPICS = {
    "Earth system": None,
    "Climate": "Earth system",
    "Oceans": "Earth system",
    "Atmosphere": "Earth system",
    "Land": "Earth system",
    "Life": "Earth system",
    "Tides": "Oceans",
    "Sea ice": "Oceans",
    "Coral reefs": "Oceans",
    "Clouds": "Atmosphere",
    "Dust": "Atmosphere",
    "Monsoons": "Atmosphere",
    "Soils": "Land",
    "Peatlands": "Land",
    "Rivers": "Land",
    "Peat fires": "Peatlands",
    "River deltas": "Rivers",
    "Pollinators": "Life",
    "Bird migration": "Life",
    "Fungi": "Life",
    "Lichens": "Life",
}
UNWRITTEN = "Lichens"
VENUES = {
    "Annals of Weather and Water": "journal",
    "Journal of Slow Processes": "journal",
    "Letters on the Living Earth": "journal",
    "Coast & Shelf": "journal",
    "Northern Field Notes": "journal",
    "Cahiers de l'Atmosphère": "journal",
    "Open Soils": "journal",
    "Symposium on Earth Data": "conference",
    "Meeting of the Small Rivers": "conference",
    "Workshop on Remote Places": "workshop",
}
FIRST = (
    "Ada Bruno Chloé Dario Elif Fiona Goran Hana Ivo Jana Kofi Lena Mateo Nora Søren Zoë".split()
)
LAST = (
    "Arrowmere Bellwick D'Aubrac Dunmarrow Eskelby Fjordhelm Grünlauer Hollowell Ixtaran Jorvande "
    "Kestrelin Lindqvær Mirasol-Vane Nakahiro O'Marrin Øverlund Pellandro Quintão Šimkar Thornebury"
).split()
LANGUAGES = ["English", "French", "German", "Japanese", "Norwegian", "Portuguese"]
ROLES = ["Professor", "Lecturer", "Postdoc", "Technician"]
VERBS = "Counting Hearing Mapping Measuring Modelling Reconstructing Tracing Watching".split()
PLACES = ["the Orrin basin", "Cape Ember", "the Lower Tarn", "Skua Island", "the Ashen plateau"]
KEYWORDS = "archive drought fieldwork forecast isotopes model radar satellite survey trend".split()
LAST_DAY = datetime.date(2024, 12, 31)

Properties = dict[str, object]
Relations = dict[tuple[str, str, str], list[tuple[int, int, Properties]]]


def make(folder: Path = DEFAULT) -> list[Path]:
    """Write the tables and the graph, in place of what is there."""
    chance = random.Random(SEED)
    nodes = _nodes(chance)
    relations = _of_people(chance, nodes) | _of_papers(chance, nodes) | _of_grants(chance, nodes)
    lines = {
        "tables.cypher": _tables(),
        "graph.cypher": itertools.chain(_node_lines(nodes), _relation_lines(relations)),
    }
    for name, statements in lines.items():
        text = "".join(f"{statement};\n" for statement in statements)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in lines]


def _nodes(chance: random.Random) -> dict[str, list[Properties]]:
    institutions = [
        {
            "name": kind.format(town),
            "city": town,
            "country": country,
            "founded": chance.randrange(1820, 1996),
        }
        for kind, (town, country) in zip(
            itertools.cycle(KINDS), [*TOWNS.items(), *list(TOWNS.items())[:4]], strict=False
        )
    ]
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    researchers = [
        {
            "name": name,
            "email": f"{name[0].lower()}{number}@example.org" if chance.random() < 0.85 else None,
            "h_index": int(chance.triangular(0, 60, 8)),
            "active": chance.random() < 0.85,
            "languages": chance.sample(LANGUAGES, chance.randrange(1, 4)),
        }
        for number, name in enumerate(chance.sample(names, 110), 1)
    ]
    venues = [
        {"name": name, "kind": kind, "impact": round(chance.uniform(0.4, 9.5), 2)}
        for name, kind in VENUES.items()
    ]
    grants = []
    for number in range(1, 25):
        starts = _day(chance, datetime.date(2009, 1, 1), datetime.date(2022, 12, 31))
        ends = starts + datetime.timedelta(days=365 * chance.randrange(2, 6))
        amount = round(chance.uniform(40_000, 2_500_000), 2)
        code = f"RG-{starts.year}-{number:02}"
        grants.append({"code": code, "amount": amount, "start_date": starts, "end_date": ends})
    made = {
        "Institution": institutions,
        "Researcher": researchers,
        "Topic": [{"name": name} for name in TOPICS],
        "Venue": venues,
        "Paper": _papers(chance),
        "ResearchGrant": grants,
    }
    return {
        label: [{"id": number, **row} for number, row in enumerate(rows, 1)]
        for label, rows in made.items()
    }


def _papers(chance: random.Random) -> list[Properties]:
    subjects = [topic.lower() for topic in TOPICS if topic not in ("Earth system", UNWRITTEN)]
    titles = [
        f"{verb} {subject} {'on' if 'plateau' in place or 'Island' in place else 'at'} {place}"
        for verb in VERBS
        for subject in subjects
        for place in PLACES
    ]
    days = [_day(chance, datetime.date(2010, 1, 1), LAST_DAY) for _ in range(150)]
    return [
        {
            "title": title,
            "published": day,
            "pages": chance.randrange(4, 41),
            "open_access": chance.random() < 0.4,
            "keywords": chance.sample(KEYWORDS, chance.randrange(2, 5)),
        }
        for title, day in zip(chance.sample(titles, len(days)), sorted(days), strict=True)
    ]


def _of_people(chance: random.Random, nodes: dict[str, list[Properties]]) -> Relations:
    works, advised, interests = [], [], []
    topics = range(2, len(TOPICS) + 1)
    for person in nodes["Researcher"]:
        number = person["id"]
        places = chance.sample(range(1, len(nodes["Institution"]) + 1), chance.choice([1, 1, 1, 2]))
        since = _day(chance, datetime.date(1995, 1, 1), datetime.date(2015, 12, 31))
        for place in places:
            moved = _day(chance, since, LAST_DAY)
            until = None if person["active"] and place == places[-1] else moved
            role = chance.choice(ROLES)
            works.append((number, place, {"role": role, "since": since, "until": until}))
            since = moved
        # advisers come first in the list, so that nobody descends from themselves
        if number > 12 and chance.random() < 0.6:
            year, completed = chance.randrange(1990, 2024), chance.random() < 0.8
            adviser = chance.randrange(1, number)
            advised.append((adviser, number, {"since": year, "completed": completed}))
        interests += [(number, topic, {}) for topic in chance.sample(topics, chance.randrange(3))]
    numbers = {topic: number for number, topic in enumerate(TOPICS, 1)}
    return {
        ("Researcher", "WORKS_AT", "Institution"): works,
        ("Researcher", "ADVISED", "Researcher"): advised,
        ("Researcher", "INTERESTED_IN", "Topic"): interests,
        ("Topic", "PART_OF", "Topic"): [
            (numbers[topic], numbers[whole], {}) for topic, whole in TOPICS.items() if whole
        ],
    }


def _of_papers(chance: random.Random, nodes: dict[str, list[Properties]]) -> Relations:
    wrote, cites, about, venues = [], [], [], []
    numbers = {topic.lower(): number for number, topic in enumerate(TOPICS, 1)}
    for paper in nodes["Paper"]:
        number = paper["id"]
        # the last researchers have written nothing
        authors = chance.sample(range(1, 105), chance.choice([1, 2, 2, 3, 3, 4]))
        corresponding = chance.choice(authors)
        wrote += [
            (author, number, {"position": position, "corresponding": author == corresponding})
            for position, author in enumerate(authors, 1)
        ]
        earlier = range(max(1, number - 60), number)
        cited = chance.sample(earlier, min(len(earlier), chance.randrange(5)))
        cites += [(number, other, {}) for other in cited]
        topics = {numbers[subject] for subject in numbers if f" {subject} " in paper["title"]}
        topics |= {numbers["climate"]} if chance.random() < 0.6 else set()
        about += [
            (number, topic, {"weight": round(chance.uniform(0.1, 1), 2)})
            for topic in sorted(topics)
        ]
        volume = {"volume": paper["published"].year - 1999}
        venues.append((number, chance.randrange(1, len(VENUES) + 1), volume))
    return {
        ("Researcher", "WROTE", "Paper"): wrote,
        ("Paper", "CITES", "Paper"): cites,
        ("Paper", "ABOUT", "Topic"): about,
        ("Paper", "PUBLISHED_IN", "Venue"): venues,
    }


def _of_grants(chance: random.Random, nodes: dict[str, list[Properties]]) -> Relations:
    leads, papers, people = [], [], []
    for grant in nodes["ResearchGrant"]:
        number = grant["id"]
        leader, *others = chance.sample(range(1, 105), chance.randrange(2, 5))
        leads.append((leader, number, {"since": grant["start_date"]}))
        later = [
            paper["id"] for paper in nodes["Paper"] if paper["published"] > grant["start_date"]
        ]
        paid = chance.sample(later, min(len(later), chance.randrange(2, 6)))
        papers += [(number, paper, _share(chance)) for paper in paid]
        people += [(number, person, _share(chance)) for person in others]
    return {
        ("Researcher", "LEADS", "ResearchGrant"): leads,
        ("ResearchGrant", "FUNDED", "Paper"): papers,
        ("ResearchGrant", "FUNDED", "Researcher"): people,
    }


def _share(chance: random.Random) -> Properties:
    return {"share": chance.choice([0.25, 0.5, 1.0])}


def _day(chance: random.Random, first: datetime.date, last: datetime.date) -> datetime.date:
    return first + datetime.timedelta(days=chance.randrange((last - first).days + 1))


def _tables() -> Iterator[str]:
    for label, properties in NODES.items():
        key, *others = (f"{name} {kind}" for name, kind in properties.items())
        yield f"CREATE NODE TABLE {label}({', '.join([f'{key} PRIMARY KEY', *others])})"
    for kind, (pairs, properties) in RELATIONSHIPS.items():
        parts = [f"FROM {start} TO {end}" for start, end in pairs]
        parts += [f"{name} {type_}" for name, type_ in properties.items()]
        yield f"CREATE REL TABLE {kind}({', '.join(parts)})"


def _node_lines(nodes: dict[str, list[Properties]]) -> Iterator[str]:
    for label, rows in nodes.items():
        for row in rows:
            yield f"CREATE (:{label} {_literal(row)})"


def _relation_lines(relations: Relations) -> Iterator[str]:
    for (start, kind, end), rows in relations.items():
        # the rows of a list must have the same properties: Ladybug gives them one type
        groups: dict[tuple[str, ...], list[Properties]] = {}
        for first, second, properties in rows:
            known = {name: value for name, value in properties.items() if value is not None}
            groups.setdefault(tuple(known), []).append({"a": first, "b": second, **known})
        for names, group in groups.items():
            own = ", ".join(f"{name}: row.{name}" for name in names)
            for at in range(0, len(group), ROWS_A_LINE):
                yield (
                    f"UNWIND {_literal(group[at : at + ROWS_A_LINE])} AS row "
                    f"MATCH (a:{start} {{id: row.a}}), (b:{end} {{id: row.b}}) "
                    f"CREATE (a)-[:{kind}{f' {{{own}}}' if own else ''}]->(b)"
                )


def _literal(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case datetime.date():
            return f"date('{value}')"
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case dict():
            known = {name: own for name, own in value.items() if own is not None}
            return "{" + ", ".join(f"{name}: {_literal(own)}" for name, own in known.items()) + "}"
        case _:
            return str(value)


if __name__ == "__main__":
    print(*make(*map(Path, sys.argv[1:2])), sep="\n")
