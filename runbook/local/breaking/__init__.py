"""A running embedded deployment, broken on purpose in exactly the way of one row of FAILURES."""
