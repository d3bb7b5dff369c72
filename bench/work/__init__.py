"""One module per kind of work; each function measures one or more figures of the table in docs/performance.md."""
