-- The roles are the cluster's, so that another database may have made them already; at the same time even.
DO $roles$
DECLARE
    wanted record;
    unwelcome text;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('pgheal_reader', 'reads what pgheal knows'),
            ('pgheal_operator', 'also asks pgheal for repairs'),
            ('pgheal_admin', 'also changes settings of pgheal, and reads index pages'),
            ('pgheal_functions', 'owns the functions of pgheal; nobody is, or becomes, this role'))
            AS w(name, comment)
    LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted.name);
            EXECUTE format('COMMENT ON ROLE %I IS %L', wanted.name, 'pgheal: ' || wanted.comment);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;

    SELECT string_agg(reason, '; ') INTO unwelcome FROM (
        SELECT 'it may log in' FROM pg_roles WHERE rolname = 'pgheal_functions' AND rolcanlogin
        UNION ALL
        SELECT 'it is a superuser' FROM pg_roles WHERE rolname = 'pgheal_functions' AND rolsuper
        UNION ALL
        -- Whoever created a role is its member (PostgreSQL 16), and may anyway become each role that he creates.
        SELECT format('%I is a member', m.rolname) FROM pg_auth_members AS a JOIN pg_roles AS m ON m.oid = a.member
            WHERE a.roleid = 'pgheal_functions'::regrole AND NOT (m.rolsuper OR m.rolcreaterole OR m.rolname = current_user)
    ) AS found(reason);
    IF unwelcome IS NOT NULL THEN
        RAISE EXCEPTION 'role pgheal_functions owns the functions, and must be nobody''s: %', unwelcome
            USING ERRCODE = '42501';
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        AND NOT pg_has_role(current_user, 'pgheal_functions', 'USAGE') THEN
        EXECUTE format('GRANT pgheal_functions TO %I', current_user);
    END IF;
    BEGIN
        GRANT pgheal_reader TO pgheal_operator;
        GRANT pgheal_operator TO pgheal_admin;
    EXCEPTION WHEN unique_violation THEN
        -- Another database's installation is a moment ahead.
        NULL;
    WHEN insufficient_privilege THEN
        IF NOT pg_has_role('pgheal_admin', 'pgheal_operator', 'MEMBER')
            OR NOT pg_has_role('pgheal_operator', 'pgheal_reader', 'MEMBER') THEN
            RAISE;
        END IF;
    END;
END
$roles$;
