-- A setting `ruvector.*` is a placeholder to PostgreSQL and takes any text. Gives the value in one spelling, or refuses
-- it with its range. A database's extra_float_digits must not round what travels.
CREATE OR REPLACE FUNCTION pgheal.check_setting(name text, value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS $function$
DECLARE
    is_valid boolean := false;
    range text;
    spelling text := btrim(value);
BEGIN
    BEGIN
        CASE name
            WHEN 'ruvector.dag_healing_enabled' THEN
                range := 'on or off';
                spelling := CASE WHEN spelling::boolean THEN 'on' ELSE 'off' END;
                is_valid := true;
            WHEN 'ruvector.dag_healing_interval_ms' THEN
                range := 'a whole number from 1000 to 86400000 (milliseconds)';
                is_valid := spelling::bigint BETWEEN 1000 AND 86400000;
                spelling := spelling::bigint::text;
            WHEN 'ruvector.dag_healing_threshold' THEN
                range := 'a number above 0 and up to 1';
                is_valid := spelling::float8 > 0 AND spelling::float8 <= 1;
                spelling := spelling::float8::text;
        END CASE;
    EXCEPTION WHEN data_exception THEN
        is_valid := false;
    END;
    IF NOT is_valid THEN
        RAISE EXCEPTION '% is %; it must be %', name, quote_literal(left(value, 100)), range USING ERRCODE = '22023';
    END IF;
    RETURN spelling;
END
$function$;
