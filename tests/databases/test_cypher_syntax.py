"""What `read_syntax` makes of queries: above all, that it takes no read for a write or back.

That each query below is read as it says was checked with the `EXPLAIN` of Neo4j 5.26.
"""

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.databases.cypher_syntax import NameUse, read_syntax
from agentkit.databases.cypher_tokens import cypher_tokens, respelled
from agentkit.errors import QueryError, QueryRefusedError

READ_CLAUSES = {
    *("MATCH", "OPTIONAL MATCH", "WITH", "RETURN", "UNWIND", "CALL", "OPTIONAL CALL", "UNION"),
    *("UNION ALL", "LOAD CSV", "LOAD CSV WITH HEADERS", "USE", "EXPLAIN", "CYPHER", "FINISH"),
    *("SHOW",),
}

READS = [
    "MATCH (set) RETURN set",
    "MATCH (set:Set {set: 1}) WHERE set.set = 2 RETURN set.set AS set",
    "MATCH (create) RETURN create",
    "MATCH (create:Create)-[delete:Delete]->(merge:Merge) RETURN create, delete, merge",
    "MATCH create = (a)-->(b) RETURN create",
    "MATCH set = (a)-[:SET]->(b), delete = (b)-->(c) RETURN set, delete",
    "MATCH (a), merge = (a)--(b) RETURN merge",
    "MATCH (n) RETURN n.create, n.set, n.delete, n.remove, n.merge",
    "MATCH (n) RETURN n.detach AS detach, n.drop AS drop, n.call AS call",
    "MATCH (n) WHERE n.set IN [1, 2] RETURN n",
    "MATCH (set) WHERE NOT set.x IN [1] RETURN set",
    "MATCH (set) WHERE NOT set IN [] RETURN set",
    "MATCH (set) WHERE set.x > 1 AND set.y < 2 OR set.z = 3 RETURN set ORDER BY set.x",
    "MATCH (n) RETURN {create: 1, set: 2, delete: 3, merge: n.x} AS m",
    "RETURN {create: {set: {delete: 1}}}.create.set AS remove",
    "WITH 1 AS set RETURN set + set AS create",
    "WITH 1 AS set RETURN {set: set}",
    "WITH 1 AS set, 2 AS delete WHERE set < delete RETURN set, delete",
    "WITH [1, 2] AS create UNWIND create AS set RETURN set",
    "UNWIND [1] AS create RETURN create",
    "UNWIND [1] AS remove WITH remove AS merge RETURN merge",
    "RETURN [set IN [1, 2] WHERE set > 1 | set * 2] AS create",
    "RETURN [create IN [1] | create]",
    "RETURN [delete IN [1, 2] WHERE delete = 1]",
    "RETURN all(set IN [1] WHERE set = 1)",
    "RETURN any(create IN [1] WHERE create = 1), none(merge IN [1] WHERE merge = 1)",
    "RETURN reduce(set = 0, create IN [1, 2] | set + create) AS remove",
    "MATCH (n) RETURN [(n)-[set:SET]->(create:CREATE) | create.delete] AS merge",
    "MATCH (n) RETURN n {.create, .set, delete: 1} AS merge",
    "MATCH (set) RETURN set {.*, create: set.x}",
    "MATCH (count) RETURN count {.x, .set}",
    "MATCH (n) RETURN count(*) AS create",
    "MATCH (n) RETURN count(n) AS set, collect(n.create) AS delete",
    "MATCH (n) RETURN COUNT { (n)-->() } AS set",
    "MATCH (n) RETURN COUNT { MATCH (n)-[set]->(create) RETURN set } AS create",
    "MATCH (n) WHERE EXISTS { (n)-[:CREATE]->(set) } RETURN n",
    "MATCH (n) WHERE EXISTS { MATCH (n)-->(set) WHERE set.create = 1 } RETURN n",
    "MATCH (n) WHERE NOT EXISTS { (n)-[:SET]->(:Delete) } RETURN n",
    "MATCH (n) RETURN COLLECT { MATCH (n)-->(set) RETURN set.x AS create } AS merge",
    "MATCH (n) WHERE EXISTS { set = (n)-->() } RETURN n",
    "MATCH (n) RETURN EXISTS { ANY SHORTEST (n)-->() } AS set",
    "CALL { MATCH (set) RETURN set } RETURN set",
    "MATCH (n) CALL { WITH n MATCH (n)-->(set) RETURN set LIMIT 3 } RETURN set",
    "MATCH (n) CALL (n) { MATCH (n)-->(create) RETURN create } RETURN create",
    "MATCH (set) CALL (set) { RETURN set.x AS create } RETURN set, create",
    "MATCH (n) CALL (*) { RETURN n.x AS delete } RETURN delete",
    "CALL () { RETURN 1 AS set } RETURN set",
    "CALL { RETURN 1 AS set UNION RETURN 2 AS set } RETURN set",
    "CALL db.labels() YIELD label AS set RETURN set",
    "CALL db.labels() YIELD label WHERE label = 'SET' RETURN label AS create",
    "CALL db.labels",
    "CALL db . labels ( )",
    "OPTIONAL CALL db.labels() YIELD label RETURN label",
    "RETURN 1 AS set UNION RETURN 2 AS set",
    "RETURN 1 AS set UNION ALL RETURN 2 AS set",
    "MATCH (n) RETURN CASE n.set WHEN 1 THEN 'create' ELSE 'delete' END AS merge",
    "MATCH (set) RETURN CASE set WHEN null THEN 1 END AS create",
    "MATCH (set) RETURN CASE WHEN set.x = 1 THEN set.y ELSE set.z END AS delete",
    "MATCH (n) WITH n, CASE WHEN true THEN 1 END AS set RETURN set",
    "MATCH (n) WHERE n:SET OR n:CREATE RETURN n",
    "MATCH (n:SET|CREATE) RETURN n",
    "MATCH (n:SET&!DELETE) RETURN n",
    "MATCH (n:(SET|MERGE)&REMOVE) RETURN n",
    "MATCH (n IS SET) RETURN n",
    "MATCH (n) WHERE n IS CREATE|SET RETURN n",
    "MATCH (n:%) RETURN n",
    "MATCH (n) WHERE n:!% RETURN n",
    "MATCH (n:$('SET')) RETURN n",
    "MATCH (n:$any(['CREATE'])) RETURN n",
    "MATCH ()-[:SET|CREATE|DELETE]->() RETURN 1 AS set",
    "MATCH ()-[set:SET*1..3]->() RETURN set",
    "MATCH ()-[set*]->() RETURN set",
    "MATCH ()-[create {set: 1}]->() RETURN create",
    "MATCH ()-[:!SET]->() RETURN 1",
    "MATCH (a)-[set]->{1,3}(b) RETURN set",
    "MATCH (a) ((set)-[:R]->(create)){1,3} (b) RETURN set",
    "MATCH (a) ((set)-[:R]->(y) WHERE set.z = 1)+ (b) RETURN a",
    "MATCH set = ANY SHORTEST (a)-[:R]->*(b) RETURN set",
    "MATCH ALL SHORTEST (a)-->+(set) RETURN set",
    "MATCH SHORTEST 2 PATHS (a)-->+(set) RETURN set",
    "MATCH set = shortestPath((a)-[:SET*]-(b)) RETURN set",
    "MATCH (a), (b) MATCH set = allShortestPaths((a)-[*..5]-(b)) RETURN set",
    "MATCH any = (a)-->(b) RETURN any",
    "MATCH (n) WHERE n.x IS NOT NULL AND n.set IS NULL RETURN n",
    "MATCH (n) WHERE n.x IS :: LIST<INTEGER NOT NULL> RETURN n.set",
    "MATCH (set) WHERE set.x IS TYPED INTEGER AND set.y > 1 RETURN set",
    "MATCH (set) WHERE set.x :: INTEGER | STRING RETURN set",
    "MATCH (n) WHERE n.x STARTS WITH 'set' OR n.x ENDS WITH 'create' RETURN n",
    "MATCH (set) WHERE 'x' STARTS WITH set.x RETURN set",
    "WITH 'a' AS starts WITH starts RETURN starts",
    "MATCH (n) WHERE n.x CONTAINS 'CREATE (n)' RETURN n",
    "MATCH (n) WHERE n.x = 'SET n.x = 1' RETURN n // CREATE (m)",
    "MATCH (n) /* DELETE n */ RETURN n",
    "MATCH (n) RETURN n.`CREATE (n)` AS `SET x = 1`",
    "MATCH (`CREATE (x)`:`DETACH DELETE n`) RETURN `CREATE (x)`",
    "MATCH (n) RETURN n ORDER BY n.set DESC SKIP 1 LIMIT 2",
    "MATCH (n) WITH n AS set ORDER BY set.x LIMIT 10 RETURN set",
    "MATCH (n) WITH DISTINCT n.set AS set RETURN set",
    "MATCH (n) WITH *, n.x AS set RETURN *",
    "MATCH (n) RETURN DISTINCT n.create",
    "MATCH (set) USING SCAN set:Person WHERE set:Person RETURN set",
    "MATCH (set:Person) USING SCAN set:Person RETURN set",
    "MATCH (set:A)-->(b)<--(c:C) USING JOIN ON b RETURN set",
    "MATCH (a:A)-->(set)<--(c:C) USING JOIN ON set RETURN set",
    "LOAD CSV FROM 'file:///x' AS set RETURN set",
    "LOAD CSV WITH HEADERS FROM 'file:///x' AS set FIELDTERMINATOR ';' RETURN set",
    "USE neo4j MATCH (set) RETURN set",
    "EXPLAIN MATCH (set) RETURN set",
    "CYPHER 5 MATCH (set) RETURN set",
    "CYPHER runtime=slotted MATCH (set) RETURN set",
    "MATCH (n) FINISH",
    "MATCH (n) RETURN $set AS create",
    "MATCH (n {x: $create}) RETURN n",
    "RETURN -1 * 2 + 3 / 4 % 5 ^ 6 AS set",
    "WITH 1 AS a, 2 AS set RETURN a - set, a < set, a > set, a <> set",
    "WITH [1, 2, 3] AS set RETURN set[0], set[1..], set[..2], set[0..1]",
    "WITH {create: 1} AS set RETURN set['create'], set.create",
    "RETURN date('2020-01-01').year AS set, datetime.realtime() AS create",
    "RETURN toUpper('set') AS create, apoc.text.join(['a'], '') AS set",
    "RETURN not true AS set",
    "WITH true AS set RETURN NOT set AS create",
    "WITH true AS set, false AS create RETURN set AND create, set OR NOT create, set XOR create",
    "MATCH (a), (b) WHERE (a)-[:SET]->(b) RETURN a",
    "MATCH (a), (b) WHERE NOT (a)--(b) AND (a)<--(b) RETURN a",
    "MATCH (a) WHERE exists((a)-[:CREATE]->()) RETURN a",
    "MATCH (a) OPTIONAL MATCH (a)-[set:SET]->(create) RETURN set, create",
    "MATCH (n) RETURN trim(BOTH 'x' FROM n.set) AS set",
    "MATCH (n) WHERE n.x IS NFC NORMALIZED RETURN n AS set",
    "MATCH (n) RETURN normalize(n.x, NFC) AS create",
    "MATCH (n WHERE n.set = 1) RETURN n",
    "MATCH (WHERE true) RETURN 1 AS set",
    "MATCH ()-[r WHERE r.set > 1]->() RETURN r",
    "MATCH (order) RETURN order ORDER BY order.by",
    "MATCH (match)-[return:RETURN]->(with) RETURN match, return, with",
    "MATCH (where) WHERE where.where = 1 RETURN where",
    "MATCH (union) RETURN union UNION MATCH (union) RETURN union",
    "MATCH (limit) RETURN limit LIMIT 1",
    "MATCH (in) WHERE in.in IN [in.x] RETURN in",
    "MATCH (foreach) RETURN foreach",
    "MATCH (call) RETURN call",
    "MATCH (load) RETURN load.csv",
    "MATCH (detach) RETURN detach",
    "MATCH (optional) OPTIONAL MATCH (optional)-->(x) RETURN optional",
    "MATCH (unwind) UNWIND unwind.x AS y RETURN y",
    "MATCH (using) RETURN using",
    "MATCH (on) RETURN on",
    "MATCH (end) RETURN CASE WHEN end.x = 1 THEN end.y ELSE end END AS then",
    "MATCH (all) RETURN all",
    "MATCH (exists) RETURN exists.exists",
    "MATCH (null) RETURN 1",
    "MATCH (n) RETURN n.name AS `set`, n.`set`",
    "MATCH (show) RETURN show",
    "MATCH (drop) RETURN drop.drop",
    "MATCH (is) WHERE is.is IS NOT NULL RETURN is",
    "MATCH (as) RETURN as AS as",
    "MATCH (yield) RETURN yield",
    "MATCH (finish) RETURN finish",
    "MATCH (use) RETURN use",
    "MATCH (explain) RETURN explain",
    "MATCH (insert) RETURN insert",
    "MATCH (start) RETURN start",
    "MATCH (grant) RETURN grant.alter",
    "MATCH (n) WITH n LIMIT 1 MATCH (n)-->(set) WITH collect(set) AS create RETURN size(create)",
    "MATCH (n) RETURN [x IN [n] WHERE x:SET | x.create]",
    "MATCH (n) RETURN [x IN [n] WHERE x:SET|CREATE | x.create]",
    "MATCH (n) WHERE any(set IN labels(n) WHERE set = 'x') RETURN n",
    "MATCH (`set`) SKIP 1 RETURN `set`",
    "MATCH (n) RETURN n AS transactions, 1 IN [1] AS in",
    "WITH [1] AS transactions RETURN 1 IN transactions AS set",
    "RETURN point({x: 1, y: 2}) AS set, duration({days: 1}) AS create",
    "RETURN \"it's\" AS set, 'say \"CREATE\"' AS create, 'it\\'s DELETE' AS x",
    "RETURN 1e3, 1.5E-3, .5, 0xFF, 0o17, 1_000 AS set",
    "SHOW FUNCTIONS YIELD name AS set RETURN set",
    "SHOW PROCEDURES YIELD name WHERE name = 'set' RETURN name",
]

