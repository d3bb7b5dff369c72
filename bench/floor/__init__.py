"""The plain Django site that floors are measured on."""

SINGLE_TABLE = """
create table if not exists bench_single (
    id bigint primary key generated always as identity, key text not null unique, body json not null
)
"""
