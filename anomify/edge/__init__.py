"""Request handling for every route: declarations, limits, headers, errors, transactions."""
