"""Changes of the tables, one script per version; run by ``schema.bring_up_to_date``."""
