"""Django's PostgreSQL backend, for web processes that must answer while the database does not."""
