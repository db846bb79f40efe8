// The lab's contract on express-session with connect-redis, written as their READMEs have it.
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const client = createClient({ url: process.env.STORE_URL });
client.on("error", console.error);
await client.connect();

const app = express();
app.get("/healthz", (req, res) => res.send());
app.use(express.urlencoded());
app.use(
  session({
    store: new RedisStore({ client }),
    resave: false,
    saveUninitialized: false,
    secret: "keyboard cat",
  }),
);

app.get("/api/session", (req, res) => {
  const { user, visits, cart } = req.session;
  res.json({ user, visits, cart });
});

app.post("/api/visits", (req, res) => {
  req.session.visits = (req.session.visits ?? 0) + 1;
  res.json({ visits: req.session.visits });
});

app.post("/api/cart/:sku", (req, res) => {
  const cart = (req.session.cart ??= {});
  cart[req.params.sku] = (cart[req.params.sku] ?? 0) + Number(req.body.quantity);
  res.json({ cart });
});

// The example "User login" of express-session, which regenerates the session. The visitor keeps the contents, as with the
// option keepSessionInfo of Passport.
app.post("/login", (req, res, next) => {
  const { cookie, ...contents } = req.session;
  req.session.regenerate((err) => {
    if (err) return next(err);
    Object.assign(req.session, contents);
    req.session.user = req.body.user;
    req.session.save((err) => {
      if (err) return next(err);
      res.send();
    });
  });
});

app.post("/logout", (req, res, next) => {
  req.session.destroy((err) => {
    if (err) return next(err);
    res.send();
  });
});

app.listen(process.env.PORT, "127.0.0.1");
