"""Makes the database of a music shop that never was: the same one every time.

Run it as `python examples/music_shop/make_database.py [FILE]`.
"""

import datetime
import random
import sqlite3
import sys
from pathlib import Path

DEFAULT = Path(__file__).parent / "music_shop.sqlite"
SEED = 7

SCHEMA = """
CREATE TABLE genre (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE artist (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL, founded INTEGER
);
CREATE TABLE album (
  id INTEGER PRIMARY KEY, title TEXT NOT NULL,
  artist_id INTEGER NOT NULL REFERENCES artist (id), released DATE NOT NULL
);
CREATE TABLE track (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL,
  album_id INTEGER NOT NULL REFERENCES album (id),
  genre_id INTEGER NOT NULL REFERENCES genre (id),
  seconds INTEGER NOT NULL, price DECIMAL(6, 2) NOT NULL
);
CREATE TABLE employee (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL,
  manager_id INTEGER REFERENCES employee (id), hired DATE NOT NULL
);
CREATE TABLE customer (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, country TEXT NOT NULL,
  email TEXT, supported_by INTEGER REFERENCES employee (id)
);
CREATE TABLE "order" (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer (id),
  ordered DATE NOT NULL, total DECIMAL(8, 2) NOT NULL
);
CREATE TABLE order_line (
  order_id INTEGER NOT NULL REFERENCES "order" (id),
  track_id INTEGER NOT NULL REFERENCES track (id),
  quantity INTEGER NOT NULL, price DECIMAL(6, 2) NOT NULL,
  PRIMARY KEY (order_id, track_id)
);
CREATE TABLE playlist (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE playlist_track (
  playlist_id INTEGER NOT NULL REFERENCES playlist (id),
  track_id INTEGER NOT NULL REFERENCES track (id),
  PRIMARY KEY (playlist_id, track_id)
);
CREATE VIEW sales_by_country AS
  SELECT customer.country, COUNT(*) AS orders, ROUND(SUM("order".total), 2) AS revenue
  FROM "order" JOIN customer ON customer.id = "order".customer_id
  GROUP BY customer.country;
"""

GENRES = ["Rock", "Jazz", "Classical", "Folk", "Electronic", "Hip-Hop", "Blues", "Chanson"]
PLACES = {
    "Germany": ["Berlin", "Köln", "Leipzig"],
    "France": ["Lyon", "Nantes"],
    "Switzerland": ["Zürich", "Genève"],
    "Norway": ["Bergen", "Tromsø"],
    "Brazil": ["São Paulo", "Recife"],
    "Canada": ["Montréal", "Halifax"],
    "Japan": ["Osaka", "Sapporo"],
    "New Zealand": ["Dunedin"],
}
ADJECTIVES = "Amber Broken Distant Electric Golden Hollow Paper Quiet Silver Velvet Wooden".split()
NOUNS = "Anchors Comets Engines Foxes Gardens Harbours Lanterns Mirrors Rivers Sparrows".split()
VERBS = "Burning Counting Crossing Following Leaving Losing Painting Waking".split()
FIRST = "Ada Bruno Chloé Dario Elif Fiona Goran Hana Ivo Jana Kofi Lena Mateo Nora Omar".split()
LAST = "Almeida Baker Chen Dubois Eriksen Fischer García Hansen Ito Jansen Keller Lund".split()
TITLES = ["General manager", "Sales manager", "Sales agent", "Sales agent", "Sales agent"]
PLAYLISTS = ["Morning", "Late night", "Focus", "Running", "Dinner", "Rainy day"]


def make(file: Path = DEFAULT) -> Path:
    """Write the database, in place of what is there."""
    file.unlink(missing_ok=True)
    connection = sqlite3.connect(file)
    connection.executescript(SCHEMA)
    for table, rows in _rows(random.Random(SEED)).items():
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)
    connection.commit()
    connection.execute("VACUUM")
    connection.close()
    return file


def _rows(chance: random.Random) -> dict[str, list[tuple]]:
    countries = list(PLACES)
    artists = _artists(chance, countries)
    albums, tracks = _albums_and_tracks(chance, artists)
    people = [f"{first} {last}" for first in FIRST for last in LAST]
    chance.shuffle(people)
    managers = [None, 1, 2, 2, 2]
    employees = [
        (number, people.pop(), title, manager, _day(chance, 2010, 2019))
        for number, (title, manager) in enumerate(zip(TITLES, managers, strict=True), 1)
    ]
    customers = []
    for number in range(1, 121):
        country = chance.choice(countries)
        name = people.pop()
        email = f"{name.split()[0].lower()}{number}@example.com" if chance.random() < 0.85 else None
        city = chance.choice(PLACES[country])
        customers.append((number, name, city, country, email, chance.randrange(3, 6)))
    orders, lines = _orders(chance, tracks)
    listed = [
        (number, track[0])
        for number in range(1, len(PLAYLISTS) + 1)
        for track in chance.sample(tracks, chance.randrange(10, 31))
    ]
    return {
        "genre": list(enumerate(GENRES, 1)),
        "artist": artists,
        "album": albums,
        "track": tracks,
        "employee": employees,
        "customer": customers,
        "order": orders,
        "order_line": lines,
        "playlist": list(enumerate(PLAYLISTS, 1)),
        "playlist_track": listed,
    }


def _artists(chance: random.Random, countries: list[str]) -> list[tuple]:
    names = [f"The {adjective} {noun}" for adjective in ADJECTIVES for noun in NOUNS]
    return [
        (
            number,
            name,
            chance.choice(countries),
            chance.randrange(1965, 2016) if chance.random() < 0.85 else None,
        )
        for number, name in enumerate(chance.sample(names, 40), 1)
    ]


def _albums_and_tracks(
    chance: random.Random, artists: list[tuple]
) -> tuple[list[tuple], list[tuple]]:
    albums, tracks = [], []
    for artist, *_ in artists:
        style = chance.randrange(1, len(GENRES) + 1)
        for _ in range(chance.randrange(1, 5)):
            title = f"{chance.choice(VERBS)} {chance.choice(ADJECTIVES)} {chance.choice(NOUNS)}"
            albums.append((len(albums) + 1, title, artist, _day(chance, 1995, 2024)))
            for _ in range(chance.randrange(6, 13)):
                genre = style if chance.random() < 0.8 else chance.randrange(1, len(GENRES) + 1)
                name = f"{chance.choice(VERBS)} {chance.choice(NOUNS)}"
                price = chance.choice([0.99, 1.29, 1.49])
                track = (name, len(albums), genre, chance.randrange(95, 560), price)
                tracks.append((len(tracks) + 1, *track))
    return albums, tracks


def _orders(chance: random.Random, tracks: list[tuple]) -> tuple[list[tuple], list[tuple]]:
    orders, lines = [], []
    for number in range(1, 601):
        bought = chance.sample(tracks, chance.randrange(1, 8))
        own = [(number, track[0], chance.choice([1, 1, 1, 2]), track[5]) for track in bought]
        total = round(sum(quantity * price for *_, quantity, price in own), 2)
        # the last customers have ordered nothing
        orders.append((number, chance.randrange(1, 113), _day(chance, 2022, 2024), total))
        lines += own
    return orders, lines


def _day(chance: random.Random, first: int, last: int) -> str:
    start = datetime.date(first, 1, 1)
    days = (datetime.date(last, 12, 31) - start).days
    return (start + datetime.timedelta(days=chance.randrange(days + 1))).isoformat()


if __name__ == "__main__":
    print(make(*map(Path, sys.argv[1:2])))
