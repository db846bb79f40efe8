// The lab's contract on @fastify/session with connect-redis, written as the README of @fastify/session has it.
import fastifyCookie from "@fastify/cookie";
import fastifyFormbody from "@fastify/formbody";
import { fastifySession } from "@fastify/session";
import { RedisStore } from "connect-redis";
import fastify from "fastify";
import { createClient } from "redis";

declare module "fastify" {
  interface Session {
    user?: string;
    visits?: number;
    cart?: Record<string, number>;
  }
}

const client = createClient({ url: process.env.STORE_URL });
client.on("error", console.error);
await client.connect();

const app = fastify();
app.get("/healthz", async () => "");
app.register(fastifyFormbody);
app.register(async (app) => {
  app.register(fastifyCookie);
  app.register(fastifySession, {
    secret: "a secret with minimum length of 32 characters",
    store: new RedisStore({ client }),
    cookie: { secure: false },
  });

  app.get("/api/session", async ({ session }) => {
    const { user, visits, cart } = session;
    return { user, visits, cart };
  });

  app.post("/api/visits", async ({ session }) => {
    session.visits = (session.visits ?? 0) + 1;
    return { visits: session.visits };
  });

  app.post<{ Params: { sku: string }; Body: { quantity: string } }>("/api/cart/:sku", async ({ session, params, body }) => {
    const cart = (session.cart ??= {});
    cart[params.sku] = (cart[params.sku] ?? 0) + Number(body.quantity);
    return { cart };
  });

  app.post<{ Body: { user: string } }>("/login", async (request) => {
    await request.session.regenerate(["visits", "cart"]);
    request.session.user = request.body.user;
    return "";
  });

  app.post("/logout", async (request) => {
    await request.session.destroy();
    return "";
  });
});

await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
