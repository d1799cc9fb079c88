-- The role of the pgheal daemon, without superuser. Run as superuser in the database that pgheal watches, with these names replaced:
--   shop        the database
--   shop_owner  the owner of the database (pgheal sets hnsw.ef_search and ivfflat.probes for it)
--   app_owner   the owner of the tables with vector indexes; repeat its line for every owner
-- Then give the role a password (\password pgheal), or let the service's system user in by peer authentication.

CREATE ROLE pgheal LOGIN CONNECTION LIMIT 40;
GRANT CONNECT ON DATABASE shop TO pgheal;

-- The journal: what was repaired, every step with its undo.
CREATE SCHEMA IF NOT EXISTS pgheal AUTHORIZATION pgheal;

-- Before a build pgheal looks at other sessions' transactions, which PostgreSQL shows to this role only.
GRANT pg_monitor TO pgheal;

-- Building beside, renaming and dropping an index ask for ownership of its table; there is no smaller right for them.
-- Without this line pgheal still finds, explains and reports.
GRANT app_owner TO pgheal;

-- Tuning search parameters asks for ownership of the database. Without this line those repairs are refused.
GRANT shop_owner TO pgheal;

-- Re-insertion on tables with user triggers, which must not see it. PostgreSQL 15 and later; without this line such tables are
-- repaired by a rebuild.
GRANT SET ON PARAMETER session_replication_role TO pgheal;

-- Everything about an index's structure is in its pages, which only superusers may read. `pgheal install` puts a function there that
-- reads pages of vector indexes only, for roles that may read the table.
CREATE EXTENSION IF NOT EXISTS pageinspect;
