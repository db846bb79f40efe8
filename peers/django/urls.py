"""The lab's contract on Django's sessions, written as Django's documentation has it."""

from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_POST


def healthz(request):
    return HttpResponse()


@require_GET
def session(request):
    fields = ("user", "visits", "cart")
    return JsonResponse({field: request.session.get(field) for field in fields})


@require_POST
def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


@require_POST
def cart(request, sku):
    lines = request.session.get("cart", {})
    lines[sku] = lines.get(sku, 0) + int(request.POST["quantity"])
    request.session["cart"] = lines
    return JsonResponse({"cart": lines})


@require_POST
def login(request):
    # As django.contrib.auth.login() does.
    request.session.cycle_key()
    request.session["user"] = request.POST["user"]
    return HttpResponse()


@require_POST
def logout(request):
    # As django.contrib.auth.logout() does.
    request.session.flush()
    return HttpResponse()


urlpatterns = [
    path("healthz", healthz),
    path("api/session", session),
    path("api/visits", visits),
    path("api/cart/<sku>", cart),
    path("login", login),
    path("logout", logout),
]
