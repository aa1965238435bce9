"""How a query is cut into tokens, and how it is spelled before it runs.

What strings hold was checked against Neo4j 5.26, which puts Unicode escapes in before it looks for
tokens.
"""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.databases.cypher_tokens import MAX_QUERY_CHARS, cypher_tokens, respelled
from agentkit.errors import QueryError, QueryRefusedError


def texts(query):
    return [token.text for token in cypher_tokens(query)]


def kinds(query):
    return [token.kind for token in cypher_tokens(query)]


def spelled(query):
    return respelled(query, cypher_tokens(query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("RETURN 1..4", ["RETURN", "1", "..", "4"]),
        (
            "1.5 .5 0xFF 0o17 1e-3 1_000 1.5E+3 1.0d",
            ["1.5", ".5", "0xFF", "0o17", "1e-3", "1_000", "1.5E+3", "1.0d"],
        ),
        ("[*1..]", ["[", "*", "1", "..", "]"]),
        ("[*..3]", ["[", "*", "..", "3", "]"]),
        ("1.e3", ["1", ".", "e3"]),
        ("n.x", ["n", ".", "x"]),
        ("a<-1", ["a", "<", "-", "1"]),
        ("(a)<-[r]-(b)-->(c)", list("(a)<-[r]-(b)-->(c)")),
        (
            "a<=b>=c<>d=~e+=f::g||h",
            ["a", "<=", "b", ">=", "c", "<>", "d", "=~", "e", "+=", "f", "::", "g", "||", "h"],
        ),
        ("$a $`b c` $1 $1a $(x)", ["$a", "$`b c`", "$1", "$1a", "$", "(", "x", ")"]),
        ("n:`a``b`", ["n", ":", "`a``b`"]),
        ("RETURN'a'\"b\"", ["RETURN", "'a'", '"b"']),
        ("a // b 'c\nd", ["a", "d"]),
        ("a // b\rd", ["a", "d"]),
        ("a/* ' /* // */b", ["a", "b"]),
        ("a/**/./**/b", ["a", ".", "b"]),
        ("名前 é a$b हिन्दी", ["名前", "é", "a$b", "हिन्दी"]),
        ("a\u00a0b\u2028c\u3000d", ["a", "b", "c", "d"]),
    ],
)
def test_a_query_is_cut_into_tokens(query, expected):
    assert texts(query) == expected


def test_tokens_have_kinds_values_and_places():
    query = "n `a``b` 'c\\'d' 1.5 $p $`q r` ="
    tokens = cypher_tokens(query)
    assert [(token.kind, token.value) for token in tokens] == [
        ("name", "n"),
        ("quoted", "a`b"),
        ("string", "c'd"),
        ("number", "1.5"),
        ("parameter", "p"),
        ("parameter", "q r"),
        ("symbol", "="),
    ]
    assert all(query[token.start : token.end] == token.text for token in tokens)


