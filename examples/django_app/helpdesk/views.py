"""The view that receives Intercom's webhooks."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from triage import Router
from triage.vendors import Intercom

router = Router.from_env(Intercom)
router.warm_up()


@csrf_exempt  # the signature says who sent it
@require_http_methods(["HEAD", "POST"])
def intercom(request: HttpRequest) -> HttpResponse:
    if request.method == "HEAD":  # Intercom asks whether the address is right
        return HttpResponse()
    answer = router.handle(request.body, request.headers)
    return HttpResponse(answer.body, status=answer.status_code, headers=answer.headers)
