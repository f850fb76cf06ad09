# SPDX-License-Identifier: MIT
"""A floor for how good search is: what people write down in several languages and ask for in other
words. The same texts, the same code: the same numbers every time (`make quality` measures more)."""
import math

import pytest

TEXTS = {
    "lease": "The lease for the Hamburg office ends in March, and Petra wants a smaller place "
             "nearer to the station.",
    "lease2": "Petra likes the old office because of its big windows.",
    "deploy": "Never deploy on a Friday: roll back with `make rollback` and tell the people on "
              "call.",
    "deploy2": "On Fridays the team has breakfast together at nine.",
    "allergy": "Jonas is allergic to peanuts and carries an injection with him.",
    "allergy2": "Peanuts are sold in the shop downstairs.",
    "invoice": "def sum_invoice_lines(lines): adds up net amounts, VAT is not in it",
    "invoice2": "class InvoiceMailer sends reminders after thirty days",
    "retry": "retryWithBackoff(client, 5) waits twice as long after every failed attempt",
    "router": "The router in the cellar is a FritzBox 7590 at 192.168.178.1, firmware 7.57",
    "backup": "Nightly dumps of the database go to /srv/backup/pg and are kept for two weeks.",
    "de1": "Die Heizung im Keller wird jedes Jahr im September vom Schornsteinfeger überprüft.",
    "de2": "Im September fahren wir mit den Großeltern an die Ostsee.",
    "de3": "Der Schlüssel für das Gartenhaus hängt hinter der Küchentür.",
    "es1": "La reunión con los proveedores se aplazó hasta el martes porque faltaban los "
           "contratos firmados.",
    "es2": "Los martes mi hermana da clases de guitarra a los niños del barrio.",
    "fr1": "Le chat de la voisine a été vacciné contre la rage en avril.",
    "ru1": "Бабушка хранит рецепты пирогов в синей тетради на верхней полке.",
    "ru2": "На верхней полке стоят книги о путешествиях по Сибири.",
    "zh1": "服务器证书每三个月更新一次，由小王负责检查。",
    "zh2": "小王下周去上海参加婚礼。",
    "ja1": "冷蔵庫の修理は来週の水曜日に予約しました。",
    "ja2": "水曜日は図書館が休みです。",
    "ko1": "할머니의 생신은 음력 칠월 보름입니다.",
}
# A query, and what it asks for, the best first.
ASKED = [
    ("when does the office lease end", ["lease"]),
    ("Petra office", ["lease", "lease2"]),
    ("deploying on Fridays", ["deploy"]),
    ("who is allergic to peanuts", ["allergy"]),
    ("sum of invoice lines", ["invoice"]),
    ("invoice mailer", ["invoice2"]),
    ("retry with backoff", ["retry"]),
    ("FritzBox firmware", ["router"]),
    ("192.168.178.1", ["router"]),
    ("where do database dumps go", ["backup"]),
    ("Heizung überprüfen", ["de1"]),
    ("Schlüssel Gartenhaus", ["de3"]),
    ("reuniones con el proveedor", ["es1"]),
    ("clase de guitarra", ["es2"]),
    ("vacciner le chat", ["fr1"]),
    ("рецепт пирога", ["ru1"]),
    ("книга о путешествии", ["ru2"]),
    ("证书更新", ["zh1"]),
    ("冷蔵庫の修理", ["ja1"]),
    ("할머니 생신", ["ko1"]),
]
FLOOR = {
    "text": 0.88,
    "hybrid": 0.95,
}  # text wants every word: 证书更新 and überprüfen are not there


def ndcg(found, wanted):
    gains = {name: len(wanted) - i for i, name in enumerate(wanted)}
    best = sum(
        gain / math.log2(i + 2) for i, gain in enumerate(sorted(gains.values(), reverse=True))
    )
    return sum(gains.get(name, 0) / math.log2(i + 2) for i, name in enumerate(found)) / best


@pytest.fixture(scope="module")
def names(stack):
    client = stack.client("admin", "quality")
    return {client.ingest("quality", text).ok().json["id"]: name for name, text in TEXTS.items()}


@pytest.mark.parametrize("mode", FLOOR)
def test_floor(stack, names, mode):
    client = stack.client("admin", "quality")
    reached = {}
    for query, wanted in ASKED:
        results = client.search(query, scope="quality", mode=mode, k=10).ok().json["results"]
        reached[query] = ndcg([names[r["id"]] for r in results], wanted)
    mean = sum(reached.values()) / len(reached)
    assert mean >= FLOOR[mode], (
        mean,
        {query: round(value, 3) for query, value in reached.items() if value < 1},
    )
