// Answers statements about the Parquet files given as the argument: a line of
// JSON in for each, {"sql", "workers"}, and a line out, {"rows", "millis", "cpu"}
// or {"error"}.
const { DuckDBInstance } = require('@duckdb/node-api');
const { createInterface } = require('node:readline');

const answer = async (db, request) => {
  await db.run('SET threads = ' + request.workers);
  const [begun, before] = [process.hrtime.bigint(), process.cpuUsage()];
  const result = await db.runAndReadAll(request.sql);
  const rows = result.getRowsJson();
  const millis = Number(process.hrtime.bigint() - begun) / 1e6;
  const used = process.cpuUsage(before);
  return { millis, cpu: (used.user + used.system) / 1e3, rows: rows.map((row) => row.map((v) => (v === null ? null : String(v)))) };
};

(async () => {
  const db = await (await DuckDBInstance.create(':memory:')).connect();
  await db.run("SET TimeZone = 'UTC'");
  await db.run("CREATE VIEW process_events AS SELECT * FROM read_parquet('" + process.argv[2] + "')");
  for await (const line of createInterface({ input: process.stdin })) {
    const reply = await answer(db, JSON.parse(line)).catch((e) => ({ error: String(e) }));
    process.stdout.write(JSON.stringify(reply) + '\n');
  }
})().catch((e) => { console.error(String(e)); process.exit(1); });
