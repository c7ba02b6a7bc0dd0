// The API: tasks in PostgreSQL, and their list in Redis until it changes.
import fastify from "fastify";
import pg from "pg";
import { createClient } from "redis";

const CACHED = "tasks";
const CACHED_FOR = 60; // seconds

const app = fastify({ logger: true });
const db = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10, connectionTimeoutMillis: 5000 });
// Without a queue for the time that Redis is away, a command fails at once, and PostgreSQL answers instead.
const cache = createClient({ url: process.env.REDIS_URL, disableOfflineQueue: true });
db.on("error", (error) => app.log.warn(error));
cache.on("error", (error) => app.log.warn(error));

// What the cache answers, or nothing if it can't.
const ask = (answer) => answer.catch((error) => void app.log.warn(error));

const id = { type: "object", properties: { id: { type: "integer" } } };
const task = {
  type: "object",
  properties: { title: { type: "string", minLength: 1, maxLength: 200 }, done: { type: "boolean" } },
  additionalProperties: false,
};

app.get("/tasks", async (request, reply) => {
  const cached = await ask(cache.get(CACHED));
  reply.header("x-cache", cached ? "hit" : "miss");
  if (cached) return JSON.parse(cached);
  const { rows } = await db.query("SELECT id, title, done FROM task ORDER BY id");
  await ask(cache.set(CACHED, JSON.stringify(rows), { EX: CACHED_FOR }));
  return rows;
});

app.post("/tasks", { schema: { body: { ...task, required: ["title"] } } }, async (request, reply) => {
  const { title, done = false } = request.body;
  const { rows } = await db.query("INSERT INTO task (title, done) VALUES ($1, $2) RETURNING id, title, done", [title, done]);
  await ask(cache.del(CACHED));
  return reply.code(201).send(rows[0]);
});

app.patch("/tasks/:id", { schema: { params: id, body: task } }, async (request, reply) => {
  const { title, done } = request.body;
  const { rows } = await db.query(
    "UPDATE task SET title = coalesce($2, title), done = coalesce($3, done) WHERE id = $1 RETURNING id, title, done",
    [request.params.id, title, done],
  );
  await ask(cache.del(CACHED));
  return rows[0] ?? reply.code(404).send({ error: `there is no task ${request.params.id}` });
});

// It serves without its cache, so PostgreSQL alone decides.
app.get("/health", async () => {
  await db.query("SELECT 1");
  return { status: "pass" };
});

app.addHook("onClose", async () => {
  cache.destroy();
  await db.end();
});
process.once("SIGTERM", () => app.close());

await ask(cache.connect());
await app.listen({ host: process.env.BIND, port: Number(process.env.PORT) });
