"""The functions that a query may call, those it may not, and the tables that are the engine's own.

A function that is in no list here, a user's own among them, is refused unless it is one that
sqlglot knows: what it does cannot be seen from the query. The lists follow the engines' manuals:
PostgreSQL 9.x–18 chapter 9, MySQL 8.4 chapter 14 with MariaDB 11's, SQLite's `lang_corefunc`,
`lang_datefunc`, `json1` and `fts5`, DuckDB's `duckdb_functions()`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from agentkit._text import words

DIALECTS = ("sqlite", "postgres", "mysql", "duckdb")


READ_FUNCTIONS: Mapping[str, frozenset[str]] = {
    "sqlite": words(
        """
        bm25 datetime highlight json json_array json_array_length json_each json_error_position
        json_group_array json_group_object json_insert json_object json_patch json_pretty
        json_quote json_replace json_tree json_valid jsonb jsonb_array jsonb_each jsonb_extract
        jsonb_group_array jsonb_group_object jsonb_object jsonb_patch jsonb_tree julianday
        likelihood likely matchinfo octet_length offsets printf quote snippet time timediff total
        unistr unistr_quote unixepoch unlikely generate_series regexp
        """
    ),
    "postgres": words(
        """
        abbrev acosd age area array_dims array_fill array_lower array_ndims array_positions
        array_replace array_sample array_shuffle array_to_json array_upper asind atan2d atand
        bit_and bit_or bit_xor bool_and bool_or bound_box box broadcast btrim cardinality center
        circle clock_timestamp col_description convert_from convert_to cosd cotd crc32 crc32c
        date_part diagonal diameter div enum_first enum_last enum_range erf erfc every
        family format format_type gcd gen_random_uuid generate_subscripts height hostmask
        inet_merge inet_same_family isclosed isempty isfinite isopen json_agg json_array_elements
        json_array_elements_text json_array_length json_build_array json_build_object json_each
        json_each_text json_extract_path json_extract_path_text json_object_agg
        json_object_agg_strict json_object_agg_unique json_agg_strict json_populate_record
        json_populate_recordset json_query json_scalar json_serialize json_to_record
        json_to_recordset json_typeof jsonb_agg jsonb_agg_strict jsonb_array_elements
        jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
        jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert
        jsonb_object jsonb_object_agg jsonb_object_keys jsonb_path_exists_tz jsonb_path_match
        jsonb_path_match_tz jsonb_path_query jsonb_path_query_array jsonb_path_query_array_tz
        jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz
        jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax
        jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof lcm line log10 lower_inc
        lower_inf lseg macaddr8_set7bit make_date make_time make_timestamp make_timestamptz
        masklen min_scale multirange netmask network normalize now npoints num_nonnulls num_nulls
        numnode obj_description octet_length parse_ident path phraseto_tsquery
        plainto_tsquery point polygon quote_ident quote_literal quote_nullable querytree
        radius range_agg range_intersect_agg range_merge regexp_match regexp_matches
        regexp_split_to_array regexp_split_to_table row row_to_json scale set_masklen setweight
        sha224 sha256 sha384 sha512 shobj_description sind slope statement_timestamp
        string_to_table strip substr tand text timeofday timezone to_ascii to_json to_jsonb
        to_tsquery to_tsvector transaction_timestamp trim_array trim_scale ts_delete ts_filter
        ts_headline ts_rank ts_rank_cd tsquery_phrase tsvector_to_array
        array_to_tsvector json_to_tsvector jsonb_to_tsvector unistr upper_inc upper_inf uuidv4
        uuidv7 uuid_extract_timestamp uuid_extract_version websearch_to_tsquery width xmlagg
        xmlcomment xmlconcat xmlforest xmlpi xmlroot xmltext xpath xpath_exists xml_is_well_formed
        date numrange int4range int8range daterange tsrange tstzrange grouping version pg_typeof
        pg_size_pretty pg_column_size get_byte get_bit set_byte set_bit similarity
        word_similarity strict_word_similarity unaccent show_trgm lower upper
        casefold array_sort array_reverse any_value
        """
    ),
    "mysql": words(
        """
        acos adddate addtime any_value bin bin_to_uuid bit_and bit_count bit_or bit_xor char_length
        character_length conv convert_tz crc32 datetime day_name dayname elt export_set field
        find_in_set format_bytes format_pico_time from_days from_unixtime get_format grouping
        ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval is_ipv4
        is_ipv4_compat is_ipv4_mapped is_ipv6 is_uuid isnull json_array json_arrayagg
        json_array_append json_array_insert json_compact json_contains json_contains_path
        json_depth json_detailed json_equals json_exists json_extract json_insert json_keys
        json_length json_loose json_merge json_merge_patch json_merge_preserve json_normalize
        json_object json_objectagg json_overlaps json_pretty json_query json_quote json_remove
        json_replace json_schema_valid json_search json_set json_storage_free json_storage_size
        json_type json_unquote json_valid json_value last_day locate log10 lpad ltrim make_set
        makedate maketime mbrcontains mbrwithin microsecond mid name_const natural_sort_key nvl
        nvl2 oct octet_length ord period_add period_diff position quote random_bytes
        regexp_instr regexp_like regexp_replace regexp_substr rpad sec_to_time sformat
        st_area st_asgeojson st_astext st_buffer st_centroid st_contains st_crosses st_disjoint
        st_distance_sphere st_equals st_geomfromgeojson st_geomfromtext st_intersects st_isvalid
        st_latitude st_length st_longitude st_overlaps st_srid st_touches st_within st_x st_y
        std strcmp subdate subtime sysdate timediff time_format time_to_sec timestamp to_char
        to_days to_seconds truncate uncompress uncompressed_length unhex unix_timestamp uuid_short
        uuid_to_bin weekday yearweek greatest least now version
        chr mod rownum substr
        """
    ),
    "duckdb": words(
        """
        add age aggregate arg_max_null arg_min_null array_aggr array_aggregate array_apply
        array_cosine_distance array_cosine_similarity array_cross_product array_distance
        array_dot_product array_extract array_grade_up array_has_any array_indexof
        array_inner_product array_negative_inner_product array_pop_back array_pop_front
        array_push_back array_push_front array_reduce array_resize array_select array_to_json
        array_transform array_unique array_value array_where array_zip bar base64 bin bit_count
        bit_position bitstring bitstring_agg cardinality century count_star
        damerau_levenshtein date_part date_sub datepart datesub days_in_month decade divide
        element_at entropy enum_code enum_first enum_last enum_range enum_range_boundary epoch_ns
        epoch_us equi_width_bins era even favg fdiv filter fmod format_bytes
        formatreadabledecimalsize formatreadablesize from_binary fsum gamma gcd
        generate_subscripts geomean geometric_mean get_current_timestamp grade_up
        greatest_common_divisor hamming hash histogram histogram_exact histogram_values isfinite
        isoyear jaccard jaro_similarity json_array_length json_contains json_each json_exists
        json_group_array json_group_object json_group_structure json_merge_patch json_pretty
        json_quote json_structure json_transform json_transform_strict json_tree json_valid
        json_value julian kahan_sum kurtosis_pop lcm least_common_multiple left_grapheme
        length_grapheme lgamma list_aggr list_aggregate list_any_value list_apply
        list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor list_bool_and
        list_bool_or list_cat list_cosine_similarity list_count list_dot_product list_element
        list_entropy list_extract list_first list_grade_up list_has_all list_histogram
        list_indexof list_inner_product list_intersect list_kurtosis list_last list_mad
        list_median list_mode list_pack list_position list_product list_reduce list_resize
        list_reverse list_select list_sem list_skewness list_slice list_stddev_pop
        list_stddev_samp list_string_agg list_sum list_unique list_var_pop list_var_samp
        list_where list_zip lttb mad make_timestamp_ms make_timestamp_ns make_timestamptz
        map_concat map_contains map_contains_entry map_contains_value map_entries map_extract
        map_extract_value map_values mean microsecond millennium millisecond mismatches multiply
        nanosecond nextafter nfc_normalize now obj_description octet_length ord parse_dirname
        parse_dirpath parse_filename parse_path pg_size_pretty pg_typeof prefix printf product
        rank_dense regexp_escape regexp_split_to_array regexp_split_to_table reservoir_quantile
        right_grapheme round_even roundbankers row row_to_json sem set_bit signbit stats
        strip_accents strlen struct_concat struct_contains struct_extract_at struct_has
        struct_indexof struct_insert struct_keys struct_position struct_update struct_values
        substring_grapheme subtract suffix sumkahan summary timezone timezone_hour
        timezone_minute to_base to_centuries to_days to_decades to_hours to_json to_microseconds
        to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_weeks to_years
        transaction_timestamp try_strptime unbin union_extract union_tag union_value url_decode
        url_encode uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 version wavg weekday
        weighted_avg yearweek range generate_series
        """
    ),
}
"""Functions of each engine that only compute, beside those that sqlglot knows."""

REFUSED_FUNCTIONS: Mapping[str, frozenset[str]] = {
    "sqlite": words(
        """
        edit fsdir fts3_tokenizer fts5 load_extension optimize randomblob readfile sqlite_log
        sqlite_dbpage writefile zeroblob zipfile
        """
    ),
    "postgres": words(
        """
        cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema
        database_to_xmlschema query_to_xml query_to_xml_and_xmlschema query_to_xmlschema
        schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema table_to_xml
        table_to_xml_and_xmlschema table_to_xmlschema ts_stat ts_rewrite xpath_table
        crosstab crosstab2 crosstab3 crosstab4 connectby
        current_setting set_config nextval setval currval lastval setseed
        adminpack inet_client_addr inet_server_addr inet_server_port
        file_fdw_handler postgres_fdw_get_connections
        """
    ),
    "mysql": words(
        """
        benchmark get_lock is_free_lock is_used_lock last_insert_id lastval load_file
        master_gtid_wait master_pos_wait nextval release_all_locks release_lock setval sleep
        source_pos_wait sys_eval sys_exec sys_get sys_set wait_for_executed_gtid_set
        wait_until_sql_thread_after_gtids extractvalue updatexml des_decrypt des_encrypt
        spider_bg_direct_sql spider_copy_tables spider_direct_sql http_get http_post
        """
    ),
    "duckdb": words(
        """
        add_parquet_key arrow_scan arrow_scan_dumb checkpoint copy_database current_setting
        delta_scan force_checkpoint from_substrait from_substrait_json get_block_size getenv
        getvariable glob iceberg_metadata iceberg_scan iceberg_snapshots import_database
        json_execute_serialized_sql json_deserialize_sql json_serialize_plan mysql_execute
        mysql_query mysql_scan nextval currval pandas_scan parquet_bloom_probe
        parquet_file_metadata parquet_full_metadata parquet_kv_metadata parquet_metadata
        parquet_scan parquet_schema postgres_attach postgres_execute postgres_query postgres_scan
        postgres_scan_pushdown python_arrow_scan python_map_function query query_table
        read_arrow read_avro read_blob read_csv read_csv_auto read_duckdb read_json read_json_auto
        read_json_objects read_json_objects_auto read_ndjson read_ndjson_auto read_ndjson_objects
        read_parquet read_single_csv_file read_single_json_file read_single_parquet_file read_text
        read_xlsx scan_arrow_ipc seq_scan setseed setval shell_scan sleep_ms sniff_csv sqlite_attach
        sqlite_query sqlite_scan st_drivers st_read st_read_meta truncate_duckdb_logs
        which_secret write_log
        """
    ),
}
"""Functions that write, wait, read files or settings, reach a network or run text as SQL."""

_REFUSED_FAMILIES: Mapping[str, re.Pattern[str]] = {
    "sqlite": re.compile(r"pragma_|sqlite_|rtree|fts\d_"),
    "postgres": re.compile(
        r"(?:pg_(?!typeof$|size_pretty$|column_size$)|lo_|lo(?:read|write|creat)|dblink|txid_|"
        r"brin_|gin_clean_pending_list|http(?:_|$)|plpy|cron_|aws_|_pg_|binary_upgrade_)"
    ),
    "mysql": re.compile(r"(?:wsrep_|spider_|sys_|keyring_|asynchronous_connection_|group_repl)"),
    "duckdb": re.compile(r"(?:pragma_|duckdb_|__internal|enable_|disable_|force_|pg_sleep)"),
}

REFUSED_NODES = words(
    """
    AIAgg AIClassify AIEmbed AIForecast AIGenerate AISimilarity AISummarizeAgg Apply Decrypt
    DecryptRaw DynamicIdentifier FeaturesAtTime GenerateEmbedding GenerateTable GenerateText
    MLForecast MLTranslate NextValueFor ObjectId OpenJSON Predict ReadCSV ReadParquet Secret
    ToFile VectorSearch
    """
)
"""Functions that sqlglot knows, by its names, and that do more than compute."""

_SYSTEM_SCHEMAS = words(
    "information_schema mysql ndbinfo performance_schema pg_catalog pg_toast sys system"
)
_SYSTEM_TABLES = re.compile(
    r"sqlite_|pragma_|pg_|duckdb_|dbstat$|bytecode$|tables_used$|fsdir$|zipfile$|completion$"
)


def is_refused_function(name: str, dialect: str) -> bool:
    """Whether a function does more than compute, by its name."""
    name = name.lower()
    return name in REFUSED_FUNCTIONS[dialect] or bool(_REFUSED_FAMILIES[dialect].match(name))


def is_system_table(name: str, schema: str) -> bool:
    """Whether a table is one in which an engine keeps its own names, settings and accounts."""
    return schema.lower() in _SYSTEM_SCHEMAS or bool(_SYSTEM_TABLES.match(name.lower()))
