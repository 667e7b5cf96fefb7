"""The view that receives Intercom's webhooks."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from triage import Router
from triage.vendors import Intercom

router = Router.from_env(Intercom)
router.warm_up()


@csrf_exempt  # the signature authenticates the sender
@require_http_methods(["HEAD", "POST"])
def intercom(request: HttpRequest) -> HttpResponse:
    if request.method == "HEAD":  # Intercom checks the URL when you save it
        return HttpResponse()
    response = router.handle(request.body, request.headers)
    return HttpResponse(response.body, status=response.status_code, headers=response.headers)


def live(request: HttpRequest) -> HttpResponse:
    response = router.live()
    return HttpResponse(response.body, status=response.status_code, headers=response.headers)


def ready(request: HttpRequest) -> HttpResponse:
    response = router.ready()
    return HttpResponse(response.body, status=response.status_code, headers=response.headers)
