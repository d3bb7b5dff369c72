"""Pages travel compressed, answers of the API as they are."""

import gzip

from django.test import Client

GZIP = {"accept-encoding": "gzip"}


def test_a_page_is_compressed(db):
    answer = Client(headers=GZIP).get("/account/sign-in/")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"csrfmiddlewaretoken" in gzip.decompress(answer.content)


def test_an_answer_of_the_api_is_not(db):
    answer = Client(headers=GZIP).get("/api/v1/schema/")
    assert len(answer.content) > 1_000
    assert "Content-Encoding" not in answer.headers


def test_who_does_not_ask_gets_plain_text(db):
    assert "Content-Encoding" not in Client().get("/account/sign-in/").headers
