-- dblink, and the only ways in which the functions use it. Bodies of the form BEGIN ATOMIC are bound when they are
-- created: whatever a search path holds, or is put beside dblink later, they call dblink's own functions.
DO $links$
DECLARE
    home text;
    -- Refuses a server that lets it in without a password, where this is no superuser's installation.
    hop_open text := 'dblink_connect';
BEGIN
    SELECT n.nspname INTO home FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'dblink';
    IF home IS NULL THEN
        IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'dblink') THEN
            RAISE EXCEPTION 'the extension dblink is not available on this server' USING ERRCODE = '0A000',
                HINT = 'It comes with PostgreSQL''s contrib package.';
        END IF;
        -- Here nobody gets a way out of the database who had none: the schema is closed to PUBLIC.
        CREATE EXTENSION dblink WITH SCHEMA pgheal;
        COMMENT ON EXTENSION dblink IS 'connects to other databases from within a database; created by pgheal';
        REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pgheal FROM PUBLIC;
        home := 'pgheal';
    END IF;
    IF NOT current_setting('pgheal_install.managed')::boolean THEN
        hop_open := 'dblink_connect_u';
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO pgheal_functions', home);
        EXECUTE format($grant$
            GRANT EXECUTE ON FUNCTION %1$I.dblink_connect_u(text, text), %1$I.dblink_connect(text, text),
                %1$I.dblink_send_query(text, text), %1$I.dblink_is_busy(text), %1$I.dblink_get_result(text),
                %1$I.dblink_cancel_query(text), %1$I.dblink_disconnect(text), %1$I.dblink_get_connections()
            TO pgheal_functions $grant$, home);
    END IF;

    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION pgheal.link_open_hop() RETURNS text LANGUAGE sql
            BEGIN ATOMIC SELECT %I.%I('pgheal.hop'::text, 'pgheal_hop'::text); END
    $function$, home, hop_open);
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION pgheal.link_open_daemon() RETURNS text LANGUAGE sql
            BEGIN ATOMIC SELECT %I.dblink_connect('pgheal.daemon'::text, 'pgheal_daemon'::text); END
    $function$, home);
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION pgheal.link_send(link text, query text) RETURNS integer LANGUAGE sql
            BEGIN ATOMIC SELECT %I.dblink_send_query(link, query); END
    $function$, home);
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION pgheal.link_is_busy(link text) RETURNS boolean LANGUAGE sql
            BEGIN ATOMIC SELECT %I.dblink_is_busy(link) <> 0; END
    $function$, home);
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION pgheal.link_result(link text) RETURNS text LANGUAGE sql
            BEGIN ATOMIC SELECT r.answer FROM %I.dblink_get_result(link) AS r(answer text); END
    $function$, home);
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION pgheal.link_cancel(link text) RETURNS text LANGUAGE sql
            BEGIN ATOMIC SELECT %I.dblink_cancel_query(link); END
    $function$, home);
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION pgheal.link_close(link text) RETURNS text LANGUAGE sql
            BEGIN ATOMIC SELECT %1$I.dblink_disconnect(link) WHERE link = ANY (%1$I.dblink_get_connections()); END
    $function$, home);
END
$links$;
