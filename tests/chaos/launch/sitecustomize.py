"""Read by Python at its start when this directory is on PYTHONPATH: breaks what it is told to."""

import mutations

mutations.install(mutations.told())
