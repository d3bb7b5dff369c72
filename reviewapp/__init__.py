"""The Django project: settings, processes and how they are started. The product itself is `labeling`."""
