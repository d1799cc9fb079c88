-- The role of the pgheal daemon on a managed PostgreSQL, whose administrator is no superuser (rds_superuser, cloudsqlsuperuser,
-- azure_pg_admin, ...). Run as that administrator in the database that pgheal watches, with these names replaced:
--   shop        the database
--   app_owner   the owner of the tables with vector indexes; repeat its line for every owner
-- Then give the role a password.

CREATE ROLE pgheal LOGIN CONNECTION LIMIT 40;
GRANT CONNECT ON DATABASE shop TO pgheal;

-- The journal. On a managed server an administrator is no member of the roles that it creates, so pgheal makes its schema itself.
GRANT CREATE ON DATABASE shop TO pgheal;

-- Before a build pgheal looks at other sessions' transactions, which PostgreSQL shows to this role only.
GRANT pg_monitor TO pgheal;

-- Building beside, renaming and dropping an index ask for ownership of its table; there is no smaller right for them.
-- Without this line pgheal still finds, explains and reports.
GRANT app_owner TO pgheal;

-- What a managed server does not allow, and what pgheal does without it:
--   reading pages (superuser): recall is measured by queries instead; structure is "unknown: needs page access"
--   hiding the old index of a rebuild from the planner (superuser): it stays usable until its rollback window ends
--   silencing user triggers (SET ON PARAMETER session_replication_role): such tables are rebuilt instead of re-inserted
--   ALTER DATABASE ... SET (owner of the database): grant that owner to pgheal, where it may be granted