WRITES = [
    ("CREATE (n)", "CREATE"),
    ("CREATE (n:A {x: 1})-[:R]->(m) RETURN n", "CREATE"),
    ("CREATE p = (a)-[:R]->(b) RETURN p", "CREATE"),
    ("create (n)", "CREATE"),
    ("CrEaTe/**/(n)", "CREATE"),
    ("INSERT (n)", "INSERT"),
    ("MATCH (n) CREATE (m)", "CREATE"),
    ("MATCH (n)CREATE(m)", "CREATE"),
    ("MATCH ((a)-->(b))+ CREATE (x)", "CREATE"),
    ("MATCH ((a)-->(b)){1,2} CREATE (x)", "CREATE"),
    ("MATCH (a)-->+(b) SET a.x = 1", "SET"),
    ("MATCH (a)-[*]->(b) SET a.x = 1", "SET"),
    ("MATCH (a)-[r]->{1,3}(b) CREATE (m)", "CREATE"),
    ("MATCH SHORTEST 2 PATHS (a)-->+(b) SET a.x = 1", "SET"),
    ("MATCH p = ANY SHORTEST (a)-->*(b) DELETE p", "DELETE"),
    ("MATCH (n:%) CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE n:% CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE n:!% SET n.x = 1", "SET"),
    ("MATCH (n) WHERE n:A|B SET n.x = 1", "SET"),
    ("MATCH (n) WHERE n:(A|B)&C SET n.x = 1", "SET"),
    ("MATCH (n) WHERE n IS Person SET n.x = 1", "SET"),
    ("MATCH (n:$('A')) SET n.x = 1", "SET"),
    ("MATCH (n:$any ([\"A\"])) SET n:$('B') REMOVE n.x", "REMOVE"),
    ("MATCH (n) WHERE n.x IS :: LIST<INTEGER> SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS :: LIST<LIST<INTEGER NOT NULL>> SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS TYPED INTEGER NOT NULL SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x :: INTEGER | STRING SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x :: ANY<INTEGER | STRING> SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS NOT :: INTEGER SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS :: TIMESTAMP WITHOUT TIME ZONE SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS :: TIME WITH TIME ZONE SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS :: INTEGER! SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS :: INTEGER ARRAY SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS :: PROPERTY VALUE SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS NFC NORMALIZED SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS NOT NORMALIZED SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS NULL SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IS NOT NULL SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x STARTS WITH 'a' SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x IN [1] SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x = $p SET n.y = 1", "SET"),
    ("MATCH (n) WHERE n.x = 'a' CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE n.x = 1 CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE true CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE (n)-->() CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE EXISTS { (n)-->() } CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE COUNT { (n)-->() } > 1 CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE n.x = [1, 2][0] CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE n.x = {a: 1}.a CREATE (m)", "CREATE"),
    ("MATCH (n) WHERE CASE WHEN true THEN true END CREATE (m)", "CREATE"),
    ("MATCH (n) WITH n, CASE WHEN true THEN 1 END AS c CREATE (m)", "CREATE"),
    ("MATCH (n) WITH n CREATE (m)", "CREATE"),
    ("MATCH (n) WITH * CREATE (m)", "CREATE"),
    ("MATCH (n) WITH DISTINCT * CREATE (m)", "CREATE"),
    ("MATCH (n) WITH DISTINCT n CREATE (m)", "CREATE"),
    ("MATCH (n) WITH *, 1 AS x SET n.x = x", "SET"),
    ("MATCH (n) WITH n ORDER BY n.x DESC SET n.x = 1", "SET"),
    ("MATCH (n) WITH n ORDER BY n.x SKIP 1 LIMIT 1 SET n.x = 1", "SET"),
    ("MATCH (n) WITH n WHERE n.x > 1 SET n.x = 1", "SET"),
    ("MATCH (n) WITH count(*) AS c CREATE (m)", "CREATE"),
    ("UNWIND [1] AS x CREATE (n)", "CREATE"),
    ("UNWIND [1] AS create CREATE (n)", "CREATE"),
    ("MATCH (set) SET set.set = 1", "SET"),
    ("MATCH (set) WITH set SET set.x = 1", "SET"),
    ("MATCH (create) WITH create CREATE (n)", "CREATE"),
    ("MATCH (all) WITH all CREATE (n)", "CREATE"),
    ("MATCH (count) WITH count CREATE (n)", "CREATE"),
    ("MATCH (exists) WITH exists CREATE (n)", "CREATE"),
    ("MATCH (null) WITH * CREATE (n)", "CREATE"),
    ("MATCH (in) WITH in SET in['x'] = 1", "SET"),
    ("MATCH (starts) WITH starts WITH starts CREATE (n)", "CREATE"),
    ("MATCH (end) WITH end CREATE (n)", "CREATE"),
    ("MATCH (when) WITH when SET when.then = 1", "SET"),
    ("MATCH (as) WITH as AS as CREATE (n)", "CREATE"),
    ("MATCH (is) WITH is SET is.x = 1", "SET"),
    ("MATCH (and) WITH and CREATE (n)", "CREATE"),
    ("MATCH (where) WITH where CREATE (n)", "CREATE"),
    ("MATCH (order) WITH order CREATE (n)", "CREATE"),
    ("MATCH (n) SET n += {x: 1}", "SET"),
    ("MATCH (n) SET n = {} CREATE (m)", "CREATE"),
    ("MATCH (n) SET n:Label", "SET"),
    ("MATCH (n) SET n IS Label", "SET"),
    ("MATCH (n) SET n:A:B CREATE (m)", "CREATE"),
    ("MATCH (n) SET (n).x = 1", "SET"),
    ("MATCH (n) SET n['x'] = 1", "SET"),
    ("MATCH (n) REMOVE n.x", "REMOVE"),
    ("MATCH (n) REMOVE n:Label", "REMOVE"),
    ("MATCH (n) DELETE n", "DELETE"),
    ("MATCH (n) DETACH DELETE n", "DETACH DELETE"),
    ("MATCH (n) DETACH /* x */ DELETE n", "DETACH DELETE"),
    ("MATCH (n) NODETACH DELETE n", "NODETACH DELETE"),
    ("MERGE (n:A {x: 1})", "MERGE"),
    ("MERGE (n) ON CREATE SET n.x = 1 ON MATCH SET n.y = 2", "MERGE"),
    ("FOREACH (x IN [1] | CREATE (n))", "CREATE"),
    ("FOREACH (x IN [1] | CREATE (n))", "FOREACH"),
    ("MATCH (n) FOREACH (set IN [1] | SET n.x = set)", "SET"),
    ("MATCH p = (a)-->(b) FOREACH (n IN nodes(p) | SET n.x = 1 SET n.y = 2)", "SET"),
    ("FOREACH (x IN [1] | FOREACH (y IN [1] | MERGE (n {x: y})))", "MERGE"),
    ("MATCH (n) FOREACH (x IN CASE WHEN n:A|B THEN [1] ELSE [] END | SET n.x = 1)", "SET"),
    ("CALL { CREATE (n) }", "CREATE"),
    ("CALL () { CREATE (n) }", "CREATE"),
    ("MATCH (n) CALL (n) { SET n.x = 1 }", "SET"),
    ("MATCH (n) CALL (*) { SET n.x = 1 }", "SET"),
    ("MATCH (n) CALL { WITH n SET n.x = 1 }", "SET"),
    ("MATCH (n) CALL { WITH n CALL { WITH n DELETE n } }", "DELETE"),
    ("CALL { RETURN 1 AS x UNION CREATE (n) RETURN 2 AS x } RETURN x", "CREATE"),
    ("MATCH (n) CALL { WITH n SET n.x = 1 } IN TRANSACTIONS", "IN TRANSACTIONS"),
    (
        "MATCH (n) CALL { WITH n SET n.x = 1 } IN 2 CONCURRENT TRANSACTIONS OF 10 ROWS "
        "ON ERROR CONTINUE REPORT STATUS AS s RETURN s",
        "IN TRANSACTIONS",
    ),
    ("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10 ROWS", "DETACH DELETE"),
    ("CALL db.labels() YIELD label CREATE (n {x: label})", "CREATE"),
    ("MATCH (n) CALL db.labels() YIELD label DELETE n", "DELETE"),
    ("CALL db.labels() YIELD label WHERE label = 'x' CREATE (n)", "CREATE"),
    ("LOAD CSV FROM 'file:///x' AS row CREATE (n)", "CREATE"),
    (
        "LOAD CSV WITH HEADERS FROM 'file:///x' AS row FIELDTERMINATOR ';' MERGE (n {x: row.x})",
        "MERGE",
    ),
    ("LOAD CSV FROM 'file:///x' AS row CREATE (n)", "LOAD CSV"),
    ("RETURN 1 AS x UNION CREATE (n) RETURN 2 AS x", "CREATE"),
    ("USE neo4j CREATE (n)", "CREATE"),
    ("CYPHER 5 CREATE (n)", "CREATE"),
    ("CYPHER 5 runtime = slotted planner=cost CREATE (n)", "CREATE"),
    ("EXPLAIN CREATE (n)", "CREATE"),
    ("MATCH (n:Person) USING SCAN n:Person SET n.x = 1", "SET"),
    ("MATCH (a:A)-->(b)<--(c:C) USING JOIN ON b SET b.x = 1", "SET"),
    ("MATCH (n) WHERE n.x = n.create CREATE (m)", "CREATE"),
    ("MATCH (`set`) WHERE 1 = `set`.x + 1 CREATE (m)", "CREATE"),
    ("MATCH (a) MATCH (b) WHERE (a)--(b) SET a.x = 1", "SET"),
    ("CREATE INDEX x FOR (n:L) ON (n.p)", "CREATE"),
    ("CREATE CONSTRAINT c FOR (n:L) REQUIRE n.p IS UNIQUE", "CREATE"),
    ("DROP INDEX x", "DROP"),
    ("CREATE (a) CREATE (b) SET a.x = 1 WITH a MATCH (c) REMOVE c.x", "REMOVE"),
]


