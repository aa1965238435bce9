"""What `check_query` accepts, what it makes of names, and what it says when it refuses."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.databases.schema import Column, Schema, Table
from agentkit.databases.sql_guard import CheckedQuery, Filter, check_query
from agentkit.errors import ConfigurationError, QueryError, QueryRefusedError

DIALECTS = ["sqlite", "postgres", "mysql", "duckdb"]


def table(name, *columns, schema=None):
    return Table(name, tuple(Column(column, "TEXT") for column in columns), schema=schema)


def schema_of(*tables, dialect="sqlite"):
    return Schema(dialect, {made.full_name: made for made in tables})


MUSIC = (
    table("artist", "id", "name", "country"),
    table("album", "id", "title", "artist_id", "year", "tags"),
    table("track", "id", "title", "album_id", "length"),
)


def check(sql, dialect="sqlite", *tables, **options):
    return check_query(
        sql, schema_of(*(tables or MUSIC), dialect=dialect), dialect=dialect, **options
    )


def refusal(sql, dialect="sqlite", *tables):
    with pytest.raises((QueryRefusedError, QueryError)) as refused:
        check(sql, dialect, *tables)
    return str(refused.value)


ACCEPTED = [
    "SELECT 1",
    "select name from artist",
    "SELECT name FROM artist;",
    " \n SELECT name FROM artist ; ; -- done",
    "(SELECT name FROM artist)",
    "SELECT * FROM artist UNION ALL SELECT * FROM artist ORDER BY 1 LIMIT 3",
    "SELECT id FROM artist INTERSECT SELECT artist_id FROM album",
    "SELECT id FROM artist EXCEPT SELECT artist_id FROM album",
    "WITH a AS (SELECT id FROM artist) SELECT * FROM a",
    "WITH a(x) AS (SELECT id FROM artist) SELECT x FROM a",
    "WITH a AS (SELECT id AS x FROM artist), b AS (SELECT x FROM a) SELECT b.x FROM b",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n",
    "SELECT a.name FROM artist a JOIN album b ON b.artist_id = a.id",
    "SELECT name FROM artist LEFT JOIN album ON artist.id = artist_id",
    "SELECT title FROM album JOIN track USING (title)",
    "SELECT title FROM album NATURAL JOIN track",
    "SELECT ARTIST.Name FROM Artist",
    "SELECT name AS n FROM artist ORDER BY n",
    "SELECT country AS c, count(*) AS k FROM artist GROUP BY c HAVING k > 1",
    "SELECT country, count(*) k FROM artist GROUP BY 1 ORDER BY k DESC",
    "SELECT name FROM artist a WHERE EXISTS (SELECT 1 FROM album WHERE artist_id = a.id)",
    "SELECT name FROM artist WHERE id IN (SELECT artist_id FROM album WHERE name = title)",
    "SELECT (SELECT max(title) FROM album WHERE artist_id = artist.id) FROM artist",
    "SELECT s.n FROM (SELECT name AS n FROM artist) s",
    "SELECT n FROM (SELECT *, name AS n FROM artist) s WHERE country = 'x'",
    "SELECT s.name FROM (SELECT a.* FROM artist a) s",
    "SELECT count(*) FROM (SELECT count(*) FROM artist) s",
    "SELECT rank() OVER (PARTITION BY country ORDER BY name) FROM artist",
    "SELECT sum(length) OVER w FROM track WINDOW w AS (ORDER BY id)",
    "SELECT CASE WHEN country = 'x' THEN 1 ELSE 0 END FROM artist",
    "SELECT coalesce(name, 'none') || '!' FROM artist",
    "SELECT name FROM artist WHERE name LIKE 'a%' OR name LIKE '%;%' OR name = '--'",
    "SELECT name FROM artist WHERE name = 'DROP TABLE artist; DELETE FROM album'",
    "SELECT cast(id AS CHAR(10)) FROM artist",
    "SELECT name FROM artist LIMIT 5 OFFSET 2",
    "SELECT DISTINCT country FROM artist WHERE country IS NOT NULL AND id BETWEEN 1 AND 3",
    "SELECT 'O''Brien', '', 'é中文', '\t' FROM artist",
    "SELECT current_date, current_timestamp FROM artist",
    "SELECT avg(year), min(year), max(year), round(avg(year), 2) FROM album",
    "SELECT t1.name, t2.name FROM artist t1, artist t2 WHERE t1.id < t2.id",
    "SELECT a.name FROM (artist a JOIN album b ON a.id = b.artist_id) JOIN track t ON t.id = b.id",
    "SELECT -1, +1, 1-1, 2*3, 7%2, 1<>2, 1!=2 FROM artist",
    "/* a comment */ SELECT /* in */ name -- between\nFROM artist",
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("sql", ACCEPTED)
def test_reads_are_accepted_in_every_dialect(sql, dialect):
    assert check(sql, dialect).sql


ACCEPTED_IN = [
    ("sqlite", "SELECT rowid, _rowid_, artist.oid FROM artist"),
    ("sqlite", "SELECT date(year, 'start of month', '+1 day'), julianday('now') FROM album"),
    ("sqlite", "SELECT strftime('%Y-%m', year) AS m FROM album GROUP BY m"),
    ("sqlite", "SELECT json_each.value FROM album, json_each(album.tags)"),
    ("sqlite", "SELECT j.value, key FROM album, json_each(tags) AS j"),
    ("sqlite", "SELECT value FROM generate_series(1, 5)"),
    ("sqlite", "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5) SELECT i FROM n"),
    ("sqlite", "WITH b AS (SELECT * FROM c), c AS (SELECT 1 AS x) SELECT x FROM b"),
    ("sqlite", 'SELECT [name], `country`, "id" FROM [artist]'),
    ("sqlite", "SELECT name FROM main.artist"),
    ("sqlite", "SELECT name FROM artist WHERE artist MATCH 'x' ORDER BY rank"),
    ("sqlite", "SELECT name AS n FROM artist WHERE n = 'x'"),
    ("sqlite", "SELECT iif(id > 1, 'a', 'b'), printf('%.2f', id), group_concat(name) FROM artist"),
    ("sqlite", "SELECT tags ->> '$.a', tags -> 'b' FROM album"),
    ("sqlite", "SELECT name FROM artist INDEXED BY by_name WHERE name GLOB 'a*'"),
    ("sqlite", "SELECT name FROM artist WHERE name LIKE 'a\\_%' ESCAPE '\\'"),
    ("postgres", "SELECT ctid, xmin FROM artist"),
    ("postgres", "SELECT name FROM public.artist"),
    ("postgres", "SELECT artist.name FROM public.artist"),
    ("postgres", "SELECT g FROM generate_series(1, 5) g"),
    ("postgres", "SELECT g.x, name FROM artist, generate_series(1, 5) AS g(x)"),
    ("postgres", "SELECT tag FROM album, unnest(string_to_array(tags, ',')) AS tag"),
    ("postgres", "SELECT e.key FROM album, jsonb_each(tags::jsonb) AS e"),
    (
        "postgres",
        "SELECT l.title FROM artist a, LATERAL (SELECT title FROM album b "
        "WHERE b.artist_id = a.id LIMIT 1) l",
    ),
    ("postgres", "SELECT a, row_to_json(a) FROM artist a"),
    ("postgres", "SELECT extract(year FROM now()), date_trunc('month', now()), age(now())"),
    ("postgres", "SELECT now() - interval '1 year', '2024-01-01'::date + 1"),
    (
        "postgres",
        "SELECT name FROM artist WHERE name ILIKE 'a%' AND name ~ '^a' AND id = ANY(ARRAY[1])",
    ),
    ("postgres", "SELECT name FROM artist WHERE name SIMILAR TO 'a%'"),
    ("postgres", "SELECT name FROM artist WHERE country::jsonb ? 'a'"),
    ("mysql", "SELECT ADDDATE(year, 1), TIMEDIFF(year, year), MID(title, 1, 2) FROM album"),
    ("postgres", "SELECT DISTINCT ON (country) name FROM artist ORDER BY country NULLS LAST"),
    (
        "postgres",
        "SELECT count(*) FILTER (WHERE id > 1), string_agg(name, ',' ORDER BY name) FROM artist",
    ),
    ("postgres", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY length) FROM track"),
    ("postgres", "SELECT country, count(*) FROM artist GROUP BY ROLLUP (country)"),
    ("postgres", "SELECT country FROM artist GROUP BY GROUPING SETS ((country), ())"),
    ("postgres", "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT 1 AS x) SELECT x FROM a"),
    ("postgres", "WITH a AS MATERIALIZED (SELECT id FROM artist) SELECT id FROM a"),
    ("postgres", "SELECT E'it\\'s', $$it's$$, $x$a$x$, 'a\\' FROM artist"),
    ("postgres", "SELECT user, current_user, session_user, current_schema"),
    (
        "postgres",
        "SELECT substring(name from 1 for 2), position('a' in name), trim(both from name), "
        "overlay(name placing 'x' from 1) FROM artist",
    ),
    ("postgres", 'SELECT name COLLATE "C" FROM artist ORDER BY name FETCH FIRST 3 ROWS ONLY'),
    (
        "postgres",
        "SELECT tags::jsonb ->> 'a', tags::jsonb #>> '{a,b}', tags::jsonb @> '{}' FROM album",
    ),
    ("postgres", "SELECT * FROM artist TABLESAMPLE SYSTEM (10)"),
    ("postgres", "VALUES (1, 'a'), (2, 'b')"),
    ("postgres", "SELECT v.a FROM (VALUES (1), (2)) AS v(a)"),
    ("postgres", "TABLE artist"),
    ("postgres", "SELECT make_interval(days => 10), to_char(now(), 'YYYY')"),
    ("postgres", "SELECT now() AT TIME ZONE 'UTC', (SELECT array_agg(id) FROM artist)[1]"),
    ("mysql", 'SELECT `name` FROM `artist` WHERE `name` = "x" AND country <=> NULL'),
    ("mysql", "SELECT 'it\\'s', \"a\\\"b\", 'back\\\\', 5--1 FROM artist # done"),
    (
        "mysql",
        "SELECT date_format(now(), '%Y-%m'), timestampdiff(MONTH, now(), now()), "
        "date_add(now(), INTERVAL 1 DAY), year(now()) FROM artist",
    ),
    ("mysql", "SELECT group_concat(DISTINCT name ORDER BY name SEPARATOR ', ') FROM artist"),
    (
        "mysql",
        "SELECT if(id > 1, 'a', 'b'), ifnull(name, ''), field(name, 'a'), sum(id = 1) FROM artist",
    ),
    ("mysql", "SELECT name FROM artist WHERE name REGEXP '^a' LIMIT 5, 10"),
    ("mysql", "SELECT name FROM artist WHERE name RLIKE 'a' XOR id = 1"),
    ("mysql", "SELECT name FROM artist USE INDEX (by_name) WHERE id DIV 2 = 1"),
    ("mysql", "SELECT country, count(*) FROM artist GROUP BY country WITH ROLLUP"),
    ("mysql", "SELECT _utf8mb4'a', x'41', b'1', N'x' FROM artist"),
    ("mysql", "SELECT 1 FROM dual"),
    ("mysql", "SELECT name FROM artist PARTITION (p0)"),
    ("postgres", "SELECT pg_catalog.lower(name) FROM artist"),
    ("duckdb", "SELECT name.lower().upper() FROM artist"),
    ("mysql", "SELECT j.a FROM album, JSON_TABLE(tags, '$[*]' COLUMNS (a INT PATH '$.a')) AS j"),
    (
        "mysql",
        "SELECT insert(name, 1, 1, 'x'), replace(name, 'a', 'b'), truncate(id, 1) FROM artist",
    ),
    ("duckdb", "FROM artist"),
    ("duckdb", "FROM artist SELECT name WHERE id = 1"),
    ("duckdb", "SELECT * EXCLUDE (id) FROM artist"),
    ("duckdb", "SELECT * REPLACE (upper(name) AS name) FROM artist"),
    ("duckdb", "SELECT country, count(*) FROM artist GROUP BY ALL ORDER BY ALL"),
    ("duckdb", "SELECT list_transform([1, 2], x -> x + 1), {'a': 1}, [1, 2][1]"),
    ("duckdb", "SELECT r.range FROM range(5) r"),
    ("duckdb", "SELECT unnest([1, 2]) AS u, name FROM artist"),
    ("duckdb", "SELECT tags.a.b, album.tags.a FROM album"),
    ("duckdb", "SELECT name FROM artist QUALIFY row_number() OVER (PARTITION BY country) = 1"),
    ("duckdb", "SELECT COLUMNS('n.*') FROM artist"),
    ("duckdb", "SELECT name AS n, upper(n) FROM artist WHERE n = 'x'"),
    ("duckdb", "SELECT name FROM artist USING SAMPLE 10%"),
    (
        "duckdb",
        "SELECT * FROM album ASOF JOIN track ON album.id = track.id AND album.year >= track.length",
    ),
    ("duckdb", "SELECT arg_max(name, id), median(id), first(name) FROM artist"),
]


@pytest.mark.parametrize(("dialect", "sql"), ACCEPTED_IN)
def test_reads_of_one_dialect_are_accepted(dialect, sql):
    assert check(sql, dialect).sql


@pytest.mark.parametrize(
    ("dialect", "operator"),
    [(dialect, operator) for dialect in DIALECTS for operator in ("<<", ">>")]
    + [("postgres", operator) for operator in ("!~", "!~*", "!~~", "!~~*")]
    + [("duckdb", operator) for operator in ("!~", "!~~")],
)
def test_an_operator_of_several_characters_stays_one(dialect, operator):
    sql = f"SELECT name FROM artist WHERE id {operator} country"
    assert check(sql, dialect).sql == sql


def test_a_question_mark_alone_is_a_parameter():
    for sql in ("SELECT ?", "SELECT name FROM artist WHERE id = ?"):
        assert "parameter" in refusal(sql, "postgres")


def test_what_is_checked_is_what_runs():
    checked = check("SELECT name -- who\nFROM/* from */artist WHERE id=-1 ;; -- ;")

    assert checked.sql == "SELECT name\nFROM artist WHERE id = -1"


@pytest.mark.parametrize(
    ("dialect", "given", "run"),
    [
        ("mysql", r"SELECT 'it\'s'", "SELECT 'it''s'"),
        ("mysql", r'SELECT "it\'s \"so\""', "SELECT 'it''s \"so\"'"),
        ("mysql", 'SELECT "a""b"', "SELECT 'a\"b'"),
        ("mysql", r"SELECT 'a\\'", r"SELECT 'a\\'"),
        ("mysql", r"SELECT 'a\n\%'", r"SELECT 'a\n\%'"),
        ("mysql", "SELECT 5--1", "SELECT 5 - -1"),
        ("postgres", r"SELECT E'it\'s\n'", r"SELECT E'it''s\n'"),
        ("postgres", "SELECT $$it's$$", "SELECT 'it''s'"),
        ("postgres", r"SELECT 'a\'", r"SELECT 'a\'"),
        ("duckdb", "SELECT $$it's$$", "SELECT 'it''s'"),
        ("sqlite", "SELECT 'a' AS\t\t\"b c\"", "SELECT 'a' AS\t\t\"b c\""),
        ("mysql", "SELECT count(*)", "SELECT count(*)"),
    ],
)
def test_strings_end_where_they_were_found_to_end(dialect, given, run):
    assert check_query(given, None, dialect=dialect).sql == run


@given(text=st.text(max_size=20))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_any_text_in_quotes_stays_a_text(dialect, text):
    quoted = "'" + text.replace("'", "''") + "'"
    if dialect == "mysql":
        quoted = quoted.replace("\\", "\\\\")
    try:
        checked = check_query(f"SELECT {quoted} AS x", None, dialect=dialect)
    except QueryRefusedError as error:
        assert re.search(r"U\+(00[01].|007F|D[89A-F]..)", str(error))  # noqa: PT017
    else:
        assert checked.sql == f"SELECT {quoted} AS x"


# names


def test_tables_are_listed_once_by_full_name():
    sales = table("order", "id", "total", schema="sales")
    checked = check_query(
        'SELECT * FROM sales."order" o JOIN ARTIST a ON a.id = o.id '
        "WHERE o.id IN (SELECT id FROM artist)",
        schema_of(*MUSIC, sales, dialect="postgres"),
        dialect="postgres",
    )

    assert checked.tables == ("sales.order", "artist")


def test_common_table_expressions_are_no_tables():
    checked = check(
        "WITH x AS (SELECT id FROM artist) SELECT * FROM x JOIN album ON x.id = album.id"
    )

    assert set(checked.tables) == {"artist", "album"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_unknown_table_is_told_with_the_nearest(dialect):
    told = refusal("SELECT * FROM artists", dialect)

    assert "'artists'" in told
    assert "nearest: artist" in told


def test_an_unknown_table_near_nothing_is_told_with_some_that_there_are():
    assert "There are: album, artist, track" in refusal("SELECT * FROM zzzzzz")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nmae FROM artist",
        "SELECT s.nmae FROM (SELECT nmae FROM artist) s",
        "SELECT nmae FROM (SELECT nmae FROM artist UNION SELECT title FROM album) s",
        "SELECT artist.nmae FROM artist",
        "SELECT a.nmae FROM artist a",
        "SELECT 1 FROM artist WHERE nmae = 'x'",
        "SELECT 1 FROM artist a JOIN album b ON a.nmae = b.title",
        "SELECT count(*) FROM artist GROUP BY nmae",
        "SELECT id FROM artist ORDER BY nmae",
        "SELECT (SELECT max(nmae) FROM album) FROM artist",
        "WITH x AS (SELECT nmae FROM artist) SELECT 1 FROM x",
        "WITH x AS (SELECT name FROM artist) SELECT nmae FROM x",
        "SELECT s.nmae FROM (SELECT name FROM artist) s",
        "SELECT s.nmae FROM (SELECT * FROM artist) s",
        "SELECT upper(nmae) FROM artist UNION SELECT title FROM album",
    ],
)
def test_an_unknown_column_is_told_with_the_nearest(sql, dialect):
    told = refusal(sql, dialect)

    assert "nmae" in told
    assert "nearest: name" in told


def test_a_column_of_another_table_is_told():
    assert "'artist.title'" in refusal("SELECT artist.title FROM artist JOIN album ON 1 = 1")


def test_an_unknown_alias_is_told_with_the_known_ones():
    told = refusal("SELECT b.name FROM artist a")

    assert "no table or alias 'b'" in told
    assert "a" in told.rsplit(":", 1)[1]


def test_a_text_in_double_quotes_is_told_to_be_a_name():
    assert "single quotes" in refusal('SELECT name FROM artist WHERE country = "Germany"')


@pytest.mark.parametrize("sql", ['SELECT "Name" FROM "Artist"', 'SELECT a."Name" FROM "Artist" a'])
def test_postgresql_keeps_the_case_of_quoted_names(sql):
    artist = table("Artist", "Id", "Name")

    assert check(sql, "postgres", artist).tables == ("Artist",)
    assert '"Artist"' in refusal('SELECT "Name" FROM Artist', "postgres", artist)
    assert '"Name"' in refusal('SELECT Name FROM "Artist"', "postgres", artist)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_reserved_and_non_ascii_names_are_found(dialect):
    tables = (table("order", "select", "größe"), table("Künstler", "名前", "a b"))
    quote = "`" if dialect == "mysql" else '"'
    sql = (
        "SELECT o.@select@, o.größe, @名前@, k.@a b@ "
        "FROM @order@ o JOIN @Künstler@ k ON k.@a b@ = o.größe"
    )

    assert check(sql.replace("@", quote), dialect, *tables).tables == ("order", "Künstler")


def test_another_database_is_not_the_default_one():
    assert "'other.artist'" in refusal("SELECT * FROM other.artist", "mysql")
    assert "'x.public.artist'" in refusal("SELECT * FROM x.public.artist", "postgres")


def test_two_schemas_may_have_tables_of_one_name():
    tables = (table("t", "a", schema="one"), table("t", "b", schema="two"))

    checked = check("SELECT a, b FROM one.t JOIN two.t ON a = b", "postgres", *tables)

    assert checked.tables == ("one.t", "two.t")


def test_without_a_schema_names_are_not_looked_at():
    checked = check_query("SELECT x FROM anything", None, dialect="postgres")

    assert checked.tables == ("anything",)
    assert checked.filters == ()


# filters and joins


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("country = 'x'", [("country", "x", "=", False)]),
        ("'x' = country", [("country", "x", "=", False)]),
        ("artist.country != 'x'", [("country", "x", "!=", False)]),
        ("country <> 'x'", [("country", "x", "!=", False)]),
        ("country IN ('x', 'y')", [("country", "x", "IN", False), ("country", "y", "IN", False)]),
        ("country NOT IN ('x')", [("country", "x", "NOT IN", False)]),
        ("lower(country) = 'x'", [("country", "x", "=", True)]),
        ("upper(trim(country)) = upper('x')", [("country", "x", "=", True)]),
        ("country LIKE 'x'", [("country", "x", "LIKE", False)]),
        ("country LIKE 'x%'", []),
        ("country > 'x'", []),
        ("id = 1", []),
        ("country = name", []),
        ("1 = 1 OR (country = 'x' AND id = 2)", [("country", "x", "=", False)]),
    ],
)
def test_texts_compared_with_columns_are_filters(where, found):
    checked = check(f"SELECT name FROM artist WHERE {where}")

    assert list(checked.filters) == [Filter("artist", *each) for each in found]


def test_filters_are_followed_through_subqueries_and_aliases():
    checked = check(
        "WITH g AS (SELECT id, country AS land FROM artist) "
        "SELECT * FROM (SELECT * FROM album) b JOIN g ON g.id = b.artist_id "
        "WHERE g.land = 'x' AND b.title = 'y'"
    )

    assert set(checked.filters) == {Filter("artist", "country", "x"), Filter("album", "title", "y")}


def test_ilike_takes_the_case_away():
    checked = check("SELECT 1 FROM artist WHERE country ILIKE 'x'", "postgres")

    assert checked.filters == (Filter("artist", "country", "x", "ILIKE", True),)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM artist, album",
        "SELECT * FROM artist JOIN album",
        "SELECT * FROM artist CROSS JOIN album",
        "SELECT * FROM artist a, album b WHERE a.country = 'x' AND b.year = 1",
        "SELECT * FROM artist a JOIN album b ON b.year = 1",
        "SELECT count(*) FROM (SELECT a.id FROM artist a, album b) s",
    ],
)
def test_tables_without_a_condition_between_them_are_cross_joins(sql):
    assert check(sql).cross_joins == (("artist", "album"),)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM artist, album WHERE artist.id = artist_id",
        "SELECT * FROM artist a, album b WHERE a.id + b.artist_id = 3",
        "SELECT * FROM artist NATURAL JOIN album",
        "SELECT * FROM album JOIN track USING (title)",
        "SELECT * FROM artist a, album b WHERE EXISTS "
        "(SELECT 1 FROM track t WHERE t.id = a.id AND t.album_id = b.id)",
        "SELECT * FROM artist a, (SELECT max(year) AS y FROM album) b",
        "SELECT * FROM artist WHERE id IN (SELECT artist_id FROM album)",
        "SELECT * FROM artist a, album b, track t WHERE a.id = artist_id AND t.album_id = b.id",
    ],
)
def test_joined_tables_are_no_cross_joins(sql):
    assert check(sql).cross_joins == ()


def test_a_table_without_a_join_among_three_is_found():
    checked = check("SELECT * FROM artist a JOIN album b ON a.id = b.artist_id, track t")

    assert checked.cross_joins == (("artist", "track"),)


# refusals


@pytest.mark.parametrize(
    "query", ["", "  \n", ";", "-- nothing", "/* nothing */ ;", None, 7, b"SELECT 1"]
)
def test_what_is_no_query_is_told(query):
    with pytest.raises(QueryError, match="Write one SELECT"):
        check_query(query, None, dialect="sqlite")


def test_prose_is_refused():
    assert "SORRY is not a statement" in refusal("Sorry, I cannot answer that.")


def test_with_names_only_selects():
    assert "Write one SELECT" in refusal("WITH a AS (name) SELECT * FROM artist")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_query_that_would_take_long_to_check_is_refused(dialect):
    union = " UNION ALL ".join(["SELECT title FROM album"] * 150)
    assert check(union, dialect).tables == ("album",)
    told = "more than 300 SELECTs and tables"
    assert told in refusal(f"{union} UNION ALL SELECT title FROM album", dialect)
    crossed = ", ".join(f"album a{n}" for n in range(300))
    assert told in refusal(f"SELECT a1.title FROM {crossed}", dialect)


def test_a_name_that_another_part_of_a_union_gives_is_none_of_a_part():
    checked = "SELECT title AS x FROM album UNION SELECT {} FROM track ORDER BY x"
    assert check(checked.format("title"))
    assert "There is no column 'x'" in refusal(checked.format("x"))


def test_a_fenced_query_is_refused_with_what_to_do():
    assert "Write one SELECT" in refusal("```sql\nSELECT 1\n```")


@pytest.mark.parametrize(
    "sql",
    ["SELECT FROM WHERE", "SELECT name FROM artist WHERE (id = 1", "SELECT 1 +", "SELECT a b c"],
)
def test_broken_syntax_is_told_with_the_place(sql):
    with pytest.raises(QueryError) as told:
        check(sql)

    assert "not valid SQL" in str(told.value)
    assert len(str(told.value)) < 300


def test_a_function_of_the_user_is_refused_unless_allowed():
    assert "MY_SCORE" in refusal("SELECT MY_SCORE(id) FROM artist")
    assert check("SELECT my_score(id) FROM artist", allow_functions=["My_Score"]).sql


def test_what_is_dangerous_cannot_be_allowed():
    with pytest.raises(QueryRefusedError, match="pg_sleep"):
        check("SELECT pg_sleep(1)", "postgres", allow_functions=["pg_sleep"])


def test_an_unknown_dialect_is_told():
    with pytest.raises(ConfigurationError, match="oracle"):
        check_query("SELECT 1", None, dialect="oracle")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '" + "x" * 60_000 + "'",
        "SELECT " + "1+" * 12_000 + "1",
        "SELECT " + "(" * 400 + "1" + ")" * 400,
        "SELECT " + "(" * 20_000,
        "SELECT " + "abs(" * 300 + "1" + ")" * 300,
        "SELECT " + "case when 1 then " * 300 + "1" + " end" * 300,
        "SELECT * FROM " + "(SELECT * FROM " * 200 + "artist" + ")" * 200,
        "SELECT " + "NOT " * 3_000 + "1",
        "SELECT " + "- " * 4_000 + "1",
        "/*" * 20_000,
        "/**/" * 10_000 + "\u00a0",
        "SELECT 1 " + "UNION SELECT 1 " * 2_400,
    ],
    ids=range(12),
)
def test_huge_queries_end_soon(sql, dialect):
    try:
        check(sql, dialect)
    except (QueryRefusedError, QueryError) as error:
        assert len(str(error)) < 600  # noqa: PT017


@given(sql=st.text(max_size=80), dialect=st.sampled_from(DIALECTS))
@settings(max_examples=500, deadline=None)
def test_any_text_is_answered_with_an_error_of_ours(sql, dialect):
    for query in (sql, f"SELECT {sql}", f"SELECT * FROM artist WHERE {sql}"):
        try:
            assert isinstance(check(query, dialect), CheckedQuery)
        except (QueryRefusedError, QueryError) as error:
            assert str(error)  # noqa: PT017


@pytest.mark.parametrize("dialect", ["duckdb", "mysql"])
def test_a_recursive_name_that_does_not_recurse_is_the_tables(dialect):
    told = refusal(
        "WITH RECURSIVE secret(i) AS (SELECT i FROM secret) SELECT i FROM secret", dialect
    )
    assert "secret" in told
