-- One function for each role, open to that role only: PostgreSQL itself checks who asks, also after SET ROLE and within
-- somebody's SECURITY DEFINER function, and the role that the daemon is told is the one whose function this is.
CREATE OR REPLACE FUNCTION pgheal.forward_as_reader(asked text, arguments jsonb) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT pgheal.call_hop('reader'::text, $1, $2) $$;

CREATE OR REPLACE FUNCTION pgheal.forward_as_operator(asked text, arguments jsonb) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT pgheal.call_hop('operator'::text, $1, $2) $$;

CREATE OR REPLACE FUNCTION pgheal.forward_as_admin(asked text, arguments jsonb) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT pgheal.call_hop('admin'::text, $1, $2) $$;

-- Takes the caller's highest role. It runs as the caller: who calls one of the above himself gains nothing.
CREATE OR REPLACE FUNCTION pgheal.call(asked text, arguments jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF has_function_privilege('pgheal.forward_as_admin(text, jsonb)', 'EXECUTE') THEN
        RETURN pgheal.forward_as_admin(asked, arguments);
    ELSIF has_function_privilege('pgheal.forward_as_operator(text, jsonb)', 'EXECUTE') THEN
        RETURN pgheal.forward_as_operator(asked, arguments);
    ELSIF asked = 'ruvector_dag_repair' THEN
        RAISE EXCEPTION 'role % may not ask for repairs', quote_ident(current_user) USING ERRCODE = '42501',
            HINT = format('GRANT pgheal_operator TO %I', current_user);
    END IF;
    RETURN pgheal.forward_as_reader(asked, arguments);
END
$function$;
