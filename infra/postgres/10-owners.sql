-- One role and one schema per service that owns state: none of them can read or write what another owns.
-- Runs once, when the data volume is new. A password changed later: ALTER ROLE planner PASSWORD '...'.
\getenv planner_password WARREN_PLANNER_DB_PASSWORD
\getenv memory_password WARREN_MEMORY_DB_PASSWORD
\getenv inference_password WARREN_INFERENCE_DB_PASSWORD

REVOKE ALL ON DATABASE warren FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE ROLE planner LOGIN PASSWORD :'planner_password';
CREATE ROLE memory LOGIN PASSWORD :'memory_password';
CREATE ROLE inference LOGIN PASSWORD :'inference_password';

-- CREATE: a service makes its schema itself where nobody has made it, and PostgreSQL asks for the right even if it is there
GRANT CONNECT, CREATE ON DATABASE warren TO planner, memory, inference;
CREATE SCHEMA planner AUTHORIZATION planner;
CREATE SCHEMA memory AUTHORIZATION memory;
CREATE SCHEMA inference AUTHORIZATION inference;

-- PostgreSQL looks for tables in "$user" first: each role finds its own schema without being told

-- no password: the superuser comes in through the socket inside this container only
ALTER ROLE CURRENT_USER PASSWORD NULL;
