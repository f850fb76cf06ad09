-- GET /memory/{id}?history= gives earlier versions with a memory.
GRANT SELECT ON memory_history TO gantry_search;
