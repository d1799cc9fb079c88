-- Passwords are not for the server's log, nor for its statistics of statements. Only a superuser may say so; elsewhere
-- it depends on log_statement.
DO $quiet$
BEGIN
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        PERFORM pg_catalog.set_config(s.name, s.value, true) FROM (VALUES
            ('log_statement', 'none'), ('log_duration', 'off'), ('log_min_duration_statement', '-1'),
            ('log_min_duration_sample', '-1'), ('log_min_error_statement', 'panic'), ('log_error_verbosity', 'terse'),
            ('log_parameter_max_length', '0'), ('log_parameter_max_length_on_error', '0'),
            ('pg_stat_statements.track', 'none')) AS s(name, value);
    END IF;
END
$quiet$;
