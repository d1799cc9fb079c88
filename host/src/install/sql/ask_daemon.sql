-- The hop: runs in a session of its own, so that whatever becomes of it, the caller goes on. Gives an object with one
-- of `answer`, `refused` (sqlstate, message, detail, hint) and `unreachable` (a reason).
CREATE OR REPLACE FUNCTION pgheal.ask_daemon(envelope text, proof text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    asked jsonb;
    request jsonb;
    settings jsonb := '{}';
    setting record;
    reply text;
    state text;
    message text;
    detail text;
    hint text;
    pause double precision := 0.0005;
BEGIN
    IF proof IS DISTINCT FROM pgheal.proof_of(envelope) THEN
        RAISE EXCEPTION 'this request was not made by the functions of pgheal' USING ERRCODE = '42501';
    END IF;
    asked := envelope::jsonb;
    IF asked->>'database' <> current_database()
        OR abs(extract(epoch FROM clock_timestamp()) - (asked->>'at')::numeric) > 120 THEN
        RAISE EXCEPTION 'this request was made for another database, or long ago' USING ERRCODE = '42501';
    END IF;
    request := asked->'request';

    -- What every fresh session has comes from the server's or the database's configuration: the daemon reads it there,
    -- and a session that is older than a change must not bring the old value back.
    BEGIN
        FOR setting IN SELECT s.key AS name, s.value FROM jsonb_each_text(request->'settings') AS s LOOP
            IF setting.value IS DISTINCT FROM current_setting(setting.name, true) THEN
                settings := settings
                    || jsonb_build_object(setting.name, pgheal.check_setting(setting.name, setting.value));
            END IF;
        END LOOP;
    EXCEPTION WHEN invalid_parameter_value THEN
        RETURN jsonb_build_object('refused', jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM));
    END;
    request := jsonb_set(request, '{settings}', settings);

    BEGIN
        PERFORM pgheal.link_open_daemon();
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
        RETURN jsonb_build_object('unreachable', coalesce(nullif(detail, ''), message));
    END;
    BEGIN
        -- In digits, and so is the answer: dblink speaks in the database's encoding, and the daemon in UTF-8.
        IF pgheal.link_send('pgheal.daemon',
            'SELECT pgheal.forward(''' || encode(convert_to(request::text, 'UTF8'), 'hex') || ''')') <> 1 THEN
            RETURN jsonb_build_object('unreachable', 'The connection was lost when the request was sent.');
        END IF;
        WHILE pgheal.link_is_busy('pgheal.daemon') LOOP
            PERFORM pg_sleep(pause);
            pause := least(pause * 1.2, 0.005);
        END LOOP;
        reply := pgheal.link_result('pgheal.daemon');
        PERFORM pgheal.link_close('pgheal.daemon');
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
            hint = PG_EXCEPTION_HINT;
        IF state ~ '^(08|57P0[12])' THEN
            RETURN jsonb_build_object('unreachable', 'It ended the connection before it had answered: ' || message);
        END IF;
        RETURN jsonb_build_object('refused', jsonb_build_object('sqlstate', state, 'message', message,
            'detail', nullif(detail, ''), 'hint', nullif(hint, '')));
    END;
    BEGIN
        RETURN jsonb_build_object('answer', coalesce(convert_from(decode(reply, 'hex'), 'UTF8')::jsonb, 'null'));
    EXCEPTION WHEN data_exception THEN
        RETURN jsonb_build_object('unreachable', 'What answers there is not pgheal.');
    END;
END
$function$;