@pytest.mark.parametrize("query", READS)
def test_awkward_names_are_not_taken_for_clauses_that_write(query):
    assert set(read_syntax(query).clauses) <= READ_CLAUSES


@pytest.mark.parametrize(("query", "clause"), WRITES)
def test_clauses_that_write_are_seen(query, clause):
    assert clause in read_syntax(query).clauses


@pytest.mark.parametrize(("query", "clause"), WRITES)
def test_clauses_that_write_are_seen_whatever_the_blanks(query, clause):
    tokens = cypher_tokens(query)
    spread = "/* a */ \n".join(token.text for token in tokens)
    assert read_syntax(spread).clauses == read_syntax(query).clauses
    assert clause in read_syntax(respelled(spread, cypher_tokens(spread))).clauses


def clauses(query):
    return read_syntax(query).clauses


def test_clauses_come_in_their_order_without_their_parts():
    query = (
        "MATCH (n) OPTIONAL MATCH (n)-->(m) WHERE m.x = 1 WITH n, m ORDER BY n.x LIMIT 3 "
        "CALL (n) { MATCH (n)-->(o) RETURN o } RETURN o UNION ALL RETURN 1 AS o"
    )
    assert clauses(query) == (
        *("MATCH", "OPTIONAL MATCH", "WITH", "CALL", "MATCH", "RETURN", "RETURN"),
        *("UNION ALL", "RETURN"),
    )


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("COPY (MATCH (n) RETURN n) TO 'x.csv'", "COPY"),
        ("LOAD FROM 'x.csv' RETURN *", "LOAD FROM"),
        ("INSTALL httpfs", "INSTALL"),
        ("ATTACH 'x.db' AS x", "ATTACH"),
        ("EXPORT DATABASE 'x'", "EXPORT"),
        ("IMPORT DATABASE 'x'", "IMPORT"),
        ("ALTER TABLE a ADD b INT64", "ALTER"),
        ("DROP TABLE a", "DROP"),
        ("GRANT ROLE a TO b", "GRANT"),
        ("PROFILE MATCH (n) RETURN n", "PROFILE"),
        ("BEGIN TRANSACTION", "BEGIN"),
        ("frobnicate everything", "FROBNICATE"),
        ("COMMENT ON TABLE a IS 'x'", "COMMENT"),
        ("CALL { frobnicate everything }", "CALL"),
    ],
)
def test_first_word_is_reported_whatever_it_is(query, first):
    assert clauses(query)[0] == first


