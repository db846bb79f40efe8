"""The lab's contract on Flask-Session with Redis, written as its documentation has it."""

import os

from flask import Flask, request, session
from flask_session import Session
from redis import Redis

app = Flask(__name__)
app.config["SESSION_TYPE"] = "redis"
app.config["SESSION_REDIS"] = Redis.from_url(os.environ["STORE_URL"])
Session(app)


@app.get("/healthz")
def healthz():
    return ""


@app.get("/api/session")
def state():
    return {field: session.get(field) for field in ("user", "visits", "cart")}


@app.post("/api/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return {"visits": session["visits"]}


@app.post("/api/cart/<sku>")
def cart(sku):
    lines = session.get("cart", {})
    lines[sku] = lines.get(sku, 0) + int(request.form["quantity"])
    session["cart"] = lines
    return {"cart": lines}


@app.post("/login")
def login():
    app.session_interface.regenerate(session)
    session["user"] = request.form["user"]
    return ""


@app.post("/logout")
def logout():
    session.clear()
    return ""
