"""Day first, 24 hours, seconds: an operator compares these with a broker's stamps."""

DATE_FORMAT = "d M Y"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "d M Y H:i:s"
SHORT_DATE_FORMAT = "d M Y"
SHORT_DATETIME_FORMAT = "d M Y H:i"