def test_first_word_of_a_subquery_is_reported_whatever_it_is():
    assert clauses("CALL { frobnicate everything } RETURN 1") == ("CALL", "FROBNICATE", "RETURN")


def test_statements_are_counted():
    assert read_syntax("RETURN 1").statements == 1
    assert read_syntax("RETURN 1;").statements == 1
    assert read_syntax("RETURN 1 ; ; // no more").statements == 1
    assert read_syntax("RETURN ';' ; CREATE (n)").statements == 2
    assert clauses("RETURN ';' ; CREATE (n)") == ("RETURN", "CREATE")


@pytest.mark.parametrize(
    "query",
    [
        "MATCH (not) WITH not SET not.x = 1",
        "MATCH (case) WITH case CREATE (n)",
        "MATCH (distinct) WITH distinct SET distinct.x = 1",
        "MATCH (not {x: 1}) RETURN 1",
        "MATCH (not:A)-[case]->() RETURN 1",
        "MATCH ()-[not*1..2]->() RETURN 1",
        "MATCH not = (a)-->(b) RETURN 1",
        "UNWIND [1] AS not RETURN 1",
        "CALL a.b() YIELD not SET not.x = 1",
        "CALL a.b() YIELD x, not SET not.x = 1",
    ],
)
def test_variables_named_as_prefixes_are_refused(query):
    with pytest.raises(QueryRefusedError, match="in backticks"):
        read_syntax(query)