@pytest.mark.parametrize(
    ("string", "value"),
    [
        (r"'a\n\t\r\b\f\\\'\"\`'", "a\n\t\r\b\f\\'\"`"),
        (r"'a\u0041\u00e9'", "aAé"),
        (r"'\\u0041'", "\\u0041"),
        (r"'\\\u0041'", "\\A"),
        (r"'\ud83d\ude00'", "😀"),
        (r"'\q\%\/\0\x41'", "\\q\\%\\/\\0\\x41"),
        (r"'\U00000041'", "\\U00000041"),
        ("'a\nb'", "a\nb"),
        ("''", ""),
        ("'\"'", '"'),
    ],
)
def test_strings_have_the_value_that_the_server_reads(string, value):
    assert cypher_tokens(string)[0].value == value
    assert cypher_tokens(spelled(string))[0].value == value


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("MATCH (n) // all\nRETURN n /* all */ ;", "MATCH (n)  \nRETURN n"),
        ("RETURN/* a */1", "RETURN 1"),
        ("RETURN 1 ; ; // done", "RETURN 1"),
        ("RETURN 1; RETURN 2;", "RETURN 1; RETURN 2"),
        ("RETURN\u00a01", "RETURN 1"),
        (r"RETURN 'O\u0027Brien'", r"RETURN 'O\'Brien'"),
        (r'RETURN "a\u0022\u005c"', r'RETURN "a\"\\"'),
        (r"RETURN 'a\u000ab'", r"RETURN 'a\nb'"),
        (r"RETURN 'a\qb'", r"RETURN 'a\\qb'"),
        (r"RETURN 'a\'b\\c\n'", r"RETURN 'a\'b\\c\n'"),
        ("RETURN '// a' + '/* b */' + `c // d`", "RETURN '// a' + '/* b */' + `c // d`"),
        (r"RETURN 1 // \u000a CREATE (n)", "RETURN 1"),
        (r"RETURN 1 /* \u002a\u002f CREATE (n) */ + 1", "RETURN 1   + 1"),
    ],
)
def test_what_runs_has_no_comments_and_no_unusual_escapes(query, expected):
    assert spelled(query) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "The query is empty"),
        (" \n ", "The query is empty"),
        ("// only this", "only comments"),
        ("RETURN 'abc", r"string that begins in line 1, column 8 .* left open"),
        ("RETURN 1,\n 'abc\\'", r"string that begins in line 2, column 2 .* left open"),
        ('RETURN "abc', "string that begins .* left open"),
        ("RETURN `abc", "backtick in line 1, column 8 .* left open"),
        ("RETURN $`abc", "backtick in line 1, column 9 .* left open"),
        ("RETURN 1 /* abc", "comment that begins in line 1, column 10 .* left open"),
        ("RETURN ``", "is empty"),
        ("RETURN 1 # 2", r"U\+0023 \(NUMBER SIGN\) in line 1, column 10"),
        ("MATCH (a)–(b) RETURN a", r"U\+2013 \(EN DASH\)"),
        ("RETURN “a”", r"U\+201C"),
        ("RETURN a\u200bb", r"U\+200B"),
        ("RETURN\ufeff1", r"U\+FEFF"),
        ("RETURN 1\0", r"U\+0000"),
        ("RETURN '\ud800'", r"U\+D800"),
        (r"RETURN '\ud800'", "surrogate"),
        (r"RETURN '\u12'", "four hexadecimal digits"),
        ("RETURN 1a", "A name runs into the number"),
        ("RETURN 0XFF", "A name runs into the number"),
        ("RETURN $ a", "name of a parameter"),
        ("MATCH (n) ſET n.x = 1", r"U\+017F"),
        ("RETURN a?b", r"U\+003F"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(query, message):
    with pytest.raises(QueryError, match=message):
        cypher_tokens(query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (r"RET\u0055RN 1", "Unicode escape in line 1, column 4"),
        (r"RETURN 1 \u002f\u002f x", "Unicode escape"),
        (r"RETURN n\u002ename", "Unicode escape"),
        (r"RETURN 1 AS `a\u0060`", "quoted name .* Unicode escape"),
        (r"RETURN $`a\u0060`", "quoted name .* Unicode escape"),
        ("RETURN " + "1" * MAX_QUERY_CHARS, "50,000"),
    ],
)
def test_what_servers_may_read_otherwise_is_refused(query, message):
    with pytest.raises(QueryRefusedError, match=message):
        cypher_tokens(query)


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(QueryError, QueryRefusedError):
        cypher_tokens(text)


PIECES = st.one_of(
    st.sampled_from(
        [
            *(
                "MATCH",
                "n",
                "`a ``b`",
                "$p",
                "1.5",
                "..",
                "<",
                "-",
                ">",
                "(",
                ")",
                " ",
                "\n",
                "//x\n",
            ),
            *("/* ' */", r"'a\u0027'", r"'\\u0041'", r'"\q\u005c"', "'//'", "'/*'", ";", "\u00a0"),
        ]
    ),
    st.text("ab\\'\"`unU04 \n", max_size=12).map(lambda text: f"'{text}'"),
)


@given(st.lists(PIECES, min_size=1, max_size=12).map(" ".join))
def test_what_runs_is_read_as_what_was_checked(query):
    try:
        tokens = cypher_tokens(query)
    except (QueryError, QueryRefusedError):
        return
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    text = respelled(query, tokens)
    if not tokens:
        assert text == ""
        return
    again = cypher_tokens(text)
    assert [(token.kind, token.value) for token in again] == [
        (token.kind, token.value) for token in tokens
    ]
    assert "/*" not in "".join(token.text for token in again if token.kind == "symbol")
    assert respelled(text, again) == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_any_string_keeps_its_value(value):
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    token = cypher_tokens(f"'{escaped}'")[0]
    assert token.value == value
    every = "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in value)
    assert cypher_tokens(spelled(f"'{every}'"))[0].value == value
