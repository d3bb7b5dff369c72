"""The demo: exhibits whose predictions come from real models, shown through the public API alone."""
