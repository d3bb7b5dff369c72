"""The models of the demo, trained on data that ship inside Python packages. Importing one needs the demo's packages."""
