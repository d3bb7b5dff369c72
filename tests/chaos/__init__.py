"""`make chaos`: load on a running instance, faults at every part of it, and a check of what everybody was told.

    drivers     processes of their own that post, review, publish and read, and write down each answer they got
    histories   those notes: lines of JSON, on the disk before the next request goes out
    injected    what a process of the instance gets on top: a clock that can jump, and protocols that can be broken
    faults      what is done to the instance, and in which order (seeded)
    recovery    how long it took until every kind of operation was answered again
    facts       what the instance has at the end: database, feed and dataset
    checker     histories against facts; pure
    run, report one run from start to end, and what is said about it

Nothing here trusts the product: facts are read with SQL of its own, and an answer counts from the moment it arrived.
"""
