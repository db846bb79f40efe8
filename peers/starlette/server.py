"""The lab's contract on starsessions with Redis, written as its README has it."""

import os

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starsessions import SessionAutoloadMiddleware, SessionMiddleware, regenerate_session_id
from starsessions.stores.redis import RedisStore


async def healthz(request):
    return Response()


async def state(request):
    return JSONResponse({field: request.session.get(field) for field in ("user", "visits", "cart")})


async def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JSONResponse({"visits": request.session["visits"]})


async def cart(request):
    form = await request.form()
    sku, lines = request.path_params["sku"], request.session.setdefault("cart", {})
    lines[sku] = lines.get(sku, 0) + int(form["quantity"])
    return JSONResponse({"cart": lines})


async def login(request):
    form = await request.form()
    regenerate_session_id(request)
    request.session["user"] = form["user"]
    return Response()


async def logout(request):
    request.session.clear()
    return Response()


store = RedisStore(connection=Redis.from_url(os.environ["STORE_URL"]))
app = Starlette(
    routes=[
        Route("/healthz", healthz),
        Route("/api/session", state),
        Route("/api/visits", visits, methods=["POST"]),
        Route("/api/cart/{sku}", cart, methods=["POST"]),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
    ],
    middleware=[
        Middleware(SessionMiddleware, store=store, cookie_https_only=False),
        Middleware(SessionAutoloadMiddleware),
    ],
)
