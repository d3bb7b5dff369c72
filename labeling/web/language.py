"""Which language an answer is in: pages speak the reader's, the API speaks English."""

from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

API = "/api/"


class PageLanguage(LocaleMiddleware):
    """Django's choice by cookie and Accept-Language, for pages. Details of API answers are the same for every client."""

    def process_request(self, request: HttpRequest) -> None:
        if request.path_info.startswith(API):
            translation.activate("en")
            request.LANGUAGE_CODE = "en"
        else:
            super().process_request(request)
