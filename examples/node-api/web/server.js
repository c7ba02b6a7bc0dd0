// The front end: static files, and the way to the API, which browsers can't reach by themselves.
import { join } from "node:path";
import proxy from "@fastify/http-proxy";
import files from "@fastify/static";
import fastify from "fastify";

const { API_HOST, API_PORT, BIND, PORT } = process.env;
const api = `http://${API_HOST}:${API_PORT}`;

const app = fastify({ logger: true });
app.register(files, { root: join(import.meta.dirname, "public") });
app.register(proxy, { upstream: api, prefix: "/api" });

app.get("/health", async (request, reply) => {
  const answer = await fetch(`${api}/health`, { signal: AbortSignal.timeout(5000) });
  return reply.code(answer.ok ? 200 : 503).send({ status: answer.ok ? "pass" : "fail" });
});

process.once("SIGTERM", () => app.close());
await app.listen({ host: BIND, port: Number(PORT) });
