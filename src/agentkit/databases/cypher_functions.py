"""What a Cypher query may call: functions that only compute, procedures that only read."""

from __future__ import annotations

from collections.abc import Collection

from agentkit._text import words

_KEYWORDS = words(
    "all any none single reduce exists count collect shortestpath allshortestpaths filter extract "
    "case cast"
)
"""What is written like a function and is a part of the language."""

_NEO4J = words(
    """
    abs acos asin atan atan2 avg btrim ceil char_length character_length coalesce cos cot date
    date.realtime date.statement date.transaction date.truncate datetime datetime.fromepoch
    datetime.fromepochmillis datetime.realtime datetime.statement datetime.transaction
    datetime.truncate degrees duration duration.between duration.indays duration.inmonths
    duration.inseconds e elementid endnode exp floor haversin head id isempty isnan keys labels last
    left length localdatetime localdatetime.realtime localdatetime.statement
    localdatetime.transaction localdatetime.truncate localtime localtime.realtime
    localtime.statement localtime.transaction localtime.truncate log log10 lower ltrim max min nodes
    normalize nullif percentilecont percentiledisc pi point point.distance point.withinbbox
    properties radians rand randomuuid range relationships replace reverse right round rtrim sign
    sin size split sqrt startnode stdev stdevp substring sum tail tan time time.realtime
    time.statement time.transaction time.truncate timestamp toboolean tobooleanlist tobooleanornull
    tofloat tofloatlist tofloatornull tointeger tointegerlist tointegerornull tolower tostring
    tostringlist tostringornull toupper trim type upper valuetype vector.similarity.cosine
    vector.similarity.euclidean vector_distance vector_norm vector vector_dimension_count
    apoc.coll.avg apoc.coll.contains apoc.coll.duplicates apoc.coll.flatten apoc.coll.frequencies
    apoc.coll.indexof apoc.coll.intersection apoc.coll.max apoc.coll.min apoc.coll.sort
    apoc.coll.sortmaps apoc.coll.sortnodes apoc.coll.subtract apoc.coll.sum apoc.coll.toset
    apoc.coll.union apoc.coll.zip apoc.convert.fromjsonlist apoc.convert.fromjsonmap
    apoc.convert.tojson apoc.date.convert apoc.date.format apoc.date.parse apoc.map.frompairs
    apoc.map.get apoc.map.merge apoc.map.values apoc.number.format apoc.temporal.format
    apoc.text.capitalize apoc.text.clean apoc.text.distance apoc.text.fuzzymatch
    apoc.text.indexof apoc.text.join apoc.text.jarowinklerdistance apoc.text.levenshteindistance
    apoc.text.levenshteinsimilarity apoc.text.lpad apoc.text.regexgroups apoc.text.replace
    apoc.text.rpad apoc.text.sorensendicesimilarity apoc.text.split
    """
)
"""Source: https://neo4j.com/docs/cypher-manual/5/functions/ and https://neo4j.com/docs/apoc/5/."""

_LADYBUG = words(
    """
    abs acos array_append array_concat array_contains array_cosine_similarity array_cross_product
    array_distance array_dot_product array_extract array_has array_indexof array_inner_product
    array_position array_prepend array_slice array_squared_distance array_value asin atan atan2 avg
    cardinality cbrt ceil ceiling century coalesce concat concat_ws constant_or_null contains cos
    cot current_date current_timestamp date date_part date_trunc datepart datetrunc dayname decode
    degrees element_at encode end_node ends_with endnode epoch_ms even exp factorial floor gamma
    greatest hash id ifnull initcap interval duration is_acyclic is_trail keys label labels last_day
    lcase least left length levenshtein lgamma list_any_value list_append list_cat list_concat
    list_contains list_creation list_distinct list_element list_extract list_filter list_has
    list_has_all list_has_any list_indexof list_max list_min list_position list_prepend
    list_product list_reduce list_reverse list_reverse_sort list_slice list_sort list_sum
    list_to_string list_transform list_unique ln localtime log log10 log2 lower lpad ltrim make_date
    map map_extract map_keys map_values max md5 min monthname nodes nullif octet_length offset
    percentilecont percentiledisc pi pow prefix properties radians random range regexp_extract
    regexp_extract_all regexp_full_match regexp_matches regexp_replace regexp_split_to_array
    relationships rels repeat replace reverse right round rpad rtrim sha256 sign sin size
    split_part sqrt start_node starts_with startnode str_split string string_split string_to_array
    struct_extract struct_pack substr substring suffix sum tan time_bucket timestamp to_date
    to_days to_double to_epoch_ms to_float to_hours to_int128 to_int16 to_int32 to_int64 to_int8
    to_interval to_microseconds to_milliseconds to_minutes to_months to_seconds to_string
    to_timestamp to_uint128 to_uint16 to_uint32 to_uint64 to_uint8 to_uuid to_years toboolean
    tofloat tointeger tolower tostring toupper trim typeof ucase union_extract union_tag
    union_value upper uuid gen_random_uuid
    """
)
"""Source: https://docs.ladybugdb.com/cypher/expressions/."""

_FUNCTIONS = {"neo4j": _NEO4J, "ladybug": _LADYBUG}

_PROCEDURES = words(
    """
    db.labels db.relationshiptypes db.propertykeys db.schema.visualization
    db.schema.nodetypeproperties db.schema.reltypeproperties db.index.fulltext.querynodes
    db.index.fulltext.queryrelationships db.index.vector.querynodes
    db.index.vector.queryrelationships
    """
)
"""Procedures that read the graph and nothing beside it.

Source: https://neo4j.com/docs/operations-manual/5/procedures/.
"""


def is_read_function(name: str, dialect: str, allowed: Collection[str]) -> bool:
    """Whether a function only computes with what it is given, or is one of those allowed."""
    folded = _folded(name)
    known = _KEYWORDS | _FUNCTIONS[dialect]
    return folded in known or folded in {_folded(each) for each in allowed}


def is_read_procedure(name: str, allowed: Collection[str]) -> bool:
    """Whether a procedure only reads the graph, or is one of those allowed."""
    return _folded(name) in _PROCEDURES or _folded(name) in {_folded(each) for each in allowed}


def _folded(name: str) -> str:
    return name.replace("`", "").replace(" ", "").casefold()
