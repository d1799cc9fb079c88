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
--   reading pages, and hiding one index of two from the planner (superuser): recall is measured by queries instead, structure is
--   "unknown: needs page access", and a new index cannot be compared with the old one. So pgheal finds, explains and reports; a rebuild
--   that cannot be proved better is discarded, and the history says so. `auto_heal_enabled = false` spares the attempts.
