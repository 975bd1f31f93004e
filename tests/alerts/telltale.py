"""A child that tells its environment."""

import json
import os

print(json.dumps({"environment": dict(os.environ)}))