def test_variables_named_as_prefixes_may_be_quoted():
    assert clauses("MATCH (`not`) WITH `not` CREATE (n)") == ("MATCH", "WITH", "CREATE")


def test_procedures_and_functions_are_named_without_quotes_and_blanks():
    syntax = read_syntax(
        "CALL `db` . /* x */ labels() YIELD label "
        "RETURN apoc . text\n. `join`([toUpper(label)], '') AS a, count(*), datetime(), "
        "n.prop, EXISTS { (a)-->(b) }, all(x IN [1] WHERE x > size([1])), `id`(n)"
    )
    assert syntax.procedures == ("db.labels",)
    assert syntax.functions == (
        *("apoc.text.join", "toUpper", "count", "datetime", "all", "size", "id"),
    )


@pytest.mark.parametrize(
    "query",
    [
        "MATCH (n:$(a.b(1))) RETURN n",
        "MATCH (n {x: a.b(1)}) RETURN n",
        "MATCH (n WHERE n.x = a.b(1)) RETURN n",
        "MATCH ()-[r {x: a.b(1)}]->() RETURN r",
        "RETURN [x IN a.b(1) | x]",
        "RETURN {x: [a.b(1)]}",
        "MATCH (n) RETURN n {x: a.b(1)}",
        "RETURN CASE WHEN a.b(1) THEN 1 END",
        "RETURN NOT a.b(1)",
        "RETURN DISTINCT a.b(1)",
        "RETURN -a.b(1) + 1",
        "MATCH (n) WHERE n.x IN a.b(1) RETURN n",
        "MATCH (n) RETURN n ORDER BY a.b(1)",
        "MATCH (n) RETURN n LIMIT a.b(1)",
        "CALL c.d(a.b(1))",
        "MATCH (n) WHERE EXISTS { MATCH (n) WHERE a.b(1) } RETURN n",
        "USE a.b(1) MATCH (n) RETURN n",
        "UNWIND a.b(1) AS x RETURN x",
        "RETURN trim(BOTH a.b(1) FROM 'x')",
        "RETURN trim(LEADING FROM a.b(1))",
        "WITH 'x' AS from RETURN trim(BOTH from FROM a.b(1))",
        "RETURN CASE WHEN (a.b(1)) THEN (1) ELSE (2) END",
        "LOAD CSV FROM a.b(1) AS x RETURN x",
        "MATCH (not_a) RETURN [1, 2][a.b(1)..]",
    ],
)
def test_functions_are_found_wherever_they_stand(query):
    assert "a.b" in read_syntax(query).functions


