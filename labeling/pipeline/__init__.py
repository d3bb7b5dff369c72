"""What follows what. Read this first.

    a prediction comes in      accepting.accept_predictions   ingestion -> routing -> review (tasks) -> outcomes -> trust
    a person decides           deciding.decide                review (claim) -> decisions -> outcomes -> datasets -> trust
    a person takes it back     deciding.undo_decision         decisions -> datasets -> trust -> review (waits again)
    a project begins           projects.create_project        projects -> review (queues) -> routing (policy) -> datasets

Each is one transaction. What may happen later (numbering outcomes, folding counts, publishing) is left as rows in a named
state, which `labeling.tasks` and its sweeps find; nothing here depends on a message being delivered.
"""
