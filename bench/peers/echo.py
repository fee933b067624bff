"""Echo in Python, by each of the ways its library waits: echo.py epoll"""

import asyncio
import select
import socket
import sys


def listen():
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    return listener


def echo(peer):
    """Answers a peer that is readable; False when it has left."""
    try:
        data = peer.recv(65536)
        peer.sendall(data)
    except ConnectionError:
        data = b""
    if not data:
        peer.close()
    return bool(data)


def with_select():
    listener = listen()
    watched = {listener}
    while True:
        readable, _, _ = select.select(watched, (), ())
        for ready in readable:
            if ready is listener:
                watched.add(listener.accept()[0])
            elif not echo(ready):
                watched.remove(ready)


def with_poller(poller, readable, forget):
    """poll and epoll have the same methods."""
    listener = listen()
    peers = {}
    poller.register(listener, readable)
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                peer, _ = listener.accept()
                peers[peer.fileno()] = peer
                poller.register(peer, readable)
            else:
                peer = peers[fd]
                if not echo(peer):
                    del peers[fd]
                    forget(fd)


async def with_asyncio():
    async def serve(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, sock=listen())
    await server.serve_forever()


match sys.argv[1]:
    case "select":
        with_select()
    case "poll":
        poll = select.poll()
        with_poller(poll, select.POLLIN, poll.unregister)
    case "epoll":
        # The kernel forgets what is closed.
        with_poller(select.epoll(), select.EPOLLIN, lambda fd: None)
    case "asyncio":
        asyncio.run(with_asyncio())