def test_keywords_before_brackets_are_no_functions():
    query = (
        "MATCH (a) WHERE (a.x) = 1 AND (a.y) IN (a.z) OR NOT (a)-->() XOR (true) "
        "WITH DISTINCT (a) AS a ORDER BY (a.x) SKIP (1) LIMIT (2) UNWIND (a.x) AS x "
        "RETURN CASE (x) WHEN (1) THEN (2) WHEN (3) THEN (4) ELSE (5) END, "
        "CASE WHEN (x) THEN (1) END"
    )
    assert read_syntax(query).functions == ()


def pattern(query):
    (found,) = read_syntax(query).relationships
    return found


@pytest.mark.parametrize(
    ("written", "direction", "many"),
    [
        ("(a)-[r:R]->(b)", "out", False),
        ("(a)<-[r:R]-(b)", "in", False),
        ("(a)-[r:R]-(b)", "both", False),
        ("(a)<-[r:R]->(b)", "both", False),
        ("(a)-->(b)", "out", False),
        ("(a)<--(b)", "in", False),
        ("(a)--(b)", "both", False),
        ("(a) - [ r ] - > (b)", "out", False),
        ("(a) < - - (b)", "in", False),
        ("(a)-[*]->(b)", "out", True),
        ("(a)-[r:R*1..3 {x: 1}]->(b)", "out", True),
        ("(a)-[:R]->+(b)", "out", True),
        ("(a)-[:R]->{1,3}(b)", "out", True),
        ("(x) ((a)-[:R]->(b)){2} (y)", "out", True),
        ("p = ((a)-[:R]->(b))", "out", False),
        ("p = shortestPath((a)-[:R*]->(b))", "out", True),
        ("p = ANY SHORTEST (a)-[:R]->(b)", "out", False),
    ],
)
def test_relationships_have_a_direction_and_a_length(written, direction, many):
    found = pattern(f"MATCH {written} RETURN 1")
    assert (found.direction, found.many) == (direction, many)
    assert (found.left.variable, found.right.variable) == ("a", "b")


@pytest.mark.parametrize(
    "query",
    [
        "MATCH (a) WHERE (a)-->(:B) RETURN a",
        "MATCH (a) WHERE NOT (a)-->(:B) RETURN a",
        "MATCH (a) WHERE EXISTS { (a)-->(:B) } RETURN a",
        "MATCH (a) WHERE exists((a)-->(:B)) RETURN a",
        "MATCH (a) RETURN COUNT { MATCH (a)-->(:B) WHERE true }",
        "MATCH (a) RETURN COLLECT { MATCH (a)-->(b:B) RETURN b }",
        "MATCH (a) RETURN [(a)-->(b:B) | b.x]",
        "MATCH (a) RETURN [p = (a)-->(b:B) | p]",
        "MATCH (a) RETURN size([(a)-->(:B) | 1])",
        "MATCH (a) CALL (a) { MATCH (a)-->(b:B) RETURN b } RETURN b",
        "MATCH (a) RETURN CASE WHEN (a)-->(:B) THEN 1 END",
        "MATCH (a) WHERE a.x = 1 AND ((a)-->(:B) OR a.y = 2) RETURN a",
    ],
)
def test_patterns_are_found_wherever_they_stand(query):
    found = pattern(query)
    assert (found.left.variable, found.right.known) == ("a", {"B"})


@pytest.mark.parametrize(
    "query",
    [
        "WITH 1 AS a, 2 AS b RETURN (a.x - (b))",
        "WITH 1 AS a, 2 AS b RETURN count(a)-(b), count(a)--(b)",
        "WITH 1 AS a, 2 AS b RETURN a < -b, (a) < -(b), (a)<-(b), a--b",
        "WITH 1 AS a, [2] AS b RETURN (a)-[1, 2][0]-(a)",
        "RETURN (1)--(2)",
        "RETURN '(a)-[:R]->(b)' // (a)-[:R]->(b)",
        "MATCH (`(a)-->(b)`) RETURN 1",
    ],
)
def test_arithmetic_is_no_pattern(query):
    assert read_syntax(query).relationships == ()


