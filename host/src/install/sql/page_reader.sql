-- Pages of hnsw and ivfflat indexes, for roles that are no superusers: get_raw_page asks for one. Pages hold vectors, past
-- row security, so the caller must be allowed to read the whole table. Owned by the superuser who installs it; a server
-- that gives nobody a superuser has no page reader.
DO $page_reader$
DECLARE
    home text;
BEGIN
    IF current_setting('pgheal_install.managed')::boolean THEN
        RETURN;
    END IF;
    -- Not replaced: that would keep privileges and an owner that somebody else gave it.
    DROP FUNCTION IF EXISTS pgheal.read_index_pages(regclass, bigint, bigint);
    DROP FUNCTION IF EXISTS pgheal.readable_index(regclass, bigint, bigint);
    SELECT n.nspname INTO home FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'pageinspect';
    IF home IS NULL THEN
        IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pageinspect') THEN
            RAISE WARNING 'the extension pageinspect is not available on this server: index pages cannot be read'
                USING HINT = 'It comes with PostgreSQL''s contrib package. Install again when it is there.';
            RETURN;
        END IF;
        CREATE EXTENSION pageinspect WITH SCHEMA pgheal;
        COMMENT ON EXTENSION pageinspect IS 'inspects the contents of database pages; created by pgheal';
        home := 'pgheal';
    END IF;

    CREATE FUNCTION pgheal.readable_index(index regclass, first_block bigint, block_count bigint) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        subject record;
        -- Within a function of its definer, these two tell who calls: the role that logged in, and SET ROLE's.
        caller text;
        callers text[] := ARRAY[session_user, nullif(current_setting('role'), 'none')];
    BEGIN
        SELECT c.relname, n.nspname, c.relpersistence, x.indrelid, t.relrowsecurity, t.relforcerowsecurity, t.relowner
            INTO subject
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_index AS x ON x.indexrelid = c.oid
                JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_am AS m ON m.oid = c.relam
                JOIN pg_depend AS d ON d.classid = 'pg_am'::regclass AND d.objid = m.oid AND d.deptype = 'e'
                JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
            WHERE c.oid = index AND c.relkind = 'i' AND m.amname IN ('hnsw', 'ivfflat') AND e.extname = 'vector';
        IF NOT FOUND OR subject.relpersistence = 't' THEN
            RAISE EXCEPTION '% is no hnsw or ivfflat index whose pages can be read', coalesce(index::text, 'null')
                USING ERRCODE = '42809';
        END IF;
        FOREACH caller IN ARRAY array_remove(callers, NULL) LOOP
            IF NOT has_table_privilege(caller, subject.indrelid, 'SELECT') THEN
                RAISE EXCEPTION 'permission denied for the pages of %: role % may not read table %', index,
                    quote_ident(caller), subject.indrelid::regclass USING ERRCODE = '42501';
            END IF;
            IF subject.relrowsecurity AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = caller)
                AND (subject.relforcerowsecurity OR NOT pg_has_role(caller, subject.relowner, 'USAGE')) THEN
                RAISE EXCEPTION 'permission denied for the pages of %: row security hides rows of table % from role %', index,
                    subject.indrelid::regclass, quote_ident(caller) USING ERRCODE = '42501';
            END IF;
        END LOOP;
        IF first_block IS NULL OR first_block < 0 OR first_block > 4294967294 THEN
            RAISE EXCEPTION 'there is no block %', coalesce(first_block::text, 'null') USING ERRCODE = '22023';
        END IF;
        IF block_count IS NULL OR block_count < 0 OR block_count > 67108864 / current_setting('block_size')::bigint THEN
            RAISE EXCEPTION '% blocks are not read at once; it must be from 0 to %', coalesce(block_count::text, 'null'),
                67108864 / current_setting('block_size')::bigint USING ERRCODE = '22023';
        END IF;
        RETURN format('%I.%I', subject.nspname, subject.relname);
    END
    $function$;
    REVOKE ALL ON FUNCTION pgheal.readable_index(regclass, bigint, bigint) FROM PUBLIC;

    -- Bound when it is created: nobody who owns a schema on the way can put another function into its place.
    -- work_mem: a range of pages is handed over as a whole, and would go through a temporary file.
    EXECUTE format($create$
        CREATE FUNCTION pgheal.read_index_pages(index regclass, first_block bigint, block_count bigint)
        RETURNS TABLE (block bigint, page bytea) LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET work_mem = '96MB'
        BEGIN ATOMIC
            SELECT b.n, %I.get_raw_page(r.name, b.n)
                FROM pgheal.readable_index(index, first_block, block_count) AS r(name)
                    CROSS JOIN generate_series(first_block, first_block + block_count - 1) AS b(n);
        END
    $create$, home);
    COMMENT ON FUNCTION pgheal.read_index_pages(regclass, bigint, bigint) IS
        'pages of an hnsw or ivfflat index, for roles that may read its table';
    REVOKE ALL ON FUNCTION pgheal.read_index_pages(regclass, bigint, bigint) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION pgheal.read_index_pages(regclass, bigint, bigint) TO pgheal_admin;
    IF current_setting('pgheal_install.daemon_role') <> '' THEN
        EXECUTE format('GRANT EXECUTE ON FUNCTION pgheal.read_index_pages(regclass, bigint, bigint) TO %I',
            current_setting('pgheal_install.daemon_role'));
    END IF;
END
$page_reader$;
