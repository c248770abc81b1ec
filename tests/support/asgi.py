"""A plain ASGI app, as files of a Guest, and its clients."""

SHOP = """\
import asyncio, os, time
from urllib.parse import parse_qs


async def answer(send, status, *pieces, headers=(), more=False):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    for number, piece in enumerate(pieces or (b"",), 1):
        await send({"type": "http.response.body", "body": piece, "more_body": more or number < len(pieces)})


async def http(scope, receive, send):
    first, _, rest = scope["path"][1:].partition("/")
    query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
    if first == "status":
        body = b"" if rest in ("204", "304") else b"hello"
        await answer(send, int(rest), body, headers=[(b"content-length", b"%d" % len(body))] if body else [])
    elif first == "stream":
        await answer(send, 200, *[b"x" * 1000] * int(rest))
    elif first == "echo":
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await answer(send, 200, body)
    elif first == "slow":
        await asyncio.sleep(float(query.get("s", "60")))
        await answer(send, 200, b"slow")
    elif first == "waits":
        while (await receive())["type"] != "http.disconnect":
            pass
    elif first == "block":
        time.sleep(float(query["s"]))
        await answer(send, 200, b"blocked")
    elif first == "fails":
        raise ValueError("the shop is broken")
    elif first == "breaks":
        await answer(send, 200, b"half of it", more=True)
        raise ValueError("the shop is broken")
    elif first == "pid":
        await answer(send, 200, str(os.getpid()).encode())
    elif first == "events":
        await answer(send, 200, b"data: 1\\n\\n", headers=[(b"content-type", b"text/event-stream")], more=True)
        while (await receive())["type"] != "http.disconnect":
            pass
    elif first != "silent":
        await answer(send, 404, b"nothing")


async def websocket(scope, receive, send):
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
    elif scope["path"] == "/fails":
        raise ValueError("the shop is broken")
    elif scope["path"] != "/silent":
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


async def lifespan(scope, receive, send):
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    await {"http": http, "websocket": websocket, "lifespan": lifespan}[scope["type"]](scope, receive, send)
"""