@pytest.mark.parametrize(
    ("written", "labels", "conjunctive"),
    [
        ("(n)", None, False),
        ("(:A)", {"A"}, True),
        ("(n:A:B)", {"A", "B"}, True),
        ("(n:A&B)", {"A", "B"}, True),
        ("(n:A|B)", {"A", "B"}, False),
        ("(n:(A|B))", {"A", "B"}, False),
        ("(n IS A)", {"A"}, True),
        ("(IS A)", {"A"}, True),
        ("(n:`A b` {x: 1})", {"A b"}, True),
        ("(n:A WHERE n:B)", {"A"}, True),
        ("(n:!A)", None, False),
        ("(n:%)", None, False),
        ("(n:$('A'))", None, False),
        ("(n {x: $a})", None, False),
    ],
)
def test_nodes_have_the_labels_written_in_them(written, labels, conjunctive):
    (node,) = read_syntax(f"MATCH {written} RETURN 1").nodes
    assert (node.labels, node.conjunctive) == (labels, conjunctive)


@pytest.mark.parametrize(
    ("written", "types", "negated"),
    [
        ("[r]", None, set()),
        ("[:A]", {"A"}, set()),
        ("[:A|B]", {"A", "B"}, set()),
        ("[r:`A b`|B {x: 1}]", {"A b", "B"}, set()),
        ("[r IS A]", {"A"}, set()),
        ("[:!A]", None, {"A"}),
        ("[:!A&!B]", None, {"A", "B"}),
        ("[:A|!B]", None, set()),
        ("[:!(A|B)]", None, set()),
        ("[:%]", None, set()),
    ],
)
def test_relationships_have_the_types_written_in_them(written, types, negated):
    found = pattern(f"MATCH (a)-{written}->(b) RETURN 1")
    assert (found.types, found.negated) == (types, negated)


def uses(query):
    return [
        (use.property, set(use.labels or use.types or ())) for use in read_syntax(query).properties
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("MATCH (p:A) RETURN p.x", [("x", {"A"})]),
        ("MATCH (p:A {x: 1}) RETURN p", [("x", {"A"})]),
        ("MATCH (p)-->(q) MATCH (p:A) RETURN p.x", [("x", {"A"})]),
        ("MATCH ()-[r:R {x: 1}]->() RETURN r.y", [("x", {"R"}), ("y", {"R"})]),
        ("MATCH (p:A) RETURN p.x.year", [("x", {"A"})]),
        ("MATCH (p:A) RETURN p.`a b`", [("a b", {"A"})]),
        ("MATCH (p:A) RETURN p {.x, .*, y: p.z}", [("x", {"A"}), ("z", {"A"})]),
        ("MATCH (p:A) WITH p RETURN p.x", [("x", {"A"})]),
        ("MATCH (p:A) WITH * RETURN p.x", [("x", {"A"})]),
        ("MATCH (p:A) WITH p AS q RETURN q.x, p.y", [("x", {"A"})]),
        ("MATCH (p:A) WITH p.x AS p RETURN p.y", [("x", {"A"})]),
        ("MATCH (p:A) WITH collect(p) AS p RETURN p.y", []),
        ("MATCH (p:A) WITH 1 AS n MATCH (p:B) RETURN p.x", [("x", {"B"})]),
        (
            "MATCH (p:A) WITH p AS q ORDER BY p.x WHERE q.y = 1 RETURN 1",
            [("x", {"A"}), ("y", {"A"})],
        ),
        (
            "MATCH (p:A) RETURN p.x AS x UNION MATCH (p:B) RETURN p.x AS x",
            [("x", {"A"}), ("x", {"B"})],
        ),
        ("UNWIND [{a: 1}] AS row MATCH (n:A {id: row.b}) RETURN row.c", [("id", {"A"})]),
        ("LOAD CSV FROM 'x' AS row RETURN row.a", []),
        ("CALL a.b() YIELD node AS n, score RETURN n.x, score.y", []),
        ("MATCH (p:A) RETURN [x IN [p] | x.y], [p IN [1] | p.z], p.w", [("w", {"A"})]),
        ("MATCH (p:A) RETURN reduce(s = 0, p IN [1] | s + p.x)", []),
        ("MATCH (p:A) WHERE any(x IN p.y WHERE x.z = 1) RETURN 1", [("y", {"A"})]),
        ("MATCH (p:A) RETURN [(p)-->(m:B) WHERE m.x = 1 | m.y]", [("x", {"B"}), ("y", {"B"})]),
        (
            "MATCH (p:A) CALL { WITH p MATCH (p)-->(m:B) RETURN m } RETURN m.x, p.y",
            [("x", {"B"}), ("y", {"A"})],
        ),
        (
            "MATCH (p:A) CALL { MATCH (p:B) RETURN p AS q } RETURN q.x, p.y",
            [("x", {"B"}), ("y", {"A"})],
        ),
        ("MATCH (p:A) CALL (p) { RETURN p.x AS x } RETURN x", [("x", {"A"})]),
        ("MATCH (p:A) CALL (*) { RETURN p.x AS x } RETURN x", [("x", {"A"})]),
        ("MATCH (p:A) CALL () { MATCH (p:B) RETURN p.x AS x } RETURN x", [("x", {"B"})]),
        ("MATCH (p) WHERE EXISTS { (p:A)-->() } RETURN p.x", [("x", set())]),
        ("MATCH (p) OPTIONAL MATCH (p:A)-->() RETURN p.x", [("x", set())]),
        ("MATCH p = (a:A)-->(b) RETURN p.x, a.y", [("y", {"A"})]),
        ("MATCH ()-[r:R*]->() RETURN r.x", []),
        ("MATCH (n:A) RETURN a.b.c(n.x), {n: 1}.n", [("x", {"A"})]),
    ],
)
def test_properties_are_those_of_what_their_variable_is(query, expected):
    assert uses(query) == expected


