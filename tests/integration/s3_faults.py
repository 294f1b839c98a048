"""What can go wrong between the agent and S3: makers of actions for s3_weather.Weather.when(), and documents
that hurt. An action decides about one Exchange; most let the next request pass again.
"""
import contextlib

from s3_weather import HOP_HEADERS

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
# Nine entities, each ten times the one before: a gigabyte for whoever expands them.
XML_BOMB = (XML + "<!DOCTYPE b [<!ENTITY a0 \"lol\">" + "".join(
    f"<!ENTITY a{level} \"{f'&a{level - 1};' * 10}\">" for level in range(1, 10)) +
    f"]><ListBucketResult xmlns=\"{NAMESPACE}\"><Name>&a9;</Name><IsTruncated>false</IsTruncated></ListBucketResult>")
DEEP_XML = XML + "<a>" * 200000


def error_xml(code, message="made by the test", more=""):
    return (f"{XML}<Error><Code>{code}</Code><Message>{message}</Message>{more}"
            "<RequestId>REQUESTID0TEST</RequestId></Error>")


# --- actions --------------------------------------------------------------------------------------------
def forward(exchange):
    """Nothing special; for rules that only count."""
    exchange.forward()


def reset():
    """RST before the body is read."""
    return lambda exchange: exchange.reset()


def cut_body(after_bytes):
    """RST in the middle of the request's body."""
    def act(exchange):
        for _ in exchange.pieces():
            if exchange.seen.body_bytes >= after_bytes:
                break
        exchange.reset()
    return act


def stall_body(after_bytes, seconds=3600):
    """Reads so much of the request's body, or all where it is less, and then no more."""
    def act(exchange):
        for _ in exchange.pieces():
            if exchange.seen.body_bytes >= after_bytes:
                break
        exchange.stall(seconds)
        exchange.reset()
    return act


def slow_body(bytes_per_s):
    """Takes the request's body slowly, then carries it out."""
    def act(exchange):
        whole = exchange.pieces

        def pieces():
            for piece in whole():
                exchange.weather.pause(len(piece) / bytes_per_s)
                yield piece
        exchange.pieces = pieces
        exchange.forward()
    return act


def lose_answer(then_stall_s=0):
    """The server does it, and nobody hears of it."""
    def act(exchange):
        upstream, answer = exchange.carry_out()
        answer.read()
        upstream.close()
        exchange.stall(then_stall_s)
        exchange.reset()
    return act


def stall(seconds=3600):
    """Takes the request and says nothing for so long, then hangs up."""
    def act(exchange):
        exchange.drain()
        exchange.stall(seconds)
        exchange.reset()
    return act


def delay(seconds):
    def act(exchange):
        exchange.stall(seconds)
        exchange.forward()
    return act


def trickle(bytes_per_s):
    """The right answer, its body byte by byte."""
    return lambda exchange: exchange.forward(bytes_per_s=bytes_per_s)


def repeat(again, first=b"", seconds=0.1):
    """Bytes of an answer as they are, then the same ones again and again."""
    def act(exchange):
        exchange.drain()
        exchange.link.sendall(first)
        while True:
            exchange.weather.pause(seconds)
            exchange.link.sendall(again)
    return act


def cut_answer(after_bytes):
    """The right answer; the connection is closed in the middle of its body."""
    return lambda exchange: exchange.forward(cut_after=after_bytes)


def answer(status, body=b"", drain=True, length=None, **fields):
    """Header names as keywords: Retry_After=1. drain=False: without reading the request's body."""
    named = {name.replace("_", "-"): str(value) for name, value in fields.items()}
    return lambda exchange: exchange.answer(status, body, named, length, drain)


def error(status, code, message="made by the test", more="", **fields):
    """S3's own form of an error; `more`: further elements."""
    return answer(status, error_xml(code, message, more), **fields)


def edit(change, **fields):
    """The server does it; `change` makes another body of its body. Status and other headers stay,
    but for `fields` (None: the header is left out)."""
    named = {name.replace("_", "-").lower(): value for name, value in fields.items()}

    def act(exchange):
        upstream, real = exchange.carry_out()
        with contextlib.closing(upstream):
            body = change(real.read())
        own = HOP_HEADERS | {"transfer-encoding", "content-length"} | set(named)
        kept = {name: value for name, value in real.getheaders() if name.lower() not in own}
        kept.update({name: value for name, value in named.items() if value is not None})
        exchange.answer(real.status, body, kept)
    return act


def refuse_header(name, status=501, code="NotImplemented"):
    """As a server that does not know a header; requests without it pass."""
    def act(exchange):
        if name.lower() in exchange.seen.headers:
            exchange.answer(status, error_xml(code, f"header {name} implies functionality that is not implemented"))
        else:
            exchange.forward()
    return act


def endless_list(prefix="", page_keys=1000, same_token=False):
    """A list whose every page says that another follows."""
    def act(exchange):
        page = int(exchange.seen.query.get("continuation-token") or 0)
        entries = "".join(
            f"<Contents><Key>{prefix}{page:08d}-{number:04d}</Key><Size>1</Size><ETag>&quot;{0:032x}&quot;</ETag>"
            "<LastModified>2020-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
            for number in range(page_keys))
        exchange.answer(200, f"{XML}<ListBucketResult xmlns=\"{NAMESPACE}\"><IsTruncated>true</IsTruncated>"
                             f"<NextContinuationToken>{0 if same_token else page + 1}</NextContinuationToken>"
                             f"{entries}</ListBucketResult>")
    return act
