-- The table that a name means in the caller's session (hence no search_path of its own, and every name qualified), as
-- schema.table, quoted where needed. Reads the catalog only: it waits for no lock, and needs no right on the table.
CREATE OR REPLACE FUNCTION pgheal.resolve_table(table_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
DECLARE
    parts pg_catalog.text[];
    relation pg_catalog.oid;
    relations pg_catalog.oid[];
    kind pg_catalog."char";
BEGIN
    IF table_name IS NULL OR table_name OPERATOR(pg_catalog.=) '' THEN
        RAISE EXCEPTION 'the name of a table is missing' USING ERRCODE = '22004';
    ELSIF pg_catalog.length(table_name) OPERATOR(pg_catalog.>) 300 THEN
        RAISE EXCEPTION 'no table has a name of % characters', pg_catalog.length(table_name) USING ERRCODE = '42704';
    END IF;
    -- As SQL writes it: folded where it is not quoted, and found by the search path where no schema is given.
    BEGIN
        parts := pg_catalog.parse_ident(table_name);
    EXCEPTION WHEN data_exception THEN
        parts := NULL;
    END;
    IF pg_catalog.cardinality(parts) OPERATOR(pg_catalog.=) 3
        AND parts[1] OPERATOR(pg_catalog.=) pg_catalog.current_database()::pg_catalog.text THEN
        parts := parts[2:3];
    END IF;
    SELECT c.oid INTO relation
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE CASE pg_catalog.cardinality(parts)
            WHEN 1 THEN c.relname OPERATOR(pg_catalog.=) parts[1] AND pg_catalog.pg_table_is_visible(c.oid)
            WHEN 2 THEN c.relname OPERATOR(pg_catalog.=) parts[2] AND n.nspname OPERATOR(pg_catalog.=) parts[1] END;
    IF relation IS NULL THEN
        -- As people write it: its bare name, with capitals, blanks and dots, in whatever schema there is one of that name.
        SELECT pg_catalog.array_agg(c.oid) INTO relations
            FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'm']::pg_catalog."char"[])
                AND (c.relname OPERATOR(pg_catalog.=) table_name
                    OR pg_catalog.concat(n.nspname, '.', c.relname) OPERATOR(pg_catalog.=) table_name);
        IF pg_catalog.cardinality(relations) OPERATOR(pg_catalog.>) 1 THEN
            RAISE EXCEPTION 'there are % tables named %', pg_catalog.cardinality(relations),
                pg_catalog.quote_ident(table_name) USING ERRCODE = '42P09', HINT = 'Write schema.table.';
        END IF;
        relation := relations[1];
    END IF;
    SELECT c.relkind INTO kind FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) relation;
    IF kind IS NULL THEN
        RAISE EXCEPTION 'there is no table %', pg_catalog.quote_ident(table_name) USING ERRCODE = '42704',
            HINT = 'A name with capitals, blanks or dots needs double quotes, one outside of the search path its schema.';
    ELSIF NOT kind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'm']::pg_catalog."char"[]) THEN
        RAISE EXCEPTION '% is no table', pg_catalog.quote_ident(table_name) USING ERRCODE = '42809';
    END IF;
    RETURN (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE c.oid OPERATOR(pg_catalog.=) relation);
END
$function$;
