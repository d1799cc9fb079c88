-- Whether the functions can open their second session on this server: null, or why not.
CREATE OR REPLACE FUNCTION pgheal.test_hop() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    message text;
    detail text;
BEGIN
    PERFORM pgheal.link_close('pgheal.hop');
    PERFORM pgheal.link_open_hop();
    PERFORM pgheal.link_close('pgheal.hop');
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(': ', message, nullif(detail, ''));
END
$function$;
