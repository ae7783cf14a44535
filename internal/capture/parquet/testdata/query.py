"""Writes what DuckDB answers to a query (the second argument) on a file (the first), as lines of JSON."""

import json
import sys

import duckdb

connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
connection.execute("CREATE VIEW records AS SELECT * FROM read_parquet($file)".replace("$file", "'" + sys.argv[1] + "'"))
answer = connection.execute(sys.argv[2])
names = [column[0] for column in answer.description]
for row in answer.fetchall():
    print(json.dumps(dict(zip(names, row)), default=bytes.hex))