def test_offsets_lead_to_the_names():
    query = "MATCH (n:A)-[:`R r`]->(m:B|C) WHERE n:D AND n.`x y` = m.z RETURN 1"
    syntax = read_syntax(query)
    assert [use.name for use in syntax.labels] == ["A", "B", "C", "D"]
    assert syntax.types == (NameUse("R r", query.index("`R r`")),)
    for use in syntax.labels:
        assert query.startswith(use.name, use.offset)
    assert [query[use.offset :][:3] for use in syntax.properties] == ["`x ", "z R"]


def test_labels_and_types_are_told_apart():
    syntax = read_syntax("MATCH (a:A)-[r:R]->(:B) WHERE r:S AND a:C AND (:D)-[:T]-(a) RETURN 1")
    assert [use.name for use in syntax.labels] == ["A", "B", "C", "D"]
    assert [use.name for use in syntax.types] == ["R", "S", "T"]


def filters(query):
    return [
        (found.property, found.op, found.value, found.ignore_case)
        for found in read_syntax(f"MATCH (n:A) {query}").filters
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("WHERE n.x = 'a' RETURN n", [("x", "=", "a", False)]),
        ("WHERE 'a' = n.x RETURN n", [("x", "=", "a", False)]),
        ("WHERE n.x IN ['a', \"b\"] RETURN n", [("x", "IN", "a", False), ("x", "IN", "b", False)]),
        ("WHERE toLower(n.x) = 'a' RETURN n", [("x", "=", "a", True)]),
        ("WHERE toLower(trim(n.x)) = toLower('A') RETURN n", [("x", "=", "a", True)]),
        (
            "WHERE (n.x = 'it\\'s' OR n.y = 'b') RETURN n",
            [("x", "=", "it's", False), ("y", "=", "b", False)],
        ),
        ("MATCH (m:B {x: 'a', y: 1}) RETURN n", [("x", "=", "a", False)]),
        ("RETURN [(n)-->(m:B {x: 'a'}) | m]", [("x", "=", "a", False)]),
        ("WHERE EXISTS { (n)-->(:B {x: 'a'}) } RETURN n", [("x", "=", "a", False)]),
        ("WHERE NOT n.x = 'a' AND n.y = 'b' RETURN n", [("y", "=", "b", False)]),
        ("WHERE NOT (n.x = 'a') RETURN n", []),
        ("WHERE NOT n.x IN ['a'] RETURN n", []),
        ("WHERE NOT EXISTS { (n)-->(:B {x: 'a'}) } RETURN n", []),
        ("WHERE NOT (n)-->(:B {x: 'a'}) RETURN n", []),
        ("WHERE n.x <> 'a' RETURN n", []),
        ("WHERE n.x CONTAINS 'a' OR n.x STARTS WITH 'b' OR n.x =~ 'c' RETURN n", []),
        ("WHERE n.x = 'a' + 'b' OR 'a' + n.x = 'b' RETURN n", []),
        ("WHERE n.x IN ['a', n.y] OR n.x = $p OR n.x = 1 RETURN n", []),
        ("WHERE n.x.y = 'a' RETURN n", []),
        ("SET n.x = 'a'", []),
        ("UNWIND [{x: 'a'}] AS r WITH r WHERE r.x = 'a' RETURN 1", []),
    ],
)
def test_filters_are_texts_that_a_property_must_equal(query, expected):
    assert filters(query) == expected


@pytest.mark.parametrize(
    "query", ["RETURN (1", "RETURN 1)", "RETURN [1)", "MATCH (n {x: 1) RETURN n"]
)
def test_brackets_must_match(query):
    with pytest.raises(QueryError, match=r"offset \d+"):
        read_syntax(query)


def test_deep_nesting_is_refused():
    with pytest.raises(QueryRefusedError, match="flatter"):
        read_syntax("RETURN " + "(" * 20_000 + "1" + ")" * 20_000)


@pytest.mark.parametrize(
    "part",
    [
        *("(a)-->", "a:", "n.x = 'a' AND ", "[x IN ", "CASE WHEN ", "WITH * ", "WITH *, 1 AS a "),
        *("MATCH (a:A)-[:R]->(b) ", "a|", "{a:", "NOT ", "CALL {", "`a`.", "a.b(", "RETURN a,"),
        *("UNION ", "; ", "$", "/**/", "IS ", ":: LIST<", "<-[", ")", "FOREACH (x IN y | "),
    ],
)
def test_long_queries_are_read_in_little_time(part):
    started = time.perf_counter()
    with contextlib.suppress(QueryError, QueryRefusedError):
        read_syntax("MATCH (n) " + part * (49_000 // len(part)))
    assert time.perf_counter() - started < 5


WORDS = st.sampled_from(
    [
        *(
            "MATCH",
            "create",
            "SET",
            "n",
            "a",
            "`b c`",
            "'x'",
            '"y"',
            "1",
            "1..2",
            "$p",
            "WITH",
            "AS",
        ),
        *("RETURN", "CALL", "IN", "IS", "NOT", "CASE", "WHEN", "END", "WHERE", "FOREACH", "EXISTS"),
        *("(", ")", "[", "]", "{", "}", ":", "|", "&", "!", "-", ">", "<", "*", ".", ",", ";", "="),
        *("::", "..", "+", "LIST", "UNION", "YIELD", "CYPHER", "$(", "%", "// c\n", "/* c */"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=40).map(" ".join)))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(QueryError, QueryRefusedError):
        read_syntax(text)


@pytest.mark.parametrize("query", READS)
def test_case_of_letters_does_not_matter(query):
    if not any(token.kind in ("string", "quoted", "number") for token in cypher_tokens(query)):
        assert clauses(query.upper()) == clauses(query) == clauses(query.lower())
